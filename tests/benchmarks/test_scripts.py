"""The parts of the measuring scripts that decide what a figure means."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gpu_parts
import numpy as np
import overhead
import pytest
import scale
import scale_data
import sharing
import verdict

from bench.store.features import FeatureStore, feature_key
from bench.store.trials import Store
from bench.train.compiled import Compiled
from bench.train.loop import TrialContext, run_trial

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_an_exponent_is_found_with_its_interval_and_without_the_fixed_cost() -> None:
    sizes = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)

    line = scale.Line("squares", sizes, tuple(max(5.0, 1e-3 * size**2) for size in sizes))

    slope, low, high = line.exponent() or (0.0, 0.0, 0.0)
    assert slope == pytest.approx(2.0)
    assert low <= slope <= high


def test_no_exponent_is_made_of_two_sizes() -> None:
    assert scale.Line("short", (1.0, 10.0), (1.0, 10.0)).exponent() is None


def test_a_generated_trial_learns_and_both_ways_give_the_same_bytes(tmp_path: Path) -> None:
    scale_data.fill(tmp_path, 300)
    manifest = scale_data.manifest_of(300)
    spec = scale_data.spec_of("baseline", 300)

    alone = run_trial(spec, TrialContext(manifest, tmp_path))
    shared = run_trial(spec, TrialContext(manifest, tmp_path, compiled=Compiled()))

    assert alone.metrics["accuracy"] > 0.3  # chance is 0.02
    assert sharing.different(alone, shared) == []
    moved = replace(alone.predictions, probabilities=alone.predictions.probabilities + 1e-7)
    assert sharing.different(replace(alone, predictions=moved), shared) == ["predictions"]


def test_the_generated_maps_are_those_of_their_images(tmp_path: Path) -> None:
    scale_data.fill(tmp_path, 200)
    manifest = scale_data.manifest_of(200)
    key = feature_key(scale_data.BACKBONE, manifest.fingerprint, "native")

    reader = FeatureStore(tmp_path, key).reader()

    rows = np.flatnonzero(manifest.category == manifest.category[0])
    means = reader.gather(rows).mean(axis=(1, 2))
    assert np.corrcoef(means)[0, 1:].min() > 0.9  # of one class, one pattern


def test_without_a_gpu_the_script_says_so_and_ends_well(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), "--out", str(tmp_path)],
        env={"PATH": "", "KERAS_BACKEND": "no-such-backend"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("gpu: skipped")
    assert not list(tmp_path.iterdir())


def test_the_gpu_scripts_head_trains_and_its_matrix_rate_is_counted() -> None:
    size = replace(gpu_parts.TINY, seconds=0.05)

    assert min(gpu_parts.matrix(size, "bfloat16")["flops"]) > 1e6
    found = gpu_parts.loss(size, "bfloat16")

    assert found["last"]["category_loss"] < found["first"]["category_loss"]


def test_an_overhead_that_noise_hides_is_not_given_for_met() -> None:
    clear = {"beyond": 0.01, "bench": 0.02, "work": 0.02, "start and all": 0.03}
    clear |= {"class": 0.04, "function": 1.0}

    beside, readings, notes = overhead.trials_beside([clear, clear], 1000)
    assert (len(beside), readings[-1].met, notes) == (2, True, [])

    beside, readings, notes = overhead.trials_beside([clear, clear | {"beyond": -0.08}], 1000)
    assert beside == []
    assert [reading.met for reading in readings] == [None]
    assert "noise" in notes[0]


def test_looks_take_fewer_trials_than_the_fixed_number_that_settles_as_often() -> None:
    store = Store(BENCHMARKS.parent / "results" / "reference")
    study = store.study("mask_gate")
    assert study is not None

    fixed = verdict.fixed_design(study, store)

    assert fixed.fixed is not None and fixed.seeds is not None
    assert fixed.looked < fixed.fixed == fixed.seeds * len(study.arms)
    assert fixed.settled > 0.9
