"""A trial's test outcomes: what every metric is computed from, in training and from the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bench.metrics import ratios, retrieval
from bench.metrics.classification import ranks
from bench.metrics.detection import Detections
from bench.metrics.landmarks import image_errors
from bench.metrics.precision import Kind, can_judge, judged


class LandmarkPlaces(NamedTuple):
    """Where landmarks are and where a model predicts them.

    Args:
        predicted: `(n, 8, 2)` (x, y) as shares of the image's width and height.
        true: The same, for the annotated landmarks; NaN where absent.
        visibility: `(n, 8)`.
    """

    predicted: np.ndarray
    true: np.ndarray
    visibility: np.ndarray


class Precision(NamedTuple):
    """Average precision of a kind of detection.

    Args:
        scores: `ap`, `ap50` and `ap75`.
        by_garment: Each as `(garments,)` values with its mean and its spread over images.
        curve: `(101,)` precision by recall at an overlap of a half.
    """

    scores: dict[str, float]
    by_garment: dict[str, np.ndarray]
    curve: np.ndarray


@dataclass(frozen=True)
class Outcomes:
    """A trial's test outcomes, small enough to keep those of thousands of trials in memory.

    Args:
        labels: `(images,)` int32 true classes of the images that the evaluation protocol scores.
        ranks: `(images,)` int32 classes ranked before the true one.
        predicted: `(images,)` int32 most probable class.
        true_above_half: `(images,)` whether the true class has a probability above 0.5.
        any_above_half: `(images,)` whether some class has.
        landmark_errors: `(n,)` float32 normalised error of each test image, NaN without a visible
            landmark; None for a model without landmarks.
        probabilities: Gives `(images, classes)`, read from the store where they are not at hand.
        places: Gives the landmarks of all test images; None for a model without landmarks.
        retrieval_ranks: `(images,)` float32, of garments in the place of images: how many of the
            gallery are ranked before the first right one, NaN for one that is no query; None for a
            model that detects nothing.
        garments: `(n,)` how many garments each test image has, in the order of the rows; None for
            such a model.
        detections: Gives what was detected in the test images; None for such a model.
    """

    labels: np.ndarray
    ranks: np.ndarray
    predicted: np.ndarray
    true_above_half: np.ndarray
    any_above_half: np.ndarray
    landmark_errors: np.ndarray | None
    probabilities: Callable[[], np.ndarray]
    places: Callable[[], LandmarkPlaces | None]
    retrieval_ranks: np.ndarray | None = None
    garments: np.ndarray | None = None
    detections: Callable[[], Detections | None] = lambda: None
    _known: dict[Kind, Precision] = field(default_factory=dict, compare=False, repr=False)

    def precision(self, kind: Kind) -> Precision | None:
        """Average precision of a kind of detection, computed once.

        None for a model that detects nothing, and where pycocotools is not installed: a trial that
        was scored where it was keeps what is stored.
        """
        if self.garments is None or not can_judge():
            return None
        if kind not in self._known:
            found = self.detections()
            assert found is not None, "garments are those of detections"
            result = judged(found, kind)
            by_garment = {
                name: ratios.in_clusters(result.scores[name], deviations, self.garments)
                for name, deviations in result.deviations().items()
            }
            self._known[kind] = Precision(result.scores, by_garment, result.curve)
        return self._known[kind]


def outcomes_of(
    probabilities: np.ndarray,
    labels: np.ndarray,
    places: LandmarkPlaces | None = None,
    detections: Detections | None = None,
) -> Outcomes:
    """Outcomes of predictions that are in memory.

    Args:
        probabilities: `(images, classes)`, rows summing to 1.
        labels: `(images,)` true classes.
        places: Landmarks of all test images; None for a model without landmarks.
        detections: What was detected in them, where the rows are garments; None for a model that
            detects nothing.
    """
    return Outcomes(
        labels=labels.astype(np.int32),
        ranks=ranks(probabilities, labels).astype(np.int32),
        predicted=probabilities.argmax(axis=1).astype(np.int32),
        true_above_half=probabilities[np.arange(len(labels)), labels] > 0.5,
        any_above_half=np.asarray((probabilities > 0.5).any(axis=1)),
        landmark_errors=None if places is None else image_errors(*places).astype(np.float32),
        probabilities=lambda: probabilities,
        places=lambda: places,
        retrieval_ranks=None if detections is None else retrieval.ranks(detections),
        garments=None if detections is None else np.array(list(map(len, detections.truth))),
        detections=lambda: detections,
    )
