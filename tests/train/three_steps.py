"""Three steps of a system on whatever backend Keras has, as a script: `three_steps.py PRESET FILE`.

Begins with the weights in FILE (an `.npz`), or writes there those that it begins with; prints the
losses and the summed change of each weight as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.data.ground_truth import GroundTruth
from bench.models.network import BuiltModel, ModelInputs
from bench.systems.registry import load
from bench.train.balance import Balance
from bench.train.fitting import compile_network
from tests.specs import spec_of

IMAGES, SIDE, CHANNELS, CLASSES, ATTRIBUTES = 6, 8, 12, 7, 5
SETTINGS: dict[str, dict[str, Any]] = {
    "ropanet": {},
    "as_released": {"landmarks__counters": "per_group"},
    "ropanet_baseline": {},
    "fashionnet": {"model__dropout": 0.0},  # what it drops is each backend's own
}


def network_of(preset: str) -> BuiltModel:
    """A preset's network over small maps, compiled with plain gradient descent."""
    spec = spec_of(preset, train__optimizer="sgd", **SETTINGS[preset])
    assert spec.train is not None
    keras.utils.set_random_seed(0)
    features = keras.Input((SIDE, SIDE, CHANNELS))
    inputs = ModelInputs(features, features, CLASSES, np.ones((2, ATTRIBUTES), int))
    built: BuiltModel = load(spec.model.network)(spec.model, spec.supervision, inputs)
    compile_network(built, spec.train, Balance(), CLASSES)
    built.model.optimizer.build(built.model.trainable_variables)
    return built


def batch_of(network: BuiltModel) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Maps, and targets of garments with every landmark."""
    draw = np.random.default_rng(0)
    truth = GroundTruth(
        landmarks=draw.random((IMAGES, 8, 2)).astype("f4"),
        visibility=np.zeros((IMAGES, 8), np.int8),
        clothes_type=np.full(IMAGES, 3, np.int8),
        attributes=draw.choice([-1, 1], (IMAGES, ATTRIBUTES)).astype(np.int8),
        image_size=np.full((IMAGES, 2), 300, np.int32),
    )
    targets = {"category": draw.integers(0, CLASSES, IMAGES).astype("i4")}
    maps = draw.random((IMAGES, SIDE, SIDE, CHANNELS)).astype("f4")
    return maps, targets | network.supervision.targets(truth)


def three_steps(preset: str, begin: Path) -> dict[str, list[float]]:
    """Losses of three steps, and the norm of what they change of each variable.

    Args:
        preset: The preset.
        begin: File of the weights to begin with; written where it is not there.
    """
    network = network_of(preset)
    model = network.model
    if begin.is_file():
        with np.load(begin) as known:
            model.set_weights([known[name] for name in known.files])
    else:
        np.savez(begin, *model.get_weights())
    before = model.get_weights()
    maps, targets = batch_of(network)
    logs = [model.train_on_batch(maps, targets, return_dict=True) for _ in range(3)]
    changes = [
        float(np.linalg.norm(new - old))
        for new, old in zip(model.get_weights(), before, strict=True)
    ]
    return {"losses": [float(log["loss"]) for log in logs], "changes": changes}


if __name__ == "__main__":
    print(json.dumps({p: three_steps(p, Path(sys.argv[1]) / f"{p}.npz") for p in SETTINGS}))
