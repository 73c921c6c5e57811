"""A full disk: it ends the run, and is not counted as a failure of a trial."""

from __future__ import annotations

import errno
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import RUN_AGAIN, BenchError

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Error numbers of a disk that is full, over quota or read-only."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or the one that Ray wrapped in it, says that a disk is full."""
    return getattr(getattr(error, "cause", error), "errno", None) in DISK_FULL_ERRNOS


def describe_disk_full(error: BaseException, *folders: Path) -> str:
    """The error, and how much space this machine has where it writes."""
    free = (
        f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB at {folder}"
        for folder in folders
        if folder.exists()
    )
    return f"{error} (free on {platform.node()}: {', '.join(free)})"


def disk_full(description: str) -> BenchError:
    """The message that ends a run.

    Args:
        description: `describe_disk_full`, of any machine.
    """
    return BenchError(description, fix=f"make room and {RUN_AGAIN}")


@contextmanager
def report_disk_full(*folders: Path) -> Iterator[None]:
    """Report where there is no space if a block finds a full disk.

    Args:
        folders: Where the block writes.

    Raises:
        BenchError: It found one.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise disk_full(describe_disk_full(error, *folders)) from error
