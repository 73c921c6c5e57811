"""What a training step takes of a device's memory, beside what `bench plan` says of it.

Each system's step is compiled by XLA, which says how much memory it lays out: weights, moments, a
batch, and what lies between. Nothing is run, so that the paper's scale needs no large machine. What
XLA lays out for a processor is not what it does for a GPU, but both keep the same activations.

    KERAS_BACKEND=jax python benchmarks/memory.py
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
from measured import Table, write

from bench.data.ground_truth import GroundTruth
from bench.models.backbones import train_last
from bench.models.network import BuiltModel, ModelInputs
from bench.study.cost import training_bytes
from bench.study.overlays import base_overlays, put, stacked
from bench.study.trial import TrialSpec
from bench.systems.registry import BACKBONES, load
from bench.train.balance import Balance
from bench.train.fitting import compile_network

CLASSES = 46
CASES = (
    ("ropanet", "paper", {}),
    ("ropanet", "paper", {"train.batch_size": 128}),
    ("ropanet_baseline", "paper", {}),
    ("fashionnet", "paper", {}),
    ("ropanet", "laptop", {}),
    ("fashionnet", "laptop", {}),
    ("ropanet_baseline", "paper", {"model.backbone.trainable": "all"}),
    ("ropanet", "paper", {"model.backbone.trainable": "all"}),
)
"""Preset, profile and settings of each step."""


def network_of(spec: TrialSpec) -> BuiltModel:
    """A trial's network, compiled in Keras' sense, over maps or over its backbone."""
    backbone = spec.model.feature_extractor
    assert backbone is not None and spec.train is not None, "every case is trained on a backbone"
    entry = BACKBONES[backbone.name]
    if backbone.frozen:
        side = entry.map_side(backbone.side)
        given = features = keras.Input((side, side, entry.channels))
    else:
        model = load(entry.build)(backbone.side, None)
        train_last(model, backbone.trainable)
        given, features = model.input, model.output
    inputs = ModelInputs(given, features, CLASSES)
    built: BuiltModel = load(spec.model.network)(spec.model, spec.supervision, inputs)
    compile_network(built, spec.train, Balance(), CLASSES)
    built.model.optimizer.build(built.model.trainable_variables)
    return built


def batch_of(network: BuiltModel, images: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A batch of garments with every landmark; what its numbers are makes no difference."""
    truth = GroundTruth(
        landmarks=np.full((images, 8, 2), 0.5, np.float32),
        visibility=np.zeros((images, 8), np.int8),
        clothes_type=np.full(images, 3, np.int8),
        image_size=np.full((images, 2), 300, np.int32),
    )
    targets = {"category": np.zeros(images, np.int32), **network.supervision.targets(truth)}
    return np.zeros((images, *network.model.input.shape[1:]), np.float32), targets


def laid_out(spec: TrialSpec) -> int:
    """Bytes that XLA lays out for a trial's step."""
    keras.backend.clear_session()
    network = network_of(spec)
    assert spec.train is not None, "every case is trained"
    model, data = network.model, batch_of(network, spec.train.batch_size)
    one = tuple(jax.tree.map(lambda values: values[:1], part) for part in data)
    model.train_on_batch(*one)  # makes what metrics count in
    state = tuple(
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )
    found = jax.jit(model.train_step, donate_argnums=0).lower(state, data).compile()
    sizes = found.memory_analysis()
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        + sizes.temp_size_in_bytes
        - sizes.alias_size_in_bytes
    )


def main() -> None:
    """Measure and print."""
    rows = []
    for preset, profile, settings in CASES:
        plain = stacked(base_overlays(preset, profile, None))
        for path, value in {"train.arithmetic": "native", **settings}.items():
            put(plain, path, value)
        spec = TrialSpec.model_validate(plain)
        assert spec.train is not None, "every case is trained"
        planned, found = training_bytes(spec, CLASSES), laid_out(spec)
        assert planned is not None, "every backbone here says what it keeps"
        whole = ", whole backbone" if "model.backbone.trainable" in settings else ""
        what = f"{preset}, {profile}, batch {spec.train.batch_size}{whole}"
        rows.append((what, planned / 1e9, found / 1e9, planned / found))
        print(*rows[-1], flush=True)
    write(
        "memory",
        "`bench plan` says from a trial's settings alone how much of a GPU's memory its training "
        "takes: at the paper's scale within a half of what XLA lays out for the step.",
        tables=[
            Table(
                "A training step in float32",
                ("system, scale", "planned, GB", "laid out by XLA, GB", "planned / laid out"),
                rows,
            )
        ],
        notes=("Compiled for a CPU. No GPU has run it yet.",),
    )


if __name__ == "__main__":
    main()
