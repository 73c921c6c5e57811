"""A disk that is full or read-only: it ends the run, and is not counted as a failure of a trial."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import RUN_AGAIN, BenchError

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Error numbers of a disk that is full, over quota or read-only."""


WRITABLE = "name folders that can be written (--results, --cache)"
"""What to do where a disk or a folder is read-only."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or the one that Ray wrapped in it, says that a disk is full."""
    return getattr(getattr(error, "cause", error), "errno", None) in DISK_FULL_ERRNOS


def describe_disk_full(error: BaseException, *folders: Path) -> str:
    """The error, and how much space this machine has where it writes, temporary files included."""
    free = (
        f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB at {folder}"
        for folder in (*folders, *_temporary())
        if folder.exists()
    )
    return f"{error} (free on {platform.node()}: {', '.join(free)})"


def _temporary() -> list[Path]:
    """The folder for temporary files; none where no such folder can be written."""
    try:
        return [Path(tempfile.gettempdir())]
    except OSError:
        return []


def disk_full(description: str) -> BenchError:
    """The message that ends a run.

    Args:
        description: `describe_disk_full`, of any machine.
    """
    if os.strerror(errno.EROFS) in description:
        return BenchError(description, fix=WRITABLE)
    return BenchError(description, fix=f"make room and {RUN_AGAIN}")


@contextmanager
def report_disk_full(*folders: Path) -> Iterator[None]:
    """Report where there is no space if a block finds a full disk, or what may not be written.

    Args:
        folders: Where the block writes.

    Raises:
        BenchError: It found one.
    """
    try:
        yield
    except PermissionError as error:
        raise BenchError(f"{error}", fix=WRITABLE) from error
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise disk_full(describe_disk_full(error, *folders)) from error
