"""Portable arithmetic: chosen before TensorFlow is there, and refused where it cannot be had."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from bench.data.sources import open_source
from bench.engine.resources import Resources
from bench.engine.training import train
from bench.errors import BenchError
from bench.store.features import feature_key
from bench.study.overlays import base_overlays, stacked
from bench.study.trial import trial_id
from bench.train import arithmetic
from bench.train.arithmetic import PORTABLE, check_arithmetic, compute_in
from bench.train.loop import TrialContext, run_trial
from tests.specs import spec_of

PORTABLE_SPEC = {"train__arithmetic": "portable"}


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in PORTABLE:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_it_is_set_before_tensorflow_is_imported_and_not_after(unset: pytest.MonkeyPatch) -> None:
    with unset.context() as process:
        process.delitem(arithmetic.sys.modules, "tensorflow", raising=False)
        compute_in("native")
        assert not set(PORTABLE) & set(os.environ)
        compute_in("portable")
        assert {name: os.environ[name] for name in PORTABLE} == PORTABLE
        check_arithmetic("portable")
        for name in PORTABLE:
            del os.environ[name]
    unset.setitem(arithmetic.sys.modules, "tensorflow", arithmetic)
    with pytest.raises(BenchError, match="before TensorFlow is imported"):
        compute_in("portable")


def test_a_process_that_computes_otherwise_trains_no_portable_trial(
    unset: pytest.MonkeyPatch, phantom: Path, cache: Path
) -> None:
    context = TrialContext(open_source(phantom), cache)
    with pytest.raises(BenchError, match="this process computes otherwise"):
        run_trial(spec_of("ropanet_baseline", **PORTABLE_SPEC), context)


def test_a_processor_without_avx2_computes_natively_and_says_so_where_that_is_not_wanted(
    unset: pytest.MonkeyPatch,
) -> None:
    unset.setattr("bench.study.overlays.has_avx2", lambda: False)
    unset.setattr("bench.train.arithmetic.has_avx2", lambda: False)
    for preset in ("ropanet", "ropanet_baseline", "fashionnet"):
        plain = stacked(base_overlays(preset, "laptop", None))
        assert plain["train"]["arithmetic"] == "native"
    assert stacked(base_overlays("prior", "laptop", None))["train"] is None
    with pytest.raises(BenchError, match="needs an x86-64 processor with AVX2") as error:
        compute_in("portable")
    assert "--set train.arithmetic=native" in str(error.value.fix)


def test_it_is_part_of_a_trials_identity_and_of_its_maps() -> None:
    native, portable = spec_of("ropanet"), spec_of("ropanet", **PORTABLE_SPEC)
    assert trial_id(native, "f") != trial_id(portable, "f")
    backbone = native.model.feature_extractor
    assert backbone is not None
    names = {feature_key(backbone, "f", how).name for how in ("native", "portable")}
    assert len(names) == 2


@pytest.mark.parametrize("setting", ["train__precision", "model__backbone__precision"])
def test_bfloat16_is_refused_with_it(setting: str) -> None:
    with pytest.raises(ValidationError, match=r"set train\.arithmetic to native"):
        spec_of("ropanet", **PORTABLE_SPEC, **{setting: "bfloat16"})


@pytest.mark.parametrize(
    ("resources", "named"),
    [(Resources(threads=2), "--threads"), (Resources(gpus_per_trial=0.5), "--gpus-per-trial")],
)
def test_more_threads_or_a_gpu_are_refused_with_it(resources: Resources, named: str) -> None:
    group: Any = SimpleNamespace(config=SimpleNamespace(arithmetic="portable"))
    with pytest.raises(BenchError, match=named):
        train([group], resources, 1, phases=None, trials_shown=None)  # type: ignore[arg-type]
