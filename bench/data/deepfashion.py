"""Reads DeepFashion's Category and Attribute Prediction Benchmark from its layout on disk.

Images keep the order of the label file; nothing is merged (PAPER ledger, row 19) and nothing is
left out without being counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.annotations import (
    AnnotationFile,
    read_categories,
    read_labels,
    read_landmarks,
    read_partition,
)
from bench.data.fingerprint import fingerprint
from bench.data.issues import IssueLog
from bench.data.manifest import ABSENT, OUTSIDE, Manifest
from bench.data.sizes import image_sizes
from bench.data.tree import (
    AMBIGUOUS,
    MISSING,
    ImageTree,
    find_entry,
    is_inside,
    match_names,
    scan_images,
)
from bench.errors import BenchError

ANNOTATION_FOLDERS = ("Anno", "Anno_coarse", "Anno_fine")
"""Where release variants keep the annotation files, in the order they are tried."""

EVALUATION_FOLDERS = ("Eval", *ANNOTATION_FOLDERS, "")
"""Where release variants keep the official partition."""

MISSING_SHARE = 0.01
"""The share of missing or unreadable images above which a source counts as incomplete."""

_LABELS = "list_category_img.txt"
_CATEGORIES = "list_category_cloth.txt"
_LANDMARKS = "list_landmarks.txt"
_PARTITION = "list_eval_partition.txt"


def is_deepfashion(root: Path) -> bool:
    """Whether a folder holds DeepFashion's category labels in one of the release layouts.

    Args:
        root: The folder.
    """
    return locate(root, ANNOTATION_FOLDERS, _LABELS) is not None


def load_deepfashion(
    root: Path,
    *,
    source: str = "deepfashion",
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Read a folder in DeepFashion's layout.

    Args:
        root: The folder that holds `Anno/`, `Img/` and `Eval/` (or a release variant of them).
        source: Name of the source, for the manifest.
        cache: Folder to keep the image sizes in between runs; None reads every header again.
        progress: Called with (image headers read, headers to read).

    Returns:
        One row for each label line whose image is there and readable, in the order of the lines.

    Raises:
        BenchError: No label, category or image folder, or an annotation file that is not what
            it should be.
    """
    log = IssueLog()
    names, types = read_categories(_require(root, ANNOTATION_FOLDERS, _CATEGORIES, log))
    labels = _require(root, ANNOTATION_FOLDERS, _LABELS, log)
    paths, categories = read_labels(labels, len(names))
    base, top = image_folder(root)
    tree = scan_images(root, base, top, log)
    sizes, unreadable = image_sizes(tree, cache=cache, progress=progress)
    rows, files = _present(paths, tree, unreadable, log)

    # Joined with every label line, so that a missing image is one issue and not three.
    stored = np.full((len(paths), 2), np.nan)
    stored[rows] = sizes[files]
    category = np.array(categories, dtype=np.int16)
    clothes_type = np.array(types, dtype=np.int8)[category]
    landmarks, visibility = _landmarks(root, paths, stored, clothes_type, log)
    partition = _partition(root, paths, log)
    columns: dict[str, Any] = {
        "category": category[rows],
        "clothes_type": clothes_type[rows],
        "landmarks": landmarks[rows],
        "visibility": visibility[rows],
        "partition": partition[rows],
    }
    on_disk = [tree.names[file] for file in files]
    folder = "" if base == root else base.name + "/"
    return Manifest(
        source=source,
        root=root,
        paths=np.array([folder + name for name in on_disk], dtype=np.str_),
        product=_products(on_disk),
        image_size=sizes[files],
        class_names=tuple(names),
        fingerprint=fingerprint(
            class_names=names, paths=on_disk, file_sizes=tree.sizes[files], **columns
        ),
        issues=log.issues(),
        **columns,
    )


def locate(root: Path, folders: Sequence[str], name: str) -> Path | None:
    """Find a file by its name in the first of some folders that has it, whatever its case."""
    for folder in folders:
        place = find_entry(root, folder) if folder else root
        found = None if place is None else find_entry(place, name)
        if found is not None and found.is_file():
            return found
    return None


def _require(root: Path, folders: Sequence[str], name: str, log: IssueLog) -> AnnotationFile:
    path = locate(root, folders, name)
    if path is None:
        places = ", ".join(f"{folder}/{name}" for folder in folders)
        raise BenchError(
            f"expected one of {places}; none is there",
            where=str(root),
            fix="unpack the release's annotation files there",
        )
    return _annotation(root, path, "category_name" if name == _CATEGORIES else "image_name", log)


def _annotation(root: Path, path: Path, header: str, log: IssueLog) -> AnnotationFile:
    label = path.relative_to(root).as_posix()
    _refuse_outside(root, path, label)
    return AnnotationFile(path, label, header, log)


def _refuse_outside(root: Path, path: Path, label: str) -> None:
    target = os.path.realpath(path)
    if not is_inside(target, os.path.realpath(root)):
        raise BenchError(
            f"{label} is a symbolic link to {target}, outside the data folder",
            where=str(root),
            fix="give the folder that really holds the data, or move the files into this one",
        )


def image_folder(root: Path) -> tuple[Path, str]:
    """The folder that label paths are relative to, and the name of `img` in it.

    Raises:
        BenchError: There is none.
    """
    outer = find_entry(root, "Img")
    for base in (outer, root):
        inner = None if base is None else find_entry(base, "img")
        if base is not None and inner is not None and inner.is_dir():
            _refuse_outside(root, inner, inner.relative_to(root).as_posix())
            return base, inner.name
    raise BenchError(
        "expected the images in Img/img/ or img/; neither is there",
        where=str(root),
        fix="unpack the release's img.zip into Img/",
    )


