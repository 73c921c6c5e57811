"""How a run's cores and GPUs are divided, and how many trials a GPU holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.engine.resources import Resources, ResourceSplit, divide, gpu_bytes, trials_a_gpu
from bench.study.cost import largest_training, training_bytes
from bench.study.trial import TrialSpec
from tests.specs import spec_of

GB = 10**9


@pytest.mark.parametrize(
    ("asked", "have", "split"),
    [
        (Resources(), {"CPU": 8, "memory": 64 * GB}, ResourceSplit(8, 1, 0.0)),
        (Resources(), {"CPU": 8, "GPU": 2}, ResourceSplit(2, 4, 1.0)),
        (Resources(gpus_per_trial=0.5), {"CPU": 8, "GPU": 2}, ResourceSplit(4, 2, 0.5)),
        # Three fit on each of two GPUs; Ray counts ten-thousandths.
        (Resources(gpus_per_trial="auto"), {"CPU": 12, "GPU": 2}, ResourceSplit(6, 2, 0.3333)),
        (Resources(gpus_per_trial="auto"), {"CPU": 4, "memory": 64 * GB}, ResourceSplit(4, 1, 0.0)),
    ],
)
def test_cores_and_gpus_are_divided(
    asked: Resources, have: dict[str, float], split: ResourceSplit
) -> None:
    assert divide(asked, trials=100, have=have, fit=3) == split


def test_as_many_trials_go_on_a_gpu_as_its_memory_holds() -> None:
    assert trials_a_gpu(2.0 * GB, 24 * GB) == 7  # 2 and 1 for the backend, of nine tenths of 24
    assert trials_a_gpu(30.0 * GB, 24 * GB) == 0


@pytest.mark.parametrize(
    ("says", "found"), [("echo 24564; echo 16376", 16376 << 20), ("exit 9", None), ("", None)]
)
def test_the_driver_says_how_much_memory_the_smallest_gpu_has(
    says: str, found: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpu_bytes() == found


def test_a_larger_batch_and_a_trained_backbone_take_more_of_a_gpu() -> None:
    def taken(**settings: object) -> float:
        spec: TrialSpec = spec_of("ropanet", "paper", **settings)
        known = training_bytes(spec, 46)
        assert known is not None
        return known

    # What XLA lays out for the first: 3.06 GB (benchmarks/memory.py).
    assert 2.3 * GB < taken() < 4.6 * GB
    assert taken(train__batch_size=128) > 2 * taken()
    assert taken(model__backbone__trainable="all") > 2 * taken()
    assert taken(train__optimizer="sgd") < taken()


def test_a_run_is_planned_by_its_largest_trial_and_portable_ones_use_no_gpu() -> None:
    small, large = spec_of("ropanet_baseline"), spec_of("ropanet", "paper")
    assert largest_training([small, large], 46) == training_bytes(large, 46)
    portable = TrialSpec.model_validate(
        small.model_dump() | {"train": small.train.model_dump() | {"arithmetic": "portable"}}  # type: ignore[union-attr]
    )
    assert largest_training([portable], 46) == 0
