"""What RopaNet is trained to predict beside the category: a pixel map for each landmark (§4.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from bench.data.ground_truth import GroundTruth
from bench.models.landmark_pooling import soft_arg_max
from bench.models.losses import LandmarkLoss
from bench.models.supervision import Supervision
from bench.systems.ropanet.settings import LandmarkSpec
from bench.systems.ropanet.targets import of_map, pixel_targets, places_of


class LandmarkSupervision(Supervision):
    """Maps `landmarks`, `(n, 8, side * side)`: pixel (row, column) has index `row * side + column`.

    Args:
        settings: How landmarks are supervised.
        side: Side of the maps in pixels.
    """

    def __init__(self, settings: LandmarkSpec, side: int) -> None:
        self.settings, self.side = settings, side
        self._loss = LandmarkLoss()

    def losses(self) -> dict[str, tuple[Any, float]]:
        """The cross-entropy of each map, unless the branch is not trained."""
        if not self.settings.trained:
            return {}
        return {"landmarks": (self._loss, self.settings.weight)}

    def targets(self, truth: GroundTruth) -> dict[str, np.ndarray]:
        """The index of each landmark's pixel."""
        return {"landmarks": pixel_targets(truth, self.side, self.settings)}

    def evaluated(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """The maps, and the place that each expects."""
        maps = ops.cast(outputs["landmarks"], "float32")
        return {"landmarks": outputs["landmarks"], "centres": soft_arg_max(maps, self.side)}

    def observe(
        self, predicted: dict[str, np.ndarray], targets: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Two places of each map, and the batch's loss: a split's maps would not fit in memory."""
        maps = predicted["landmarks"]
        return {
            "pixels": maps.argmax(axis=-1),
            "centres": predicted["centres"],
            "losses": np.array([float(self._loss(targets["landmarks"], maps))]),
            "sizes": np.array([len(maps)]),
        }

    def metrics(self, observed: dict[str, np.ndarray]) -> dict[str, float]:
        """`landmark_loss`, in nats."""
        loss = np.average(observed["losses"], weights=observed["sizes"])
        return {"landmark_loss": float(loss)}

    def exported(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """`landmarks`: the centre of each map's highest pixel.

        A model knows neither clothes type nor size of an image. Channels that stand for positions
        (ledger row 14) are taken as a full-body garment's, and unscaled coordinates (row 16) as
        those of an image of 300 pixels.
        """
        maps = ops.cast(outputs["landmarks"], "float32")
        # The highest by `top_k`: of TensorFlow's `argmax`, as Keras writes it, ONNX has no form.
        pixel = ops.top_k(maps, 1)[1][..., 0]
        # In whole numbers: 8 bits, which a phone's form may have, hold no pixel's index.
        row = pixel // self.side
        place = ops.cast(ops.stack([pixel - row * self.side, row], axis=-1), "float32")
        places = (place + 0.5) / self.side
        swapped = self.settings.axis_order == "xy"
        return {"landmarks": ops.flip(places, axis=-1) if swapped else places}

    def places(
        self, observed: dict[str, np.ndarray], truth: GroundTruth
    ) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Each map's highest pixel, and the place that it expects."""
        return (
            places_of(observed["pixels"], truth, self.side, self.settings),
            of_map(observed["centres"], truth, self.settings),
        )
