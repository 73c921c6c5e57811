"""What FashionNet is trained to predict beside the category (Liu et al. 2016, §4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from bench.data.ground_truth import TRAINED_FLAGS, GroundTruth
from bench.data.manifest import ABSENT, OUTSIDE
from bench.models.losses import (
    NO_PLACE,
    NO_STATE,
    AttributeLoss,
    LocationLoss,
    VisibilityLoss,
)
from bench.models.supervision import Supervision
from bench.systems.fashionnet.settings import PoseSpec

POSE_OUTPUTS = ("points", "visibility")
"""Outputs of the pose branch; the others recognise what is worn."""


class PoseSupervision(Supervision):
    """Places `points` `(n, 8, 2)` as shares of the image's sides and their `visibility`
    `(n, 8, 3)`, and `attributes` `(n, attributes)` where the data has them.

    Args:
        settings: How they are supervised.
        attribute_counts: `(2, attributes)` training images without and with each attribute; None
            where no attributes are predicted.
    """

    def __init__(self, settings: PoseSpec, attribute_counts: np.ndarray | None) -> None:
        self.settings = settings
        self._attribute_weights = None
        if attribute_counts is not None:
            self._attribute_weights = attribute_weights(
                attribute_counts, settings.attribute_balance
            )

    def losses(self) -> dict[str, tuple[Any, float]]:
        """Of the places, of their visibility, and of the attributes."""
        settings = self.settings
        losses: dict[str, tuple[Any, float]] = {
            "points": (LocationLoss(), settings.location_weight),
            "visibility": (VisibilityLoss(), settings.visibility_weight),
        }
        if self._attribute_weights is not None:
            loss = AttributeLoss(self._attribute_weights)
            losses["attributes"] = (loss, settings.attribute_weight)
        return losses

    def targets(self, truth: GroundTruth) -> dict[str, np.ndarray]:
        """Places, states of visibility, and attributes."""
        targets = dict(zip(POSE_OUTPUTS, pose_targets(truth, self.settings), strict=True))
        if self._attribute_weights is not None and truth.attributes is not None:
            targets["attributes"] = truth.attributes
        return targets

    def output_weights(self, epoch: int) -> dict[str, float]:
        """The alternation: now mostly the landmarks, now mostly what they serve."""
        phase = self.settings.phase(epoch)
        return {
            **dict.fromkeys(POSE_OUTPUTS, phase.landmarks),
            **dict.fromkeys(("category", "attributes"), phase.recognition),
        }

    def evaluated(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """All of them."""
        names = (*POSE_OUTPUTS, "attributes")
        return {name: outputs[name] for name in names if name in outputs}

    def observe(
        self, predicted: dict[str, np.ndarray], targets: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Places, attributes, and which states are right."""
        counts = targets["visibility"] != NO_STATE
        right = predicted["visibility"].argmax(axis=-1) == targets["visibility"]
        kept = {name: predicted[name] for name in ("points", "attributes") if name in predicted}
        return kept | {"states": counts, "right_states": right & counts}

    def metrics(self, observed: dict[str, np.ndarray]) -> dict[str, float]:
        """`visibility_accuracy`, of the states that count."""
        states = int(observed["states"].sum())
        if not states:
            return {}
        return {"visibility_accuracy": int(observed["right_states"].sum()) / states}

    def places(
        self, observed: dict[str, np.ndarray], truth: GroundTruth
    ) -> tuple[np.ndarray, np.ndarray | None] | None:
        """The pose branch's places; no maps lie behind them."""
        del truth
        return observed["points"], None

    def exported(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Places, the probability of each state of visibility, and of each attribute."""
        found = {
            "landmarks": outputs["points"],
            "visibility": ops.softmax(outputs["visibility"], axis=-1),
        }
        if "attributes" in outputs:
            found["attributes"] = ops.sigmoid(outputs["attributes"])
        return found

    def attributes(self, observed: dict[str, np.ndarray]) -> np.ndarray | None:
        """Their logits."""
        return observed.get("attributes")


def pose_targets(truth: GroundTruth, settings: PoseSpec) -> tuple[np.ndarray, np.ndarray]:
    """What the pose branch is trained to predict.

    Args:
        truth: Landmarks of n images.
        settings: How they are supervised.

    Returns:
        Places `(n, 8, 2)` float32, `NO_PLACE` where not trained; states `(n, 8)` int32,
        DeepFashion's visibility flags, `NO_STATE` where they do not count.
    """
    flags = truth.visibility
    trained = np.isin(flags, TRAINED_FLAGS[settings.trained_visibility])
    places = np.where(trained[..., None], truth.landmarks, NO_PLACE).astype(np.float32)
    absent = OUTSIDE if settings.absent == "outside" else NO_STATE
    return places, np.where(flags == ABSENT, absent, flags).astype(np.int32)


def attribute_weights(counts: np.ndarray, rule: str) -> np.ndarray:
    """Weight of a negative and of a positive image of each attribute (Liu et al. 2016, §4).

    Args:
        counts: `(2, attributes)` training images without and with each attribute.
        rule: `ratio`: twice the share of the other answer, so that both weigh alike in sum and a
            balanced attribute has weight 1; or `none`: 1.

    Returns:
        `(2, attributes)` float32.
    """
    if rule == "none":
        return np.ones(counts.shape, np.float32)
    no, yes = counts
    return (2.0 * np.stack([yes, no]) / np.maximum(no + yes, 1)).astype(np.float32)
