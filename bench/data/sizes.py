"""Sizes and orientations of a source's images, read from their headers once and cached."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.data.cached_arrays import DAMAGED, keep_arrays
from bench.data.images import UnreadableImage, read_header
from bench.data.tree import ImageTree

_CHUNK = 1000
_THREADS = 4
"""Few: Pillow parses one header at a time, and only waiting for the disk overlaps."""


class Headers(NamedTuple):
    """What the headers of n images say.

    Args:
        sizes: `(n, 2)` int32 widths and heights as stored, 0 where unreadable.
        unreadable: Index -> reason, of each image that cannot be read.
        orientation: `(n,)` int8 EXIF orientation, 1 (upright) to 8; 0 where unreadable.
    """

    sizes: np.ndarray
    unreadable: dict[int, str]
    orientation: np.ndarray


def image_sizes(
    tree: ImageTree,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Headers:
    """Read the stored size and the orientation of every image.

    Args:
        tree: The images.
        cache: Folder to keep the sizes in; a file whose bytes or modification time changed is
            read again. None reads all of them each time.
        progress: Called with (headers read, headers to read).

    Raises:
        BenchError: The cache folder cannot be written.
    """
    found = np.zeros((len(tree.names), 3), dtype=np.int32)
    kept = None if cache is None else _cache_file(cache, tree.base)
    if kept is not None:
        _recall(kept, tree, found)
    unread = np.flatnonzero(found[:, 0] == 0)
    reasons = _read_headers(tree, unread, found, progress)
    if kept is not None and len(unread) > len(reasons):
        _keep(kept, tree, found)
    return Headers(found[:, :2], reasons, found[:, 2].astype(np.int8))


def _read_headers(
    tree: ImageTree,
    rows: np.ndarray,
    into: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> dict[int, str]:
    """Fill rows of width, height and orientation; gives back why the others cannot be read."""
    base = str(tree.base)

    def read(chunk: list[int]) -> tuple[list[int], list[tuple[int, int, int]], dict[int, str]]:
        found, faults = [], {}
        for row in chunk:
            try:
                size, orientation = read_header(f"{base}/{tree.names[row]}")
                found.append((*size, orientation))
            except UnreadableImage as error:
                found.append((0, 0, 0))
                faults[row] = error.reason
        return chunk, found, faults

    chunks = [rows[at : at + _CHUNK].tolist() for at in range(0, len(rows), _CHUNK)]
    reasons: dict[int, str] = {}
    done = 0
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        for chunk, found, faults in pool.map(read, chunks):
            into[chunk] = found
            reasons.update(faults)
            done += len(chunk)
            if progress is not None:
                progress(done, len(rows))
    return reasons


def _cache_file(cache: Path, base: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(base))).hexdigest()[:16]
    return cache / f"image-sizes-{name}.npz"


def _recall(kept: Path, tree: ImageTree, into: np.ndarray) -> None:
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            names = stored["names"].tobytes().decode("utf-8").split("\0")
            # A file of before has no orientations: it is read over like a damaged one.
            columns = [stored[name] for name in ("bytes", "mtimes", "sizes", "orientation")]
            known = np.column_stack(columns)
        if len(known) != len(names) or known.shape[1] != 5:
            return
    except DAMAGED:
        # Only a cache: missing or damaged, it is written again.
        return
    place = {name: index for index, name in enumerate(names)}
    rows = np.fromiter((place.get(name, -1) for name in tree.names), np.int64, len(tree.names))
    same = rows >= 0
    same[same] = (known[rows[same], 0] == tree.sizes[same]) & (
        known[rows[same], 1] == tree.mtimes[same]
    )
    into[same] = known[rows[same], 2:]


def _keep(kept: Path, tree: ImageTree, found: np.ndarray) -> None:
    names = np.frombuffer("\0".join(tree.names).encode("utf-8"), dtype=np.uint8)
    keep_arrays(
        kept,
        {
            "names": names,
            "bytes": tree.sizes,
            "mtimes": tree.mtimes,
            "sizes": found[:, :2],
            "orientation": found[:, 2],
        },
    )
