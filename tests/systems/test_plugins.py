"""What a newcomer adds from outside the package: a gate, a backbone, a rule, and a whole system."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from bench.errors import BenchError
from bench.store.trials import Store
from bench.study.cost import head_flops
from bench.systems.settings import SystemSettings
from tests.command import BENCH

GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"
PLUGINS = "hard_gate,tiny_backbone,tempered,coordinate_net,reciprocal_rank"

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(tmp_path: Path, own_warm_cache: Path) -> Bench:
    """Runs a command in a folder with the files of docs/extending.md, as they stand there."""
    files = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    assert {"hard_gate.py", "coordinate_net/network.py", "extended.yaml"} <= files.keys()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(*words: str, plugins: str = PLUGINS) -> subprocess.CompletedProcess[str]:
        paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "ROPANET_BENCH_PLUGINS": plugins,
            "BENCH_CACHE": str(own_warm_cache),
        }
        return subprocess.run(
            [*BENCH, *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False, timeout=600,
        )  # fmt: skip

    return run


def test_what_the_guide_adds_is_trained_by_a_run(bench: Bench) -> None:
    done = bench("run", "extended.yaml", "--profile", "smoke", "--workers", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)[0]["finished"] == 4
    schema = json.loads(bench("schema").stdout)
    assert "hard" in schema["$defs"]["Value.model.gate"]["anyOf"][0]["enum"]
    assert "tempered" in schema["$defs"]["Value.train.balancing"]["anyOf"][0]["enum"]
    assert "Value.model.landmark_weight" in schema["$defs"]

    without = bench("plan", "extended.yaml", "--profile", "smoke", plugins="")
    assert without.returncode == 2 and "extended.yaml:" in without.stderr
    missing = bench("plan", "extended.yaml", plugins="no_such_plugin")
    assert missing.returncode == 2 and "no_such_plugin cannot be imported" in missing.stderr
    assert "Traceback" not in missing.stderr
    # What reads no trial's settings imports no stranger's module.
    assert bench("audit", plugins="no_such_plugin").returncode == 0


def test_a_system_from_outside_is_trained_scored_and_compared(bench: Bench, tmp_path: Path) -> None:
    plan = json.loads(bench("plan", "systems.yaml", "--profile", "smoke", "--json").stdout)
    assert plan["trials"] == 2 and plan["cost"]["trial_flops"] > 0
    done = bench("run", "systems.yaml", "--profile", "smoke", "--workers", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(tmp_path / "results")
    records = {r.spec["model"]["kind"]: r for r in map(store.read, store.ids())}
    record = records["coordinate_net"]
    assert record.landmarks is not None and record.landmarks.soft is None and record.gate is None
    assert record.landmarks.predicted.shape == records["ropanet"].landmarks.predicted.shape  # type: ignore[union-attr]
    assert 0 < record.metrics["landmark_ne"] < 1
    assert {"points_loss", "category_loss"} <= {metric for _, _, metric, _ in record.history}

    report = bench("report", "--out", "report", "--format", "markdown")
    assert report.returncode == 0, report.stderr
    effects = (tmp_path / "report" / "tables" / "systems.effects.csv").read_text()
    assert "CoordinateNet" in effects and "NE" in effects
    # A metric from outside is in the tables of trials that never heard of it.
    assert "MRR (points)" in effects
    arms = (tmp_path / "report" / "tables" / "systems.arms.csv").read_text()
    assert "reciprocal rank %" in arms.splitlines()[0]
    wrong = bench("plan", "systems.yaml", "--set", "model.gate=none", "--profile", "smoke")
    assert wrong.returncode == 2 and "the model coordinate_net has no setting" in wrong.stderr


def test_a_system_that_does_not_say_its_cost_is_an_error_not_free() -> None:
    class Silent(SystemSettings):
        network: ClassVar[str] = "nowhere:build"
        kind: str = "silent"

    with pytest.raises(BenchError, match="silent does not say what it costs"):
        head_flops(Silent(), classes=5)
