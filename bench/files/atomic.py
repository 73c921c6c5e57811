"""Files and folders that appear whole or not at all, whenever the process that writes them dies.

Each is written under another name and renamed once its bytes are on disk. What a killed process
leaves behind is named `.<name>.<random>.<process id>.part`.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRAFT_SUFFIX = ".part"
_SYNC_THREADS = 8


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Write a file; it replaces the one at `path`, if any, when the block ends without an error.

    Args:
        path: The file; its folder is made.

    Yields:
        Where to write it. It has the same name as `path`, in a folder of its own beside it.
    """
    folder = _draft(path, path.parent)
    folder.mkdir(parents=True)
    try:
        draft = folder / path.name
        yield draft
        sync(draft)
        draft.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_folder(
    path: Path, *, drafts: Path | None = None, make_way: Callable[[], object] | None = None
) -> Iterator[Path]:
    """Write a folder; it appears at `path` when the block ends without an error.

    Args:
        path: The folder; the one that holds it is made.
        drafts: Where to write it, on the same file system; None for beside `path`.
        make_way: Called when the new folder is on disk, to move away what is at `path`.

    Yields:
        Where to write it.

    Raises:
        FileExistsError: There is something at `path` still; the new folder is dropped.
    """
    draft = _draft(path, drafts or path.parent)
    draft.mkdir(parents=True)
    try:
        yield draft
        _sync_all(draft)
        if make_way is not None:
            make_way()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(path)
        except OSError as error:
            if path.exists():
                raise FileExistsError(errno.EEXIST, "is there already", str(path)) from error
            raise
        sync(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_json(path: Path, plain: Any, *, sort_keys: bool = True) -> None:
    """Write JSON whole or not at all; NaN and infinity become null, as JSON has neither."""
    with new_file(path) as draft, draft.open("w", encoding="utf-8") as file:
        json.dump(finite(plain), file, indent=1, sort_keys=sort_keys, allow_nan=False)
        file.write("\n")


def sync(path: Path) -> None:
    """Make sure that a file's bytes, or a folder's entries, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_all(folder: Path) -> None:
    # Several at once: a file system then writes its journal once for many files.
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        for above, _, names in os.walk(folder):
            list(pool.map(sync, (Path(above, name) for name in (*names, ""))))


def _draft(path: Path, folder: Path) -> Path:
    return folder / f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}{DRAFT_SUFFIX}"


def finite(plain: Any) -> Any:
    """Plain values with None for a number that JSON has no word for."""
    if isinstance(plain, dict):
        return {key: finite(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [finite(value) for value in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
