"""Keeps what reading a source found in the cache folder, where it is only ever a copy."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.files.atomic import new_file

DAMAGED = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged file of arrays may raise; RuntimeError is an unknown compression."""


def keep_arrays(kept: Path, arrays: dict[str, Any]) -> None:
    """Write arrays to a file of the cache folder, whole or not at all.

    Args:
        kept: The file, an NPZ.
        arrays: The arrays by name.

    Raises:
        BenchError: The cache folder cannot be written.
    """
    try:
        with new_file(kept) as draft:
            np.savez(draft, **arrays)
    except OSError as error:
        raise BenchError(
            f"the cache folder cannot be written: {error.strerror}",
            where=str(kept.parent),
            fix="free space or make it writable, or choose another cache folder",
        ) from error
