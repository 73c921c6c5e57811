"""What `bench fsck` finds: what is wrong, where, and how it can be repaired."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str, int, int], None]
"""Called with (phase, done, total)."""

LEFTOVER_SECONDS = 600.0
"""A half-written file that has not changed for so long was left by a process that is gone."""


@dataclass(frozen=True)
class Repair:
    """A repair that loses nothing that cannot be made again.

    Args:
        does: What it does, in words.
        act: Does it.
    """

    does: str
    act: Callable[[], object]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written, or not where it belongs.

    Args:
        kind: Short name, the same for all of a kind.
        path: File or folder.
        what: What is wrong with it.
        repair: How to repair it; None where the user must decide.
        retrain: Names of trials that must be trained again because of it.
    """

    kind: str
    path: Path
    what: str
    repair: Repair | None = None
    retrain: tuple[str, ...] = ()


def foreign(path: Path, belongs: str) -> Finding:
    """A file or folder that the bench did not make; never touched."""
    return Finding("foreign", path, f"is not one of {belongs}")


def leftover(path: Path) -> Finding:
    """What a killed process left half written."""
    return Finding("leftover", path, "was left half written", removal(path))


def leftovers(paths: Iterable[Path]) -> Iterator[Finding]:
    """Those of some half-written files and folders that nobody writes any more."""
    return (leftover(path) for path in sorted(paths) if is_left(path))


def removal(path: Path, then: str = "") -> Repair:
    """Removing a file or folder that can be made again.

    Args:
        path: What to remove.
        then: What happens afterwards, in words.
    """

    def remove() -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    return Repair(f"removed{f'; {then}' if then else ''}", remove)


def is_left(path: Path) -> bool:
    """Whether something half written has not changed for so long that nobody is writing it."""
    parts = [path, *path.rglob("*")] if path.is_dir() else [path]
    try:
        newest = max(part.lstat().st_mtime for part in parts)
    except FileNotFoundError:
        return False  # just now renamed into its place
    return time.time() - newest > LEFTOVER_SECONDS
