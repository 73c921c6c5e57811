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
from measured import Table, write
from networks import CLASSES, batch_of, network_of, spec_of

from bench.study.cost import training_bytes
from bench.study.trial import TrialSpec

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
        spec = spec_of(preset, profile, settings)
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
