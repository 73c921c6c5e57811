"""What a system is trained to predict beside the category, and how its outputs are read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bench.data.ground_truth import GroundTruth
from bench.metrics.detection import Detections


class Answers(NamedTuple):
    """What is said of the category of images, or of garments in them.

    Args:
        names: `(m,)` paths of the images; of a garment, the image's, `#item` and its number.
        labels: `(m,)` true categories.
        probabilities: `(m, classes)`.
    """

    names: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


class Supervision:
    """Targets and losses for training, and what is kept of a test image's outputs.

    This one is that of a system that predicts the category alone. A system that predicts more
    derives its own; nothing else that trains, tests or stores a trial knows of its outputs.

    Attributes:
        classifies: Whether the model has an output `category` for an image. Where it has none, its
            `answers` say what is predicted of which garment.
    """

    classifies = True

    def fed(self, images: np.ndarray, truth: GroundTruth) -> Any:
        """What the model is given of a batch in training: the images, or more beside them.

        Args:
            images: Maps, or pixels as the backbone wants them.
            truth: What is known of the same images.
        """
        del truth
        return images

    def epoch(self, truth: GroundTruth, rng: np.random.Generator) -> np.ndarray | None:
        """Which images of a split an epoch has, and in what order; None for each once.

        Args:
            truth: Of the whole split.
            rng: Of the epoch.

        Returns:
            Positions in the split, some perhaps twice.
        """
        del truth, rng
        return None

    def losses(self) -> dict[str, tuple[Any, float]]:
        """Name of an output -> its Keras loss, and the weight of it beside the category's."""
        return {}

    def targets(self, truth: GroundTruth) -> dict[str, np.ndarray]:
        """Name of an output -> targets of some images, `(n, ...)`."""
        del truth
        return {}

    def output_weights(self, epoch: int) -> dict[str, float] | None:
        """Weight of each output's loss in an epoch, counted from 0; None where all are 1.

        They become weights of images, so that a new epoch needs no new compilation.
        """
        del epoch
        return None

    def evaluated(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Of a model's symbolic outputs, those that evaluation needs, and what it derives of them.

        The category's probabilities and the gate are evaluated for every system.
        """
        del outputs
        return {}

    def observe(
        self, predicted: dict[str, np.ndarray], targets: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """What is kept of a batch of test images; the parts of all batches are concatenated.

        Args:
            predicted: What `evaluated` named, of n images.
            targets: Their targets.
        """
        del predicted, targets
        return {}

    def metrics(self, observed: dict[str, np.ndarray]) -> dict[str, float]:
        """Metrics of a split, from what was kept of it."""
        del observed
        return {}

    def places(
        self, observed: dict[str, np.ndarray], truth: GroundTruth
    ) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Where the landmarks of a split are predicted, as shares of the images' sides.

        Args:
            observed: What was kept of the split.
            truth: The same images; only their clothes types and sizes are used.

        Returns:
            `(n, 8, 2)` float32 (x, y), and the same by soft-arg-max, None where places are not read
            from maps; None for a system without landmarks.
        """
        del observed, truth
        return None

    def exported(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """What an exported model gives of an image beside its category's probabilities.

        Args:
            outputs: The model's symbolic outputs.

        Returns:
            Name -> symbolic tensor, float32; `landmarks` are places `(n, 8, 2)` (x, y) as shares of
            the image's sides, and `attributes` probabilities.
        """
        del outputs
        return {}

    def answers(
        self, observed: dict[str, np.ndarray], truth: GroundTruth, images: np.ndarray
    ) -> Answers:
        """What a system that predicts no category of an image says of the garments in it.

        Args:
            observed: What was kept of the split.
            truth: The same images.
            images: `(n,)` their paths.
        """
        raise NotImplementedError(f"{type(self).__name__} does not classify, and has no answers")

    def detections(
        self, observed: dict[str, np.ndarray], truth: GroundTruth, images: np.ndarray
    ) -> Detections | None:
        """What is detected in a split's images; None for a system that detects nothing."""
        del observed, truth, images
        return None

    def attributes(self, observed: dict[str, np.ndarray]) -> np.ndarray | None:
        """`(n, attributes)` logits of a split; None for a system that does not predict any."""
        del observed
        return None
