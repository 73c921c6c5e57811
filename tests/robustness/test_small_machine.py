"""Machines that lack what a laptop has: room in `/tmp` and `/dev/shm`, a folder to write to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench.engine.scratch import LONGEST, ray_folder
from bench.errors import BenchError
from tests.command import BENCH

STUDY = "base: {preset: ropanet_baseline, train.epochs: 1}\nseeds: 1\n"
OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]

needs_own_mounts = pytest.mark.skipif(
    subprocess.run([*OWN_MOUNTS, "mount -t tmpfs none /mnt"], check=False).returncode != 0,
    reason="this system lets nobody mount for himself",
)


def mounted(folder: Path, mounts: str, *words: str, **environment: str) -> tuple[int, str]:
    """A command's exit code and what it says, with other things mounted than usual."""
    done = subprocess.run(
        [*OWN_MOUNTS, f'{mounts}\nexec "$@"', "sh", *BENCH, *words], cwd=folder, text=True,
        env=os.environ | environment, capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    return done.returncode, said


@needs_own_mounts
def test_a_container_with_little_shared_memory_and_a_full_temporary_folder_trains(
    tmp_path: Path, own_warm_cache: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "tmp").mkdir()
    small = (
        "mount -t tmpfs -o size=64m none /dev/shm\n"
        "mount -t tmpfs -o size=100k none tmp\n"
        "cat /dev/zero > tmp/full 2>/dev/null || true"
    )
    words = ("run", "study.yaml", "--profile", "smoke")
    code, said = mounted(tmp_path, small, *words, TMPDIR=str(tmp_path / "tmp"))
    assert code == 0 and "1 trained" in said, said


@needs_own_mounts
@pytest.mark.parametrize("folder", ["results", ".cache"])
def test_a_folder_on_a_read_only_disk_is_one_message(
    tmp_path: Path, own_warm_cache: Path, folder: str
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / folder).mkdir(exist_ok=True)
    read_only = f"mount --bind {folder} {folder}\nmount -o remount,bind,ro {folder}"
    data = ("--data", ".cache/phantom/300-images-seed-0")
    words = ("run", "study.yaml", "--profile", "smoke", *data)
    code, said = mounted(tmp_path, read_only, *words)
    assert code == 2 and said.count("error: ") == 1, said
    assert "Read-only file system" in said and folder in said and "\n  -> " in said


def test_rays_folder_is_the_first_that_has_room_and_a_short_path(tmp_path: Path) -> None:
    long, file = tmp_path / ("x" * LONGEST), tmp_path / "file"
    long.mkdir()
    file.touch()
    with ray_folder([long, file, Path("/tmp")]) as folder:
        assert folder.parent == Path("/tmp") and len(os.fsencode(folder)) <= LONGEST
    assert not folder.exists()
    refused = pytest.raises(BenchError, match=r"too long for a socket.*is no folder")
    with refused as found, ray_folder([long, file]):
        pass
    assert found.value.where == "RAY_TMPDIR" and "MB free" in str(found.value.fix)
