"""Locks between processes: what two runs on one results folder or cache must not do at once.

An advisory lock on a file, which the system releases when the process ends, however it ends: a kill
leaves no stale lock. The `filelock` package is not used: it keeps lock files for ever, and falls
back to stale ones where a file system has no locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""Error numbers of a file system that has no locks."""


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock for the length of a block; its file is removed afterwards.

    On a file system without locks everyone is let in: work may then be done twice, and is stored
    once all the same.

    Args:
        path: The lock's file; its folder is made.
        wait: Whether to wait until another process releases it.

    Yields:
        Whether this process has the lock; always True for `wait`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("ab") as file:
            mine = lock_open_file(file, wait=wait)
            if mine and not _is_at(file, path):
                continue  # its last holder removed it while this process waited
            try:
                yield mine
            finally:
                if mine:
                    # Removed before it is released, so that whoever waits sees that it is gone.
                    path.unlink(missing_ok=True)
            return


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock at this moment."""
    try:
        with path.open("r+b") as file:
            return not lock_open_file(file, wait=False)
    except FileNotFoundError:
        return False


def lock_open_file(file: IO[bytes], *, wait: bool) -> bool:
    """Lock an open file until it is closed; whether this process has the lock.

    On a file system without locks everyone has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