def _present(
    paths: list[str], tree: ImageTree, unreadable: dict[int, str], log: IssueLog
) -> tuple[np.ndarray, np.ndarray]:
    """The label rows whose image can be used, and the index of each one's image in the tree."""
    wanted = _under(paths, tree)
    match = match_names(wanted, tree.names)
    allowed = MISSING_SHARE * len(paths)
    for row in np.flatnonzero(match == AMBIGUOUS).tolist():
        log.add("path that matches no one image alone (left out)", paths[row], blocking=True)
    missing = np.flatnonzero(match == MISSING).tolist()
    for row in missing:
        log.add("missing image", paths[row], blocking=len(missing) > allowed)

    faulty = np.isin(match, list(unreadable))
    for row in np.flatnonzero(faulty).tolist():
        file = int(match[row])
        log.add(
            "unreadable image (left out)",
            f"{tree.names[file]}: {unreadable[file]}",
            blocking=int(faulty.sum()) > allowed,
        )
    found = np.flatnonzero(match >= 0)
    labelled = np.zeros(len(tree.names), dtype=bool)
    labelled[match[found]] = True
    for file in np.flatnonzero(~labelled).tolist():
        log.add("image without a label line", tree.names[file])
    for row, file in zip(found.tolist(), match[found].tolist(), strict=True):
        if tree.names[file] != wanted[row]:
            log.add("image named otherwise on disk", f"{paths[row]} is {tree.names[file]}")
    rows = np.flatnonzero((match >= 0) & ~faulty)
    return rows, match[rows]


def _under(paths: list[str], tree: ImageTree) -> list[str]:
    # A copy may have img/ as IMG/; that is one folder, not an issue with each image.
    top = tree.names[0].split("/", 1)[0] if tree.names else "img"
    if top == "img":
        return paths
    return [top + path[3:] if path.startswith("img/") else path for path in paths]


def _landmarks(
    root: Path,
    paths: list[str],
    sizes: np.ndarray,
    clothes_type: np.ndarray,
    log: IssueLog,
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks as shares of the image and their visibility; corrects `clothes_type` in place.

    Images that are not there have NaN for their size, and so for their landmarks.
    """
    landmarks = np.full((len(paths), 8, 2), np.nan, dtype=np.float32)
    visibility = np.full((len(paths), 8), ABSENT, dtype=np.int8)
    path = locate(root, ANNOTATION_FOLDERS, _LANDMARKS)
    if path is None:
        log.add("no landmark file", f"looked for {_LANDMARKS}")
        return landmarks, visibility
    lines = read_landmarks(_annotation(root, path, "image_name", log))
    rows, used = _join(lines.paths, paths, "landmark", log)
    for row in rows[clothes_type[rows] != lines.clothes_type[used]].tolist():
        log.add("clothes type differs between landmark line (kept) and category", paths[row])
    clothes_type[rows] = lines.clothes_type[used]

    points = lines.points[used]
    flags = np.where(np.isnan(points[..., 0]), ABSENT, points[..., 0]).astype(np.int8)
    share = points[..., 1:] / sizes[rows][:, None, :]
    beyond = ((share < 0) | (share > 1)).any(axis=-1) & (flags != OUTSIDE)
    for index in np.flatnonzero(beyond.any(axis=1)).tolist():
        log.add(
            "landmark beyond the image's edge (taken as outside)",
            paths[rows[index]],
            count=int(beyond[index].sum()),
        )
    flags[beyond] = OUTSIDE
    # Points outside are never trained on; inside the unit square they cannot index out of a map.
    landmarks[rows] = np.clip(share, 0, 1)
    visibility[rows] = flags
    return landmarks, visibility


def _partition(root: Path, paths: list[str], log: IssueLog) -> np.ndarray:
    partition = np.full(len(paths), -1, dtype=np.int8)
    path = locate(root, EVALUATION_FOLDERS, _PARTITION)
    if path is None:
        log.add("no official partition", f"looked for {_PARTITION}")
        return partition
    named = read_partition(_annotation(root, path, "image_name", log))
    rows, used = _join(list(named), paths, "partition", log)
    partition[rows] = np.array(list(named.values()), dtype=np.int8)[used]
    return partition


def _join(
    written: list[str], paths: list[str], what: str, log: IssueLog
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images that lines of another file belong to, and the index of those lines."""
    match = match_names(written, paths)
    for index in np.flatnonzero(match == AMBIGUOUS).tolist():
        log.add(
            f"{what} line that matches no one image alone (left out)",
            written[index],
            blocking=True,
        )
    for index in np.flatnonzero(match == MISSING).tolist():
        log.add(f"{what} line without a label line", written[index])
    used = np.flatnonzero(match >= 0)
    rows = match[used]
    without = np.ones(len(paths), dtype=bool)
    without[rows] = False
    for row in np.flatnonzero(without).tolist():
        log.add(f"image without a {what} line", paths[row])
    return rows, used


def _products(names: list[str]) -> np.ndarray:
    numbers: dict[str, int] = {}
    folders = (name.rpartition("/")[0] for name in names)
    return np.fromiter(
        (numbers.setdefault(folder, len(numbers)) for folder in folders), np.int32, len(names)
    )
