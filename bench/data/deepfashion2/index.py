"""Reads 250,000 annotation files and image headers once, and keeps what they say in parts.

A part is what some thousand files say. It is kept as soon as it is read, so that a reading that is
stopped goes on where it was; it is read again only where one of its files changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.cached_arrays import DAMAGED, keep_arrays
from bench.data.deepfashion2.annotation import MOST_BYTES, Fault, Item, parse
from bench.data.images import ORIENTED, UnreadableImage, read_header
from bench.data.issues import IssueLog
from bench.data.items import SHOP, UNKNOWN, USER

INDEX_VERSION = 2
"""Raised by hand whenever the same files would be indexed otherwise than before."""

LEFT_OUT = "annotation file left out"
UNREADABLE = "unreadable image (left out)"

_PART = 1000
_THREADS = 4
_DOMAINS = {"user": USER, "shop": SHOP}
_GRADES = ("scale", "occlusion", "zoom_in", "viewpoint")
_COLUMNS: dict[str, tuple[str, int]] = {
    "usable": ("?", 1), "pair_id": ("<i4", 1), "domain": ("i1", 1), "image_size": ("<i4", 2),
    "items": ("<i4", 1), "category": ("<i2", 1), "style": ("<i4", 1), "box": ("<f4", 4),
    "grades": ("i1", 4), "labelled": ("<i4", 1), "points": ("<f4", 3), "polygons": ("<i4", 1),
    "edges": ("<i4", 1), "corners": ("<f4", 2),
}  # fmt: skip
"""Columns of a part: by image, by item, by landmark, by item, by polygon, by corner."""


@dataclass(frozen=True)
class IndexedFile:
    """An image, and its annotation where it has one.

    Args:
        image: Path of the image below the data folder.
        annotation: Path of the annotation, or empty.
        stamp: Size and modification time of both, in bytes and nanoseconds.
    """

    image: str
    annotation: str
    stamp: tuple[int, int, int, int]


def read_index(
    root: Path,
    files: list[IndexedFile],
    log: IssueLog,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Read what annotation files and image headers say, or recall it.

    Args:
        root: The data folder.
        files: What to read.
        log: Where what is wrong or odd in them is counted.
        cache: Folder to keep the parts in; None reads all of them each time.
        progress: Called with (files read, files).

    Returns:
        The columns of the index: `usable`, `pair_id`, `domain`, `image_size` and the number of
        `items` by file; `category`, `style`, `box`, `grades` (scale, occlusion, zoom-in,
        viewpoint), how many landmarks (`labelled`) and `polygons` by item; `points`; the number of
        corners (`edges`) by polygon; and `corners`.

    Raises:
        BenchError: The cache folder cannot be written.
    """
    folder = None
    if cache is not None:
        place = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
        folder = cache / f"deepfashion2-{place}"
    parts = []
    for number, at in enumerate(range(0, max(len(files), 1), _PART)):
        part = files[at : at + _PART]
        kept = None if folder is None else folder / f"part-{number:04d}.npz"
        columns, oddities = _part(root, part, kept)
        parts.append(columns)
        _count(oddities, log)
        if progress is not None:
            progress(at + len(part), len(files))
    return {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}


def _part(
    root: Path, files: list[IndexedFile], kept: Path | None
) -> tuple[dict[str, np.ndarray], list[list]]:
    key = hashlib.sha256(repr((INDEX_VERSION, files)).encode("utf-8", "surrogateescape"))
    known = None if kept is None else _recall(kept, key.hexdigest())
    if known is not None:
        return known
    columns, oddities = _read(root, files)
    if kept is not None:
        keep_arrays(kept, columns | {"about": _packed([key.hexdigest(), oddities])})
    return columns, oddities


def _read(root: Path, files: list[IndexedFile]) -> tuple[dict[str, np.ndarray], list[list]]:
    log = IssueLog()
    rows: dict[str, list] = {name: [] for name in _COLUMNS}
    with ThreadPoolExecutor(_THREADS) as pool:
        # Only waiting for the disk overlaps; parsing keeps one processor busy.
        for file, (raw, (size, orientation), reason) in zip(
            files, pool.map(lambda file: _bytes(root, file), files), strict=True
        ):
            found = _parsed(file, raw, log) if not reason else None
            if orientation > 1:
                log.add(ORIENTED, file.image)
            if reason:
                log.add(UNREADABLE, f"{file.image}: {reason}")
            rows["usable"].append(not reason and (found is not None or not file.annotation))
            pair_id, domain, items = found or (-1, UNKNOWN, [])
            rows["pair_id"].append(pair_id)
            rows["domain"].append(domain)
            rows["image_size"].append(size)
            rows["items"].append(len(items))
            for item in items:
                _append(rows, item)
    columns = {
        name: np.array(rows[name], dtype=kind).reshape((-1, width) if width > 1 else -1)
        for name, (kind, width) in _COLUMNS.items()
    }
    oddities = [[i.kind, i.count, list(i.examples), i.blocking] for i in log.issues()]
    return columns, oddities


def _append(rows: dict[str, list], item: Item) -> None:
    rows["category"].append(item.category_id - 1)
    rows["style"].append(item.style)
    rows["box"].append(item.bounding_box)
    rows["grades"].append([getattr(item, name) for name in _GRADES])
    rows["labelled"].append(len(item.landmarks) // 3)
    rows["points"] += item.landmarks
    rows["polygons"].append(len(item.segmentation))
    for polygon in item.segmentation:
        rows["edges"].append(len(polygon) // 2)
        rows["corners"] += polygon


def _bytes(
    root: Path, file: IndexedFile
) -> tuple[bytes | OSError, tuple[tuple[int, int], int], str]:
    """The annotation's bytes, the image's size and orientation, and why it cannot be read."""
    raw: bytes | OSError = b""
    try:
        if file.annotation:
            # One byte more than allowed is enough to tell that there are too many.
            with open(f"{root}/{file.annotation}", "rb") as opened:  # noqa: PTH123
                raw = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raw = error
    try:
        return raw, read_header(f"{root}/{file.image}"), ""
    except UnreadableImage as error:
        return raw, ((0, 0), 1), error.reason


def _parsed(
    file: IndexedFile, raw: bytes | OSError, log: IssueLog
) -> tuple[int, int, list[Item]] | None:
    if not file.annotation:
        return None
    try:
        if isinstance(raw, OSError):
            raise Fault("cannot be read", str(raw.strerror))
        found = parse(raw)
    except Fault as fault:
        log.add(f"{LEFT_OUT}: {fault.kind}", f"{file.annotation}: {fault.found}", blocking=True)
        return None
    for kind, count in Counter(found.oddities).items():
        log.add(kind, file.annotation, count=count)
    return found.pair_id, _DOMAINS[found.source], found.items


def _recall(kept: Path, key: str) -> tuple[dict[str, np.ndarray], list[list]] | None:
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            if about[0] != key:
                return None
            return {name: stored[name] for name in _COLUMNS}, about[1]
    except DAMAGED:
        # Only a cache: missing or damaged, it is read and written again.
        return None


def _packed(plain: list) -> np.ndarray:
    return np.frombuffer(json.dumps(plain).encode("utf-8"), dtype=np.uint8)


def _count(oddities: list[list], log: IssueLog) -> None:
    for kind, count, examples, blocking in oddities:
        for example in examples:
            log.add(kind, example, blocking=blocking)
        log.add(kind, blocking=blocking, count=count - len(examples))
