"""A disk that takes nothing more: no fault of a trial's, but the end of a run."""

from __future__ import annotations

import errno
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import RUN_AGAIN, BenchError

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""What the system answers where a disk is full, or read-only, whoever asks."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what Ray wrapped in it, says that a disk takes nothing more."""
    return getattr(getattr(error, "cause", error), "errno", None) in DISK_FULL_ERRNOS


def describe_disk_full(error: BaseException, *folders: Path) -> str:
    """What the system said, and how much room there is on this machine where it writes."""
    free = (
        f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB at {folder}"
        for folder in folders
        if folder.exists()
    )
    return f"{error} (free on {platform.node()}: {', '.join(free)})"


def disk_full(said: str) -> BenchError:
    """The message that ends a run.

    Args:
        said: `describe_disk_full`, of whatever machine.
    """
    return BenchError(said, fix=f"make room and {RUN_AGAIN}")


@contextmanager
def report_disk_full(*folders: Path) -> Iterator[None]:
    """Say where there is no room if a block meets a disk that takes nothing more.

    Args:
        folders: Where the block writes.

    Raises:
        BenchError: It met one.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise disk_full(describe_disk_full(error, *folders)) from error
