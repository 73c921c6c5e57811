"""A disk that takes nothing more: no fault of a trial's, but the end of a run."""

from __future__ import annotations

import errno
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import RUN_AGAIN, BenchError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""What the system answers where a disk is full, or read-only, whoever asks."""


def is_no_room(error: BaseException) -> bool:
    """Whether an error, or what Ray wrapped in it, says that a disk takes nothing more."""
    return getattr(getattr(error, "cause", error), "errno", None) in NO_ROOM


def lack_of_room(error: BaseException, *folders: Path) -> str:
    """What the system said, and how much room there is on this machine where it writes."""
    free = (
        f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB at {folder}"
        for folder in folders
        if folder.exists()
    )
    return f"{error} (free on {platform.node()}: {', '.join(free)})"


def no_room(said: str) -> BenchError:
    """The message that ends a run.

    Args:
        said: `lack_of_room`, of whatever machine.
    """
    return BenchError(said, fix=f"make room and {RUN_AGAIN}")


@contextmanager
def told_of_room(*folders: Path) -> Iterator[None]:
    """Say where there is no room if a block meets a disk that takes nothing more.

    Args:
        folders: Where the block writes.

    Raises:
        BenchError: It met one.
    """
    try:
        yield
    except OSError as error:
        if not is_no_room(error):
            raise
        raise no_room(lack_of_room(error, *folders)) from error
