"""Locks between processes: what two runs on one results folder or cache must not do twice at once.

An advisory lock on a file, which the system gives up when the process ends, however it ends: there
are no stale locks to clear away after a kill.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What a file system says that has no locks."""


@contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock for the length of a block; its file is removed afterwards.

    On a file system without locks everyone is let in: work may then be done twice, and is stored
    once all the same.

    Args:
        path: The lock's file; its folder is made.
        wait: Whether to wait for another process to give it up.

    Yields:
        Whether the lock is held; always True for `wait`.
    """
    handle = _acquire(path, wait)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        # Removed before it is given up, so that whoever waits for it sees that it is gone.
        path.unlink(missing_ok=True)
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock at this moment."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    finally:
        os.close(handle)
    return False


def _acquire(path: Path, wait: bool) -> int | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                os.close(handle)
                raise
            return handle
        if _is_at(handle, path):
            return handle
        os.close(handle)  # its last holder removed it while this one waited


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
