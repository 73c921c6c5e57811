"""Reads DeepFashion2's layout, `train|validation|test/{image,annos}`, into a manifest with items.

Images keep the order of their names, part by part. The release has no annotations of its test
images: they are rows without items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.deepfashion2.categories import CATEGORIES, NAMES
from bench.data.deepfashion2.index import LEFT_OUT, UNREADABLE, IndexedFile, read_index
from bench.data.deepfashion2.oddities import count_oddities
from bench.data.fingerprint import fingerprint
from bench.data.issues import IssueLog
from bench.data.items import NO_IDENTITY, UNKNOWN, UNLABELLED, Items
from bench.data.manifest import ABSENT, Manifest
from bench.data.tree import ImageTree, scan_images
from bench.errors import BenchError

PARTS = ("train", "validation", "test")
"""The folders of the parts, in the order of `PARTITIONS`."""

MALFORMED_SHARE = 0.01
"""The share of unusable annotation files above which the data is refused as a whole."""

MISSING_SHARE = 0.01
"""The share of missing or unreadable images above which a source counts as incomplete."""

_IMAGES, _ANNOTATIONS = "image", "annos"


def is_deepfashion2(root: Path) -> bool:
    """Whether a folder has annotations where DeepFashion2 has them.

    Args:
        root: The folder.
    """
    return any((root / part / _ANNOTATIONS).is_dir() for part in PARTS)


def load_deepfashion2(
    root: Path,
    *,
    source: str = "deepfashion2",
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Read a folder in DeepFashion2's layout.

    Args:
        root: The folder that holds `train/`, `validation/` and `test/`, or some of them.
        source: Name of the source, for the manifest.
        cache: Folder to keep what the files say in between runs; None reads all of them again.
        progress: Called with (files read, files).

    Returns:
        One row for each image with a usable annotation, and for each test image without any; no
        category, clothes type or landmarks of its own: its `items` have them.

    Raises:
        BenchError: A part without images, nothing that can be used, or more than one annotation
            file in a hundred that is not what it should be.
    """
    log = IssueLog()
    parts = [_files(root, part, log) for part in PARTS]
    files = [file for part in parts for file in part]
    columns = read_index(root, files, log, cache=cache, progress=progress)
    usable = columns["usable"]
    _refuse_unusable(root, files, usable, log)
    partition = np.repeat(np.arange(len(PARTS)), list(map(len, parts))).astype(np.int8)[usable]
    items = _items(columns, partition)
    used = [file for file, kept in zip(files, usable.tolist(), strict=True) if kept]
    # An image without annotation is of a pair of its own.
    alone = np.where(items.domain == UNKNOWN, np.arange(len(used)), UNKNOWN)
    pairs = _groups(partition, items.pair_id, alone)
    count_oddities(items, columns, np.array([file.image for file in used]), pairs, log)
    return Manifest(
        source=source,
        root=root,
        product=pairs,
        image_size=columns["image_size"][usable],
        class_names=NAMES,
        issues=log.issues(),
        items=items,
        **_columns(used, items, partition),
    )


def _columns(files: list[IndexedFile], items: Items, partition: np.ndarray) -> dict[str, Any]:
    """Paths, fingerprint, and what an image that has several garments has none of itself."""
    count = len(files)
    paths = [file.image for file in files]
    columns: dict[str, Any] = {
        "category": np.full(count, -1, dtype=np.int16),
        "clothes_type": np.zeros(count, dtype=np.int8),
        "landmarks": np.full((count, 8, 2), np.nan, dtype=np.float32),
        "visibility": np.full((count, 8), ABSENT, dtype=np.int8),
        "partition": partition,
    }
    sizes = np.array([file.stamp[0] for file in files], dtype=np.int64)
    identity = fingerprint(
        class_names=NAMES, paths=paths, file_sizes=sizes, more=items.arrays(), **columns
    )
    return columns | {"paths": np.array(paths, dtype=np.str_), "fingerprint": identity}


def _files(root: Path, part: str, log: IssueLog) -> list[IndexedFile]:
    """Images of a part with their annotations, sorted by name."""
    annotated = (root / part / _ANNOTATIONS).is_dir()
    if not (root / part / _IMAGES).is_dir():
        if annotated:
            raise BenchError(
                f"expected the images of {part}/{_ANNOTATIONS}/ in {part}/{_IMAGES}/; "
                "that is not there",
                where=str(root),
                fix=f"unpack all of {part}.zip there",
            )
        log.add(f"no {part} images", f"looked for {part}/{_IMAGES}/")
        return []
    images = scan_images(root, root, f"{part}/{_IMAGES}", log)
    if not annotated and part == "test":
        log.add("test image without annotation, as released", count=len(images.names))
        return [IndexedFile(name, "", (*stamp, 0, 0)) for name, stamp in _stamps(images)]
    annotations = (
        scan_images(root, root, f"{part}/{_ANNOTATIONS}", log, (".json",)) if annotated else None
    )
    return list(_matched(images, annotations, log))


