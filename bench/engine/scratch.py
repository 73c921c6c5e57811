"""A folder for Ray's sockets and logs: short enough, with room, and removed afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError

OBJECT_STORE_BYTES = 200_000_000
"""Memory of Ray's object store, which carries what the workers must know and little else."""
LOG_BYTES = 20_000_000
"""Room for Ray's own logs."""
LONGEST = 40
"""Bytes of the folder's path: a socket's has 107 at most, and Ray adds up to 66 to the folder's
(`/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.0`)."""
NAME = "bench-"

SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def ray_folder(parents: Sequence[Path] = ()) -> Iterator[Path]:
    """A new folder for Ray's sockets, logs and, where `/dev/shm` is small, its object store.

    Args:
        parents: Where it may be, the wanted one first: where its path is too long for a socket, or
            there is no room, the next one is taken. Without them, `RAY_TMPDIR`, `TMPDIR` and the
            usual folders for temporary files.

    Raises:
        BenchError: There is no such folder.
    """
    refused = {}
    for parent in parents or _candidates():
        why = _unfit(parent)
        if not why:
            try:
                folder = Path(tempfile.mkdtemp(prefix=NAME, dir=parent))
            except OSError as error:
                why = error.strerror or str(error)
        if why:
            refused[parent] = why
            continue
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    raise BenchError(
        "Ray finds no folder for its sockets and logs: "
        + "; ".join(f"{parent}: {why}" for parent, why in refused.items()),
        where="RAY_TMPDIR",
        fix=f"set it to a folder with {_wanted_bytes() / 1e6:,.0f} MB free that can be written, of "
        f"at most {_longest_parent()} characters",
    )


def _candidates() -> list[Path]:
    """Folders for temporary files, the wanted one first."""
    named = (os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR"))
    usual = ("/tmp", "/var/tmp", SHARED_MEMORY, os.environ.get("XDG_RUNTIME_DIR"))
    return list(dict.fromkeys(Path(path).absolute() for path in (*named, *usual) if path))


def _unfit(parent: Path) -> str:
    """Why Ray's folder cannot be in another; empty where it can."""
    if not parent.is_dir():
        return "is no folder"
    if len(os.fsencode(parent)) > _longest_parent():
        return "its path is too long for a socket"
    if (free := _free(parent)) < _wanted_bytes():
        return f"{free / 1e6:,.0f} MB free"
    return ""


def _longest_parent() -> int:
    return LONGEST - len(f"/{NAME}") - 8  # the random part of `mkdtemp`


def _wanted_bytes() -> int:
    """Room for the logs, and for the object store where shared memory has none."""
    fits = SHARED_MEMORY.is_dir() and _free(SHARED_MEMORY) > OBJECT_STORE_BYTES + LOG_BYTES
    return LOG_BYTES + (0 if fits else OBJECT_STORE_BYTES)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
