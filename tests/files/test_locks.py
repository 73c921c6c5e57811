"""Locks exclude other processes, end with theirs, and leave no file behind."""

from __future__ import annotations

import errno
import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.files.locks import WITHOUT_LOCKS, is_locked, locked

HOLD = """
import sys, time
from pathlib import Path
from bench.files.locks import locked
with locked(Path(sys.argv[1]), wait=True):
    print("held", flush=True)
    time.sleep(60)
"""

COUNT = """
import sys
from pathlib import Path
from bench.files.locks import locked
lock, number = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(100):
    with locked(lock, wait=True):
        number.write_text(str(int(number.read_text()) + 1))
"""


def test_a_lock_ends_with_its_process_and_can_be_had_again(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert is_locked(path)
        with locked(path, wait=False) as mine:
            assert not mine
        holder.kill()
    assert holder.returncode == -signal.SIGKILL
    assert path.exists() and not is_locked(path), "left, but not held"
    with locked(path, wait=False) as mine:
        assert mine
    assert not path.exists()


def test_no_two_processes_are_in_at_once_though_the_file_comes_and_goes(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "lock"), str(number)]
    for counter in [subprocess.Popen(command) for _ in range(4)]:
        assert counter.wait(timeout=120) == 0
    assert number.read_text() == "400" and list(tmp_path.iterdir()) == [number]


def test_asking_makes_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", WITHOUT_LOCKS)
def test_a_file_system_without_locks_lets_everyone_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / "lock"
    with locked(path, wait=True) as one, locked(path, wait=False) as other:
        assert one and other and not is_locked(path)
    assert not path.exists()


def test_another_error_of_a_lock_is_not_taken_for_a_missing_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="broken"), locked(tmp_path / "lock", wait=True):
        pass
