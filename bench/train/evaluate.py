"""What a trained network answers on the test images, in one pass over them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.metrics.gates import GateStatistics, PassedByImage, passed_by_image
from bench.models.losses import NO_STATE
from bench.models.network import BuiltModel, answers
from bench.systems.ropanet.targets import Annotation, of_map, places_of
from bench.train.batches import LandmarkMaps


@dataclass(frozen=True)
class Answers:
    """A network's answers to a split.

    Args:
        probabilities: `(n, classes)` float32.
        pixels: `(n, 8)` highest pixel of each landmark map; None without such maps.
        centres: `(n, 8, 2)` soft-arg-max of each, (x, y) as shares of the map's side.
        points: `(n, 8, 2)` places that a pose branch says, as shares of the image's sides; None
            without one.
        attributes: `(n, attributes)` logits; None without an attribute head.
        metrics: Landmark loss, accuracy of the visibility and gate statistics, where there is a
            branch and a gate.
        gate: Mean, energy passed and map of each image's gate; None without one.
    """

    probabilities: np.ndarray
    pixels: np.ndarray | None
    centres: np.ndarray | None
    points: np.ndarray | None
    attributes: np.ndarray | None
    metrics: dict[str, float]
    gate: PassedByImage | None = None

    def places(
        self, annotation: Annotation, maps: LandmarkMaps | None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Where each landmark is put, and where by soft-arg-max, as shares of the image's sides.

        Args:
            annotation: The same images; only their clothes types and sizes are used.
            maps: How landmarks became targets; None without landmark maps.

        Returns:
            Two of `(n, 8, 2)` float32; the second None where places are not read from maps, both
            None without a landmark branch.
        """
        if self.points is not None:
            return self.points, None
        if maps is None or self.pixels is None or self.centres is None:
            return None, None
        return (
            places_of(self.pixels, annotation, maps.side, maps.spec),
            of_map(self.centres, annotation, maps.spec),
        )


def evaluate(network: BuiltModel, batches: Any) -> Answers:
    """Answer every image of some batches.

    Landmark maps are reduced to two places and their loss batch by batch: at paper scale the maps
    of a split would not fit into memory.

    Args:
        network: A trained network.
        batches: `bench.train.batches.Batches` of the split.
    """
    import keras
    from keras import ops

    from bench.models.landmark_pooling import soft_arg_max
    from bench.models.losses import LandmarkLoss

    outputs = dict(network.model.output)
    outputs["category"] = ops.softmax(outputs["category"])
    if network.landmark_side is not None:
        maps = ops.cast(outputs["landmarks"], "float32")
        outputs["centres"] = soft_arg_max(maps, network.landmark_side)
    if network.gate is not None:
        outputs["gate"], outputs["features"] = network.gate, network.features
    answerer = keras.Model(network.model.inputs, outputs)
    loss = LandmarkLoss()

    said_of: dict[str, list[np.ndarray]] = defaultdict(list)
    losses: list[float] = []
    sizes: list[int] = []
    states = np.zeros(2, np.int64)
    gate = GateStatistics()
    for images, targets in batches.in_order(answerer):
        said = answers(answerer, images)
        sizes.append(len(images))
        for name in ("category", "centres", "points", "attributes"):
            if name in said:
                said_of[name].append(said[name])
        if "landmarks" in said:
            said_of["pixels"].append(said["landmarks"].argmax(axis=-1))
            losses.append(float(loss(targets["landmarks"], said["landmarks"])))
        if "visibility" in said:
            counts = targets["visibility"] != NO_STATE
            right = said["visibility"].argmax(axis=-1) == targets["visibility"]
            states += (right[counts].sum(), counts.sum())
        if "gate" in said:
            gate.add(said["gate"], said["features"])
            for name, values in passed_by_image(said["gate"], said["features"])._asdict().items():
                said_of[f"gate_{name}"].append(values)

    metrics: dict[str, float] = {}
    if losses:
        metrics["landmark_loss"] = float(np.average(losses, weights=sizes))
    if states[1]:
        metrics["visibility_accuracy"] = float(states[0] / states[1])
    if network.gate is not None:
        metrics |= gate.result()
    whole = {name: np.concatenate(parts) for name, parts in said_of.items()}
    passed = [whole[f"gate_{name}"] for name in PassedByImage._fields if network.gate is not None]
    return Answers(
        probabilities=whole["category"],
        pixels=whole.get("pixels"),
        centres=whole.get("centres"),
        points=whole.get("points"),
        attributes=whole.get("attributes"),
        metrics=metrics,
        gate=PassedByImage(*passed) if passed else None,
    )
