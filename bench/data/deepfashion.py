"""Reads DeepFashion's Category and Attribute Prediction Benchmark from its layout on disk.

Images keep the order of the label file; nothing is merged (PAPER ledger, row 19) and nothing is
left out without being counted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.archives import packed
from bench.data.category_list import check_numbers
from bench.data.fingerprint import fingerprint
from bench.data.image_lines import Landmarks
from bench.data.images import ORIENTED
from bench.data.issues import IssueLog
from bench.data.layout import LANDMARKS, PARTITION, image_folder
from bench.data.list_files import has_list_files, read_list_files
from bench.data.manifest import ABSENT, OUTSIDE, Manifest
from bench.data.sizes import image_sizes
from bench.data.split_files import has_split_files, read_split_files
from bench.data.tree import AMBIGUOUS, MISSING, ImageTree, match_names, scan_images

MISSING_SHARE = 0.01
"""The share of missing or unreadable images above which a source counts as incomplete."""

PACKED = "archive that is not unpacked"


def is_deepfashion(root: Path) -> bool:
    """Whether a folder holds DeepFashion's category labels in one of the release layouts.

    Args:
        root: The folder.
    """
    return has_list_files(root) or has_split_files(root)


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
    by_part = has_split_files(root) and not has_list_files(root)
    written = (read_split_files if by_part else read_list_files)(root, log)
    check_numbers(written.names, written.paths, written.categories, log)
    paths = written.paths
    base, top = image_folder(root)
    tree = scan_images(root, base, top, log)
    headers = image_sizes(tree, cache=cache, progress=progress)
    rows, files = _present(paths, tree, headers.unreadable, log)
    _say_what_is_packed(root, len(rows), len(paths), log)
    for file in files[headers.orientation[files] > 1].tolist():
        log.add(ORIENTED, tree.names[file])

    # Joined with every label line, so that a missing image is one issue and not three.
    stored = np.full((len(paths), 2), np.nan)
    stored[rows] = headers.sizes[files]
    category = np.array(written.categories, dtype=np.int16)
    columns: dict[str, Any] = {
        "category": category,
        "clothes_type": np.array(written.types, dtype=np.int8)[category],
        "landmarks": np.full((len(paths), 8, 2), np.nan, dtype=np.float32),
        "visibility": np.full((len(paths), 8), ABSENT, dtype=np.int8),
        "partition": _partition(written.partition, paths, log),
    }
    variation = _join_landmarks(written.landmarks, paths, stored, columns, log)[rows]
    columns = {name: column[rows] for name, column in columns.items()}
    on_disk = [tree.names[file] for file in files]
    folder = "" if base == root else base.name + "/"
    return Manifest(
        source=source,
        root=root,
        paths=np.array([folder + name for name in on_disk], dtype=np.str_),
        product=_products(on_disk),
        image_size=headers.sizes[files],
        class_names=tuple(written.names),
        fingerprint=fingerprint(
            class_names=written.names, paths=on_disk, file_sizes=tree.sizes[files], **columns
        ),
        issues=log.issues(),
        variation=variation if variation.any() else None,
        **columns,
    )


def _say_what_is_packed(root: Path, present: int, named: int, log: IssueLog) -> None:
    """Where images are missing, an archive that is still there is why."""
    hint = packed(root) if named - present > MISSING_SHARE * named else ""
    if hint:
        fix = "" if present else "unpack it there, and run the same command again"
        log.add(PACKED, hint, blocking=True, fix=fix)


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


def _join_landmarks(
    lines: Landmarks | None,
    paths: list[str],
    sizes: np.ndarray,
    columns: dict[str, np.ndarray],
    log: IssueLog,
) -> np.ndarray:
    """Fill in the landmarks, as shares of the image, their visibility and the clothes type.

    Images that are not there have NaN for their size, and so for their landmarks.

    Returns:
        `(n,)` int8 variation type of each image, 0 where no line says it.
    """
    variation = np.zeros(len(paths), dtype=np.int8)
    if lines is None:
        log.add("no landmark file", f"looked for {LANDMARKS[0]}")
        return variation
    rows, used = _join(lines.paths, paths, "landmark", log)
    variation[rows] = lines.variation[used]
    clothes_type = columns["clothes_type"]
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
    columns["landmarks"][rows] = np.clip(share, 0, 1)
    columns["visibility"][rows] = flags
    return variation


def _partition(named: dict[str, int] | None, paths: list[str], log: IssueLog) -> np.ndarray:
    partition = np.full(len(paths), -1, dtype=np.int8)
    if named is None:
        log.add("no official partition", f"looked for {PARTITION}")
        return partition
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
