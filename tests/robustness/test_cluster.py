"""A study over several machines of a Ray cluster, one of which is lost in the middle.

Ray's own cluster utility stands for the machines: each has processes of its own, and the second
one a cache of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.store.trials import Store
from tests.command import BENCH
from tests.robustness.kills import differences, stored

STUDY = "base: {preset: ropanet, train.epochs: 2}\nseeds: 3\naxes: {model.gate: [sigmoid, none]}\n"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Any]:
    """Two machines with a core each."""
    from ray.cluster_utils import Cluster

    from bench.engine.session import QUIET

    os.environ.update(QUIET)
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    machines.away = machines.add_node(
        num_cpus=1, env_vars={"BENCH_CACHE": str(tmp_path / "away")}, wait=True
    )
    yield machines
    machines.shutdown()


def run(workspace: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*BENCH, "run", "study.yaml", "--profile", "smoke", "--json", *words], cwd=workspace,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.timeout(600)
def test_a_study_survives_the_loss_of_a_machine(
    tmp_path: Path, own_warm_cache: Path, cluster: Any
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    running = run(tmp_path, "--address", cluster.address)
    away, deadline = tmp_path / "away", time.monotonic() + 240
    # Its phantom and its features are its own; what it trains is stored at home.
    while not (list(away.glob("features/*/*.npy")) and list(Store(tmp_path / "results").ids())):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.1)
    assert (away / "phantom").is_dir()
    cluster.remove_node(cluster.away, allow_graceful=False)
    said, errors = running.communicate(timeout=600)
    assert running.returncode == 0, said + errors
    (result,) = json.loads(said)
    assert (result["finished"], result["failed"]) == (6, [])

    alone = run(tmp_path, "--results", "alone")
    assert alone.wait(timeout=600) == 0, alone.communicate()
    assert differences(stored(tmp_path / "alone"), stored(tmp_path / "results")) == []


def test_a_cluster_that_does_not_answer_is_one_message(
    tmp_path: Path, own_warm_cache: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    running = run(tmp_path, "--address", "127.0.0.1:1")
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 2 and "no Ray cluster answers" in errors
    assert "Traceback" not in errors and "docs/cluster.md" in errors