def _matched(
    images: ImageTree, annotations: ImageTree | None, log: IssueLog
) -> Iterator[IndexedFile]:
    found = (
        {} if annotations is None else {_stem(name): (name, s) for name, s in _stamps(annotations)}
    )
    seen: set[str] = set()
    lonely = []
    for name, stamp in _stamps(images):
        stem = _stem(name)
        if stem in seen:
            log.add("second image of one name (left out)", name, blocking=True)
        elif stem not in found:
            lonely.append(name)
        else:
            annotation, its_stamp = found[stem]
            yield IndexedFile(name, annotation, (*stamp, *its_stamp))
        seen.add(stem)
    allowed = MISSING_SHARE * len(images.names)
    for name in lonely:
        log.add("image without an annotation file (left out)", name, blocking=len(lonely) > allowed)
    missing = [name for stem, (name, _) in found.items() if stem not in seen]
    for name in missing:
        log.add(
            "annotation file without an image (left out)",
            name,
            blocking=len(missing) > MISSING_SHARE * len(found),
        )


def _stamps(tree: ImageTree) -> Iterator[tuple[str, tuple[int, int]]]:
    stamps = zip(tree.sizes.tolist(), tree.mtimes.tolist(), strict=True)
    return zip(tree.names, stamps, strict=True)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _refuse_unusable(
    root: Path, files: list[IndexedFile], usable: np.ndarray, log: IssueLog
) -> None:
    annotated = sum(bool(file.annotation) for file in files)
    faults = [issue for issue in log.issues() if issue.kind.startswith(LEFT_OUT)]
    count = sum(fault.count for fault in faults)
    if count > MALFORMED_SHARE * annotated:
        worst = max(faults, key=lambda fault: fault.count)
        place, _, found = worst.examples[0].partition(": ")
        what = worst.kind.removeprefix(f"{LEFT_OUT}: ")
        raise BenchError(
            f"expected DeepFashion2's annotation of an image, found {what} ({found}); "
            f"{count:,} of {annotated:,} annotation files cannot be used",
            where=place,
            fix="unpack the annotations again from the release",
        )
    if not usable.any():
        raise BenchError(
            "expected images with annotations, such as train/image/000001.jpg with "
            "train/annos/000001.json; found none that can be used",
            where=str(root),
            fix="unpack train.zip, validation.zip and test.zip of the release there",
        )
    unreadable = sum(issue.count for issue in log.issues() if issue.kind == UNREADABLE)
    if unreadable > MISSING_SHARE * len(files):
        log.make_blocking(UNREADABLE)


def _items(columns: dict[str, np.ndarray], partition: np.ndarray) -> Items:
    usable = columns["usable"]
    pair_id = columns["pair_id"][usable]
    image = np.repeat(np.arange(len(partition)), columns["items"][usable]).astype(np.int32)
    style = columns["style"]
    size = columns["image_size"][usable][image].astype(np.float32)
    grades = columns["grades"]
    counts = np.array([category.landmarks for category in CATEGORIES])[columns["category"]]
    return Items(
        pair_id=pair_id,
        domain=columns["domain"][usable],
        image=image,
        category=columns["category"],
        style=style,
        identity=_identities(partition[image], pair_id[image], style),
        box=np.clip(columns["box"], 0, np.tile(size, 2)),
        scale=grades[:, 0],
        occlusion=grades[:, 1],
        zoom_in=grades[:, 2],
        viewpoint=grades[:, 3],
        points=_all_points(columns["points"], columns["labelled"], counts),
        point_starts=_starts(counts),
        corners=columns["corners"],
        corner_starts=_starts(columns["edges"]),
        polygon_starts=_starts(columns["polygons"]),
    )


def _all_points(points: np.ndarray, labelled: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Points of every item, also of those that none was annotated of; the unlabelled at zero."""
    full = np.zeros((int(counts.sum()), 3), dtype=np.float32)
    full[np.repeat(labelled > 0, counts)] = points
    full[full[:, 2] == UNLABELLED] = 0
    return full


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _groups(*columns: np.ndarray) -> np.ndarray:
    """A number for each distinct row of some columns."""
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].astype(np.int32)


def _identities(partition: np.ndarray, pair_id: np.ndarray, style: np.ndarray) -> np.ndarray:
    # Numbers of pairs begin anew in each part, so that a part belongs to what tells garments apart.
    identity = np.full(len(style), NO_IDENTITY, dtype=np.int32)
    named = (style > 0) & (pair_id != UNKNOWN)
    identity[named] = _groups(partition[named], pair_id[named], style[named])
    return identity
