"""Reads a folder of classes, `DIR/<class>/*.jpg`: photographs with a class and nothing else.

As nothing in them has a place, photographs are turned upright where EXIF says how.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.fingerprint import fingerprint
from bench.data.issues import IssueLog
from bench.data.manifest import ABSENT, Manifest
from bench.data.sizes import image_sizes
from bench.data.tree import IMAGE_SUFFIXES, ImageTree, is_inside, list_entries, refused_link
from bench.errors import BenchError

MOST_CLASSES = 10_000

TURNED = "image with an EXIF orientation (turned upright)"


def is_folder_of_classes(root: Path) -> bool:
    """Whether a folder has at least one folder with images directly in it.

    Args:
        root: The folder.
    """
    if not root.is_dir():
        return False
    home = os.path.realpath(root)
    return any(
        _is_image(entry.name)
        for folder in root.iterdir()
        if folder.is_dir() and not folder.name.startswith(".")
        if is_inside(os.path.realpath(folder), home)
        for entry in list_entries(str(folder))
    )


def load_folder(
    root: Path,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Read a folder of classes.

    Args:
        root: The folder; each folder in it is a class, named by it.
        cache: Folder to keep what headers say in between runs; None reads every header again.
        progress: Called with (image headers read, headers to read).

    Returns:
        One row an image, sorted by class and name; every image its own product, no landmarks,
        no official partition. Images to turn are part of the fingerprint: other pixels, and other
        numbers, than where they are not.

    Raises:
        BenchError: Fewer than two classes with images.
    """
    log = IssueLog()
    classes = _classes(root, log)
    if len(classes) < 2:
        raise BenchError(
            f"expected at least 2 folders with images in them, found {len(classes)}",
            where=str(root),
            fix=f"give a folder with one folder a class, holding {', '.join(IMAGE_SUFFIXES)} files",
        )
    paths = [path for images in classes.values() for path, _, _ in images]
    tree = ImageTree(
        root,
        paths,
        np.array([size for images in classes.values() for _, size, _ in images], dtype=np.int64),
        np.array([mtime for images in classes.values() for _, _, mtime in images], dtype=np.int64),
    )
    orientation = np.maximum(image_sizes(tree, cache=cache, progress=progress).orientation, 1)
    for row in np.flatnonzero(orientation > 1).tolist():
        log.add(TURNED, paths[row])
    count = len(paths)
    columns: dict[str, Any] = {
        "category": np.repeat(range(len(classes)), list(map(len, classes.values()))).astype("i2"),
        "clothes_type": np.zeros(count, dtype=np.int8),
        "landmarks": np.full((count, 8, 2), np.nan, dtype=np.float32),
        "visibility": np.full((count, 8), ABSENT, dtype=np.int8),
        "partition": np.full(count, -1, dtype=np.int8),
    }
    return Manifest(
        source="folder",
        root=root,
        paths=np.array(paths, dtype=np.str_),
        product=np.arange(count, dtype=np.int32),
        image_size=np.zeros((count, 2), dtype=np.int32),
        class_names=tuple(classes),
        fingerprint=fingerprint(
            class_names=tuple(classes),
            paths=paths,
            file_sizes=tree.sizes,
            more=[orientation] if (orientation > 1).any() else [],
            **columns,
        ),
        issues=log.issues(),
        **columns,
    )


def _classes(root: Path, log: IssueLog) -> dict[str, list[tuple[str, int, int]]]:
    """Path, size and modification time of each image, by class, both sorted by name.

    Classes without images are left out.
    """
    home = os.path.realpath(root)
    classes: dict[str, list[tuple[str, int, int]]] = {}
    for entry in sorted(list_entries(str(root)), key=lambda entry: entry.name):
        if entry.name.startswith(".") or _leads_out(entry, entry.name, home, log):
            continue
        if not entry.is_dir():
            log.add("file beside the class folders (ignored)", entry.name)
            continue
        if len(classes) == MOST_CLASSES:
            raise BenchError(f"expected at most {MOST_CLASSES:,} classes", where=str(root))
        images = _images(entry, home, log)
        if images:
            classes[entry.name] = images
        else:
            log.add("class folder without images (left out)", entry.name)
    return classes


def _images(folder: os.DirEntry[str], home: str, log: IssueLog) -> list[tuple[str, int, int]]:
    """Path, size and modification time of each image directly in a class folder, sorted by name."""
    images = []
    for entry in sorted(list_entries(folder.path), key=lambda entry: entry.name):
        path = f"{folder.name}/{entry.name}"
        if _leads_out(entry, path, home, log):
            continue
        if entry.is_dir():
            log.add("folder inside a class folder (ignored)", path)
        elif not _is_image(entry.name) or not entry.is_file():
            log.add("file that is no image (ignored)", path)
        elif not path.isprintable():
            log.add("file name that cannot be printed (left out)", path)
        else:
            status = entry.stat()
            images.append((path, status.st_size, status.st_mtime_ns))
    return images


def _leads_out(entry: os.DirEntry[str], path: str, home: str, log: IssueLog) -> bool:
    return entry.is_symlink() and refused_link(entry.path, path, home, log)


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
