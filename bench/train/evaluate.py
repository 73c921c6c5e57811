"""What a trained network predicts for the test images, in one pass over them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.metrics.gates import GateStatistics, PassedByImage, passed_by_image
from bench.models.network import BuiltModel, predict


@dataclass(frozen=True)
class Evaluation:
    """A network's predictions for a split.

    Args:
        probabilities: `(n, classes)` float32; None of a system that predicts no category of an
            image.
        observed: What the network's supervision keeps of the split
            (`bench.models.supervision.Supervision.observe`).
        metrics: Those of the supervision, and gate statistics where there is a gate.
        gate: Mean, energy passed and map of each image's gate; None without one.
    """

    probabilities: np.ndarray | None
    observed: dict[str, np.ndarray]
    metrics: dict[str, float]
    gate: PassedByImage | None = None


def evaluate(network: BuiltModel, batches: Any) -> Evaluation:
    """Predict for every image of some batches.

    Args:
        network: A trained network.
        batches: `bench.train.batches.Batches` of the split.
    """
    import keras
    from keras import ops

    supervision, gated = network.supervision, network.gate is not None
    outputs = supervision.evaluated(network.model.output)
    if supervision.classifies:
        outputs = {"category": ops.softmax(network.model.output["category"]), **outputs}
    if gated:
        outputs |= {"gate": network.gate, "features": network.features}
    predictor = keras.Model(network.image, outputs)

    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    gates: list[PassedByImage] = []
    statistics = GateStatistics()
    for images, targets in batches.in_order(predictor):
        predicted = predict(predictor, images)
        if supervision.classifies:
            parts["category"].append(predicted["category"])
        for name, values in supervision.observe(predicted, targets).items():
            parts[name].append(values)
        if gated:
            statistics.add(predicted["gate"], predicted["features"])
            gates.append(passed_by_image(predicted["gate"], predicted["features"]))
    observed = {name: np.concatenate(values) for name, values in parts.items()}
    metrics = supervision.metrics(observed)
    return Evaluation(
        probabilities=observed.pop("category") if supervision.classifies else None,
        observed=observed,
        metrics=metrics | statistics.result() if gated else metrics,
        gate=PassedByImage(*map(np.concatenate, zip(*gates, strict=True))) if gated else None,
    )
