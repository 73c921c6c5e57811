"""Faults around a run: another run beside it, trials that hang or crash, folders that fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.store.trials import Store
from tests.command import BENCH

BAD_GATES = '''
"""Gates that hang, take their process down, find the disk full, and want too much memory."""

import os
import resource
import signal
import time
from pathlib import Path

import keras

from bench.systems.registry import GATES, Gate


def greedy(features, mask):
    wide = keras.ops.tile(features, (1, 2**16, 2**16, 1))
    return features * keras.ops.mean(wide)


def hang(features, mask):
    time.sleep(3600)


def crash(features, mask):
    os.abort()


def full(features, mask):
    # The limit on the size of a file stands for the end of the disk: writing fails alike.
    if Path(os.environ["FULL"]).exists():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    return features


GATES["full"] = Gate("bad_gates:full", True, False)
GATES["hang"] = Gate("bad_gates:hang", True, True)
GATES["crash"] = Gate("bad_gates:crash", True, True)
GATES["greedy"] = Gate("bad_gates:greedy", True, True)
'''


@pytest.fixture
def workspace(tmp_path: Path, own_warm_cache: Path) -> Path:
    """A folder with a cache in it that holds the smoke phantom and its features."""
    return tmp_path


def start(workspace: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*BENCH, "run", "study.yaml", "--profile", "smoke", "--json", *words], cwd=workspace,
        env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    said, errors = process.communicate(timeout=600)
    assert process.returncode == code, said + errors
    assert "Traceback" not in errors
    (result,) = json.loads(said)
    return dict(result)


def test_two_runs_on_one_store_share_the_work(workspace: Path) -> None:
    (workspace / "study.yaml").write_text(
        "base: {preset: ropanet, train.epochs: 2}\nseeds: 4\naxes: {model.gate: [sigmoid, none]}\n"
    )
    shutil.rmtree(workspace / ".cache")  # they draw the phantom and its maps at the same time, too
    one, other = (ended(run) for run in [start(workspace, "--workers", "1") for _ in range(2)])
    assert one["finished"] + other["finished"] == 8
    assert one["finished"] + one["stored"] == other["finished"] + other["stored"] == 8
    store = Store(workspace / "results")
    assert len(list(store.ids())) == 8
    for identity in store.ids():
        store.read(identity)
    assert not list((workspace / "results" / "claims").iterdir())
    assert not list((workspace / "results").glob("superseded/*"))

    # A clock that was ahead when they were written, and is right again.
    for path in (workspace / "results").rglob("*"):
        os.utime(path, (4_000_000_000, 4_000_000_000))
    assert ended(start(workspace))["stored"] == 8


def test_a_trial_that_hangs_crashes_or_takes_all_memory_is_ended_and_the_others_go_on(
    workspace: Path,
) -> None:
    (workspace / "bad_gates.py").write_text(BAD_GATES)
    (workspace / "study.yaml").write_text(
        "base: {preset: ropanet, train.epochs: 1}\nseeds: 1\n"
        "axes: {model.gate: [sigmoid, crash, greedy, hang, none]}\n"
    )
    run = start(
        workspace,
        "--trial-timeout",
        "20",
        PYTHONPATH=str(workspace),
        ROPANET_BENCH_PLUGINS="bad_gates",
    )
    result = ended(run, code=1)
    assert result["finished"] == 2
    bad = [f"gate={gate}, seed 0" for gate in ("crash", "greedy", "hang")]
    assert sorted(result["failed"]) == bad
    failures = [
        json.loads(path.read_text()) for path in workspace.glob("results/failures/*/*.json")
    ]
    by_kind = {failure["kind"]: failure for failure in failures}
    assert by_kind.keys() == {"crashed", "out of memory", "timed out"} and len(failures) == 3
    assert "process died, 3 times" in by_kind["crashed"]["error"]
    assert "lower train.batch_size" in by_kind["out of memory"]["error"]
    assert "limit of 20 s" in by_kind["timed out"]["error"]
    assert "in hang" in by_kind["timed out"]["traceback"]  # where it hung


def test_a_disk_that_is_full_ends_the_run_and_is_no_fault_of_a_trial(workspace: Path) -> None:
    (workspace / "bad_gates.py").write_text(BAD_GATES)
    (workspace / "study.yaml").write_text(
        "base: {preset: ropanet, train.epochs: 1}\nseeds: 3\naxes: {model.gate: [full]}\n"
    )
    full = workspace / "full"
    full.touch()
    plugins = {
        "PYTHONPATH": str(workspace), "ROPANET_BENCH_PLUGINS": "bad_gates", "FULL": str(full)
    }  # fmt: skip
    run = start(workspace, "--workers", "1", **plugins)
    said, errors = run.communicate(timeout=600)
    assert run.returncode == 2 and said == "", said + errors
    assert "MB at" in errors and "make room and run the same command again" in errors
    assert "Traceback" not in errors
    assert not list(workspace.glob("results/failures/*/*"))

    full.unlink()
    assert ended(start(workspace, **plugins))["finished"] == 3


@pytest.mark.parametrize("option", ["--results", "--cache"])
def test_a_folder_that_cannot_be_written_is_one_message(workspace: Path, option: str) -> None:
    (workspace / "study.yaml").write_text("base: {preset: ropanet, train.epochs: 1}\nseeds: 1\n")
    (workspace / "file").write_text("no folder")
    run = start(workspace, option, "file/below")
    said, errors = run.communicate(timeout=60)
    assert run.returncode == 2 and said == ""
    assert "file" in errors and "Traceback" not in errors


def test_a_disk_that_fills_up_leaves_no_half_of_a_trial(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from bench.store.record import Predictions, TrialRecord
from bench.store.trials import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path("results"))
images = np.array([str(number) for number in range(2000)])
answers = np.random.default_rng(0).random((2000, 50)).astype("f4")
record = TrialRecord("0" * 16, {}, {}, {}, [], Predictions(images, np.zeros(2000, int), answers))
for limit in (100, 10_000, 100_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        store.write(record)
    except OSError:
        pass
    else:
        sys.exit(f"{limit} bytes were enough")
    assert not store.has(record.id) and not list(store.root.glob("drafts/*"))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.write(record)
store.read(record.id)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
