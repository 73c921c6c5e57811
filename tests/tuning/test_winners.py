"""A tuned study on the command line, with real Ray, Keras and KerasTuner on the smoke profile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.store.trials import Store
from tests.command import BENCH

STUDY = """
base: {preset: ropanet_baseline, train.epochs: 1}
seeds: 1
tuning:
  space: {train.learning_rate: {kind: float, low: 1.0e-3, high: 1.0e-1, scale: log}}
  trials: 2
"""


@pytest.fixture
def workspace(tmp_path: Path, own_warm_cache: Path) -> Path:
    """A folder with a tuned study in it and a cache that holds the phantom and its features."""
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def bench(workspace: Path, *words: str) -> Any:
    done = subprocess.run(
        [*BENCH, *words, "--json"], cwd=workspace, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "oneDNN" not in done.stderr
    return json.loads(done.stdout)


def test_a_tuned_study_is_searched_tested_and_found_again(workspace: Path) -> None:
    smoke = ("study.yaml", "--profile", "smoke")
    plan = bench(workspace, "plan", *smoke)
    assert (plan["trials"], plan["tuning"]["tuning_trials"]) == (3, 2)
    (first,) = bench(workspace, "run", *smoke, "--workers", "1")
    assert (first["finished"], first["failed"], first["held_back"]) == (3, [], 0)

    store = Store(workspace / "results")
    records = [store.read(identity) for identity in store.ids()]
    judged = [r for r in records if r.spec["eval"]["split"] == "validation"]
    tested = [r for r in records if r.spec["eval"]["split"] == "test"]
    assert (len(judged), len(tested)) == (2, 1)
    seen = {str(image) for r in judged for image in r.predictions.images}
    assert len(seen) == 16 and not seen & {str(i) for r in tested for i in r.predictions.images}
    assert {r.spec["seed"] for r in judged} == {1000} and {r.spec["seed"] for r in tested} == {0}

    (again,) = bench(workspace, "run", *smoke)
    assert (again["finished"], again["stored"]) == (0, 3)
    plan = bench(workspace, "plan", *smoke)
    assert (plan["stored"], plan["tuning"]["answered"]) == (3, 2)
    (status,) = bench(workspace, "status")
    assert (status["trials"], status["done"], status["missing"]) == (3, 3, 0)
