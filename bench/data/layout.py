"""Where the files of DeepFashion's layout lie: releases name and nest their folders differently."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.data.annotations import AnnotationFile
from bench.data.archives import ANNOTATIONS, packed
from bench.data.issues import IssueLog
from bench.data.tree import find_entry, is_inside
from bench.errors import BenchError

ANNOTATION_FOLDERS = ANNOTATIONS
"""Where release variants keep the annotation files, in the order they are tried."""

EVALUATION_FOLDERS = ("Eval", *ANNOTATION_FOLDERS, "")
"""Where release variants keep the official partition."""

LABELS = "list_category_img.txt"
CATEGORIES = "list_category_cloth.txt"
LANDMARKS = (
    "list_landmarks.txt",
    "list_landmarks_inshop.txt",
    "list_landmarks_consumer2shop.txt",
)
"""Names of the landmark file in DeepFashion's benchmarks, in the order they are tried."""

PARTITION = "list_eval_partition.txt"


def locate(root: Path, folders: Sequence[str], name: str) -> Path | None:
    """Find a file by its name in the first of some folders that has it, whatever its case."""
    for folder in folders:
        place = find_entry(root, folder) if folder else root
        found = None if place is None else find_entry(place, name)
        if found is not None and found.is_file():
            return found
    return None


def require(root: Path, folders: Sequence[str], name: str) -> Path:
    """Find a file that the data cannot be read without.

    Raises:
        BenchError: None of the folders has it.
    """
    path = locate(root, folders, name)
    if path is None:
        places = ", ".join(f"{folder}/{name}" for folder in folders)
        raise BenchError(
            f"expected one of {places}; none is there",
            where=str(root),
            fix=packed(root) or "unpack the release's annotation files there",
        )
    return path


def open_annotation(
    root: Path, path: Path, header: str | None, log: IssueLog, *, numbered: bool = False
) -> AnnotationFile:
    """Open an annotation file inside the data folder; the arguments are `AnnotationFile`'s.

    Raises:
        BenchError: It is a link that leads out of the folder, or not what it should be.
    """
    label = path.relative_to(root).as_posix()
    refuse_outside(root, path)
    return AnnotationFile(path, label, header, log, numbered=numbered)


def refuse_outside(root: Path, path: Path) -> None:
    """Refuse a file or folder that is a link out of the data folder.

    Raises:
        BenchError: It is.
    """
    target = os.path.realpath(path)
    if not is_inside(target, os.path.realpath(root)):
        raise BenchError(
            f"{path.relative_to(root).as_posix()} is a symbolic link to {target}, outside the data "
            "folder",
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
            refuse_outside(root, inner)
            return base, inner.name
    raise BenchError(
        "expected the images in Img/img/ or img/; neither is there",
        where=str(root),
        fix=packed(root) or "unpack the release's img.zip into Img/",
    )
