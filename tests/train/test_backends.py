"""Backends: part of what a trial is, named where they are missing, alike in what they compute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from bench.engine.resources import Resources
from bench.engine.training import train
from bench.errors import BenchError
from bench.store.features import feature_key
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.study.trial import trial_id
from bench.train import arithmetic
from bench.train.arithmetic import check_arithmetic, compute_in
from tests.specs import spec_of
from tests.train import three_steps

ROOT = Path(__file__).parents[2]


def test_a_backend_makes_another_trial_and_tensorflow_the_one_that_was_before() -> None:
    plain = spec_of("ropanet")
    names = {b: spec_of("ropanet", train__backend=b) for b in ("tensorflow", "jax", "torch")}
    assert trial_id(plain, "f") == trial_id(names["tensorflow"], "f")
    assert len({trial_id(spec, "f") for spec in names.values()}) == 3
    assert [spec.arithmetic for spec in names.values()] == ["native", "jax", "torch"]
    backbone = plain.model.feature_extractor
    assert backbone is not None
    assert len({feature_key(backbone, "f", str(s.arithmetic)).name for s in names.values()}) == 3


def test_portable_arithmetic_is_tensorflows() -> None:
    with pytest.raises(ValidationError, match=r"set train\.arithmetic to native"):
        spec_of("ropanet", train__arithmetic="portable", train__backend="jax")


def test_a_runs_backend_is_every_trained_arms(tmp_path: Path) -> None:
    design = resolve_study(
        *load_study(ROOT / "ablations" / "systems.yaml"), profile="laptop", backend="jax"
    )
    found = {arm.name: arm.spec.arithmetic for arm in design.arms()}
    assert found.pop("prior") is None and set(found.values()) == {"jax"}


def test_a_process_with_another_backend_trains_no_such_trial() -> None:
    with pytest.raises(BenchError, match="Keras computes with tensorflow here"):
        check_arithmetic("jax")


def test_a_backend_that_is_not_installed_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arithmetic, "find_spec", lambda name: None)
    group: Any = SimpleNamespace(config=SimpleNamespace(arithmetic="torch"))
    with pytest.raises(BenchError, match="torch is not installed") as error:
        train([group], Resources(), 1, phases=None, trials_shown=None)  # type: ignore[arg-type]
    assert "ropanet-bench[torch]" in str(error.value.fix)
    with pytest.raises(BenchError, match="torch is not installed"):
        compute_in("torch")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_each_system_takes_the_same_steps(backend: str, tmp_path: Path) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    here = {
        preset: three_steps.three_steps(preset, tmp_path / f"{preset}.npz")
        for preset in three_steps.SETTINGS
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.three_steps", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    there = json.loads(done.stdout.splitlines()[-1])
    for preset, found in here.items():
        for what, values in found.items():
            assert there[preset][what] == pytest.approx(values, rel=2e-3, abs=1e-6), (preset, what)
