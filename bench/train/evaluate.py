"""What a trained network answers on the test images, in one pass over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.models.network import Network, answers
from bench.train.metrics import GateStatistics, PassedByImage, passed_by_image


@dataclass(frozen=True)
class Answers:
    """A network's answers to a split.

    Args:
        probabilities: `(n, classes)` float32.
        pixels: `(n, 8)` highest pixel of each landmark map; None without a landmark branch.
        metrics: Landmark loss and gate statistics, where there is a branch and a gate.
        gate: Mean, energy passed and map of each image's gate; None without one.
    """

    probabilities: np.ndarray
    pixels: np.ndarray | None
    metrics: dict[str, float]
    gate: PassedByImage | None = None


def evaluate(network: Network, batches: Any) -> Answers:
    """Answer every image of some batches.

    Landmark maps are reduced to their highest pixel and their loss batch by batch: at paper
    scale the maps of a split would not fit into memory.

    Args:
        network: A trained network.
        batches: `bench.train.batches.Batches` of the split.
    """
    import keras
    from keras import ops

    from bench.models.losses import LandmarkLoss

    outputs = {"category": ops.softmax(network.model.output["category"])}
    if network.landmark_side is not None:
        outputs["landmarks"] = network.model.output["landmarks"]
    if network.gate is not None:
        outputs["gate"], outputs["features"] = network.gate, network.features
    answerer = keras.Model(network.model.inputs, outputs)
    loss = LandmarkLoss()

    probabilities, pixels = [], []
    landmark_losses: list[float] = []
    sizes: list[int] = []
    gate, passed = GateStatistics(), []
    for images, targets in batches.in_order():
        said = answers(answerer, images)
        probabilities.append(said["category"])
        sizes.append(len(images))
        if network.landmark_side is not None:
            pixels.append(said["landmarks"].argmax(axis=-1))
            landmark_losses.append(float(loss(targets["landmarks"], said["landmarks"])))
        if network.gate is not None:
            gate.add(said["gate"], said["features"])
            passed.append(passed_by_image(said["gate"], said["features"]))

    metrics: dict[str, float] = {}
    if network.landmark_side is not None:
        metrics["landmark_loss"] = float(np.average(landmark_losses, weights=sizes))
    if network.gate is not None:
        metrics |= gate.result()
    return Answers(
        np.concatenate(probabilities),
        np.concatenate(pixels) if pixels else None,
        metrics,
        PassedByImage(*map(np.concatenate, zip(*passed, strict=True))) if passed else None,
    )
