"""Widths and heights of a source's images, read from their headers once and cached."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bench.data.cached_arrays import DAMAGED, keep_arrays
from bench.data.images import UnreadableImage, stored_size
from bench.data.tree import ImageTree

_CHUNK = 1000
_THREADS = 4
"""Few: Pillow parses one header at a time, and only waiting for the disk overlaps."""


def image_sizes(
    tree: ImageTree,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Read the stored size of every image.

    Args:
        tree: The images.
        cache: Folder to keep the sizes in; a file whose bytes or modification time changed is
            read again. None reads all of them each time.
        progress: Called with (headers read, headers to read).

    Returns:
        `(n, 2)` int32 widths and heights, 0 where unreadable; and for each unreadable image its
        index and the reason.

    Raises:
        BenchError: The cache folder cannot be written.
    """
    sizes = np.zeros((len(tree.names), 2), dtype=np.int32)
    kept = None if cache is None else _cache_file(cache, tree.base)
    if kept is not None:
        _recall(kept, tree, sizes)
    unread = np.flatnonzero(sizes[:, 0] == 0)
    reasons = _read_headers(tree, unread, sizes, progress)
    if kept is not None and len(unread) > len(reasons):
        _keep(kept, tree, sizes)
    return sizes, reasons


def _read_headers(
    tree: ImageTree,
    rows: np.ndarray,
    sizes: np.ndarray,
    progress: Callable[[int, int], None] | None,
) -> dict[int, str]:
    base = str(tree.base)

    def read(chunk: list[int]) -> tuple[list[int], list[tuple[int, int]], dict[int, str]]:
        found, faults = [], {}
        for row in chunk:
            try:
                found.append(stored_size(f"{base}/{tree.names[row]}"))
            except UnreadableImage as error:
                found.append((0, 0))
                faults[row] = error.reason
        return chunk, found, faults

    chunks = [rows[at : at + _CHUNK].tolist() for at in range(0, len(rows), _CHUNK)]
    reasons: dict[int, str] = {}
    done = 0
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        for chunk, found, faults in pool.map(read, chunks):
            sizes[chunk] = found
            reasons.update(faults)
            done += len(chunk)
            if progress is not None:
                progress(done, len(rows))
    return reasons


def _cache_file(cache: Path, base: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(base))).hexdigest()[:16]
    return cache / f"image-sizes-{name}.npz"


def _recall(kept: Path, tree: ImageTree, sizes: np.ndarray) -> None:
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            names = stored["names"].tobytes().decode("utf-8").split("\0")
            known = np.column_stack([stored["bytes"], stored["mtimes"], stored["sizes"]])
        if len(known) != len(names) or known.shape[1] != 4:
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
    sizes[same] = known[rows[same], 2:]


def _keep(kept: Path, tree: ImageTree, sizes: np.ndarray) -> None:
    names = np.frombuffer("\0".join(tree.names).encode("utf-8"), dtype=np.uint8)
    keep_arrays(kept, {"names": names, "bytes": tree.sizes, "mtimes": tree.mtimes, "sizes": sizes})
