"""Commands that are asked to end: by Ctrl-C, a batch system, or a terminal that closes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.store.trials import Store
from tests.robustness.kills import descendants, title

STUDY = """
base: {preset: ropanet, train.epochs: 1}
axes: {model.gate: [sigmoid, none]}
seeds: 30
"""


HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from bench.cli import main
main()
"""
"""The command, also where what began the tests ignores these: a shell's background, `nohup`."""


def begin(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """A command in a session of its own, as a shell on a terminal has it."""
    return subprocess.Popen(
        [sys.executable, "-c", HEEDING, *words], cwd=folder, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def wait(process: subprocess.Popen[str], until: Callable[[], object]) -> None:
    deadline = time.monotonic() + 600
    while not until():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)


def end(process: subprocess.Popen[str], number: signal.Signals, *, group: bool) -> str:
    """Send a signal; what the command printed, once none of its processes is left."""
    family = [*descendants(process.pid)]
    (os.killpg if group else os.kill)(process.pid, number)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + number, said
    assert said.count("Stopped.") == 1 and "Traceback" not in said and "***" not in said
    deadline = time.monotonic() + 60
    while any(title(pid) for pid in family):
        assert time.monotonic() < deadline, [title(pid) for pid in family]
        time.sleep(0.1)
    return said


@pytest.mark.parametrize(
    ("number", "group", "started"),
    [
        (signal.SIGINT, False, True),  # Ctrl-C
        (signal.SIGTERM, True, True),  # a batch system, which ends the workers as well
        (signal.SIGTERM, False, False),  # `docker stop`, while Ray starts
        (signal.SIGHUP, False, True),  # a terminal that closes
    ],
)
def test_a_run_that_is_stopped_keeps_what_is_finished_and_leaves_nothing_else(
    tmp_path: Path, own_warm_cache: Path, number: signal.Signals, group: bool, started: bool
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    # As on a cluster: a socket in it would have too long a path.
    temporary = tmp_path / "scratch" / "users" / ("somebody-" * 12)
    temporary.mkdir(parents=True)
    words = ("run", "study.yaml", "--profile", "smoke", "--workers", "1")
    run = begin(tmp_path, *words, TMPDIR=str(temporary))
    store = Store(tmp_path / "results")

    def rays_folder() -> str | None:
        titles = (title(pid) for pid in descendants(run.pid))
        found = (re.search(r"--log_dir=(\S+)/session_", said) for said in titles)
        return next((match[1] for match in found if match), None)

    wait(run, lambda: next(store.ids(), None) if started else rays_folder())
    folder = rays_folder()
    said = end(run, number, group=group)
    assert "the same command goes on from there" in said
    finished = list(store.ids())
    assert bool(finished) == started and len(finished) < 60
    for identity in finished:
        store.read(identity)
    assert folder and not Path(folder).exists() and not list(temporary.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_with_processes_of_its_own_is_stopped_in_one_line(
    tmp_path: Path, number: signal.Signals
) -> None:
    drawing = begin(tmp_path, "data", "phantom", "phantom", "--images", "50000")
    wait(drawing, lambda: list(tmp_path.glob(".phantom.*/*")))
    end(drawing, number, group=True)
    assert not list(tmp_path.iterdir())
