"""What Match R-CNN is fed with, what it minimises, and how its detections are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.data.ground_truth import GroundTruth
from bench.data.items import NUMBERED, USER, Items
from bench.metrics.detection import Detections
from bench.metrics.retrieval import assigned
from bench.models.supervision import Answers, Supervision
from bench.systems.match_rcnn.losses import AsComputed
from bench.systems.match_rcnn.match import MatchScore
from bench.systems.match_rcnn.pairs import epoch_of_pairs, image_pairs
from bench.systems.match_rcnn.settings import MatchRCNN
from bench.systems.match_rcnn.targets import as_annotated, truth


class DetectionSupervision(Supervision):
    """Detections of an image: boxes, masks, landmarks, and vectors by which they are matched.

    Args:
        settings: The system's settings.
        image: Name of the input that an image is given by.
        detections: What is found in an image, symbolic tensors.
        score: The match network's last layer.
    """

    classifies = False

    def __init__(
        self, settings: MatchRCNN, image: str, detections: dict[str, Any], score: MatchScore
    ) -> None:
        self._settings, self._image = settings, image
        self._detections, self._score = detections, score

    def losses(self) -> dict[str, tuple[Any, float]]:
        """Seven terms under the five weights: the proposals' share those of classes and boxes."""
        weights = self._settings.losses
        terms = {
            "objectness": weights.classes,
            "proposal_boxes": weights.boxes,
            "classes": weights.classes,
            "boxes": weights.boxes,
            "masks": weights.masks,
            "landmarks": weights.landmarks,
            "pairs": weights.pairs,
        }
        return {name: (AsComputed(), weight) for name, weight in terms.items()}

    def targets(self, truth: GroundTruth) -> dict[str, np.ndarray]:
        """None of the network's outputs, which are losses, has any: zeros."""
        return {name: np.zeros(len(_rows(truth)), np.float32) for name in self.losses()}

    def fed(self, images: np.ndarray, known: GroundTruth) -> dict[str, np.ndarray]:
        """Images and what is known of their garments."""
        settings = self._settings
        return {
            self._image: images,
            **truth(
                _items(known),
                _rows(known),
                known.image_size,
                side=settings.backbone.side,
                count=settings.items,
                landmarks=settings.landmark_counts,
            ),
        }

    def epoch(self, known: GroundTruth, rng: np.random.Generator) -> np.ndarray:
        """Images in pairs, a user's and a shop's of one garment."""
        pairs = image_pairs(_items(known), _rows(known))
        return epoch_of_pairs(pairs, self._settings.pairs, rng)

    def evaluated(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """What is found in an image, in the place of the losses."""
        del outputs
        return self._detections

    def observe(
        self, predicted: dict[str, np.ndarray], targets: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """All of it, as small as it is stored."""
        del targets
        weights = self._score.rank_weights(predicted["vectors"].shape[-1])
        kept = dict(predicted)
        kept["masks"] = np.rint(predicted["masks"] * 255).astype(np.uint8)
        kept["category"] = predicted["category"].astype(np.int16)
        kept["rank_weights"] = np.tile(weights, (len(predicted["scores"]), 1))
        return kept

    def detections(
        self, observed: dict[str, np.ndarray], known: GroundTruth, images: np.ndarray
    ) -> Detections:
        """In the pixels of each image, beside what is there."""
        items = _items(known)
        scale = (known.image_size / self._settings.backbone.side).astype(np.float32)
        return Detections(
            images=images,
            sizes=known.image_size.astype(np.int32),
            boxes=observed["boxes"] * np.tile(scale, 2)[:, None, :],
            scores=observed["scores"],
            category=observed["category"],
            masks=observed["masks"],
            points=observed["points"] * scale[:, None, None, :],
            vectors=observed["vectors"],
            rank_weights=observed["rank_weights"][0],
            users=items.domain[_rows(known)] == USER,
            truth=tuple(as_annotated(items, row) for row in _rows(known).tolist()),
        )

    def answers(
        self, observed: dict[str, np.ndarray], known: GroundTruth, images: np.ndarray
    ) -> Answers:
        """The category of each garment, by the most probable detection that overlaps it most.

        Of a garment without a detection every other category is as probable: it is wrong.
        """
        found = self.detections(observed, known, images)
        names, labels, probabilities = [], [], []
        for image, items in enumerate(found.truth):
            places, owner = assigned(found, image)
            for index, item in enumerate(items):
                own = places[owner == index]
                if len(own):
                    best = own[found.scores[image, own].argmax()]
                    row = observed["probabilities"][image, best]
                else:
                    row = np.full(observed["probabilities"].shape[-1], 1.0)
                    row[item.category] = 0.0
                    row /= row.sum()
                names.append(f"{images[image]}{NUMBERED}{index + 1}")
                labels.append(item.category)
                probabilities.append(row)
        return Answers(
            np.array(names, dtype=object), np.array(labels, np.int64), np.array(probabilities)
        )


def _items(known: GroundTruth) -> Items:
    assert known.items is not None, "a system of items is given data with items"
    return known.items


def _rows(known: GroundTruth) -> np.ndarray:
    assert known.rows is not None, "what is known of a batch says of which images"
    return known.rows
