"""Reads DeepFashion's finer annotations: `train.txt` with the paths, `train_cate.txt` with the
categories in the same order, and so on for each part of the partition.

The files have neither counts nor headers. A line of landmarks has x and y of eight points, the
type's own first and zeros for the others, and no flags.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.data.annotations import UNPACK_AGAIN, AnnotationFile, is_count, numbers_of
from bench.data.category_list import read_categories
from bench.data.image_lines import TWO_PARTITIONS, Annotations, Labels, Landmarks
from bench.data.issues import IssueLog, printable
from bench.data.layout import ANNOTATION_FOLDERS, CATEGORIES, locate, open_annotation, require
from bench.data.manifest import CHANNELS_OF_TYPE, OUTSIDE, PARTITIONS, VISIBLE
from bench.errors import BenchError

FINE_FOLDER = "Anno_fine"

SPLIT_FOLDERS = (FINE_FOLDER, *ANNOTATION_FOLDERS[:2], "")
"""Where these files lie, in the order they are tried."""

UNKNOWN_FLAGS = "landmark line without flags (points taken as visible, those at 0 0 as outside)"
MISFIT = "points beyond those of the clothes type (left out)"

MISFIT_SHARE = 0.01
"""The share of lines with such points above which the points must mean something else."""

_POINTS = 8


def has_split_files(root: Path, folders: Sequence[str] = SPLIT_FOLDERS) -> bool:
    """Whether one of some folders holds the categories of images in files by part."""
    return any(locate(root, folders, f"{part}_cate.txt") for part in PARTITIONS)


def read_split_files(root: Path, log: IssueLog) -> Annotations:
    """Read what the files of each part say.

    Args:
        root: The data folder.
        log: Where issues are counted.

    Raises:
        BenchError: A file is missing, is not what it should be, or has another number of lines
            than its part has images.
    """
    folders = [folder for folder in SPLIT_FOLDERS if folder]
    listed = require(root, folders, CATEGORIES)
    names, types = read_categories(
        open_annotation(root, listed, "category_name", log, numbered=True)
    )
    labels = Labels(len(names))
    written: list[tuple[str, list[str]]] = []
    for part in PARTITIONS:
        paths = _read_paths(root, part, log)
        if paths is None:
            continue
        written.append((part, paths))
        file = _open(root, part, "_cate", paths, log)
        if file is None:
            raise BenchError(
                f"expected {part}_cate.txt beside {part}.txt, found nothing",
                where=str(root),
                fix=UNPACK_AGAIN,
            )
        for path, (number, line) in zip(paths, file.lines(), strict=True):
            if not path:
                continue
            if is_count(line):
                labels.add(file, number, f"{line.strip()} ({path})", path, int(line))
            else:
                file.malformed(number, line, "a category number")
        file.finish()
    paths, categories = labels.finish()
    kind_of = {path: types[label] for path, label in zip(paths, categories, strict=True)}
    return Annotations(
        names,
        types,
        paths,
        categories,
        _partition(written, log),
        _read_landmarks(root, written, kind_of, log),
    )


def read_split_partition(root: Path, log: IssueLog) -> dict[str, int] | None:
    """Read the part of each image alone; None where no file names any."""
    found = [(part, _read_paths(root, part, log)) for part in PARTITIONS]
    written = [(part, paths) for part, paths in found if paths is not None]
    return _partition(written, log) if written else None


def split_files(root: Path, what: str) -> list[Path] | None:
    """The file of each part that there is, such as `train_attr.txt`; None where one lacks it."""
    there = [part for part in PARTITIONS if _named(root, part)]
    files = [_named(root, part + what) for part in there]
    return [file for file in files if file] if files and all(files) else None


def read_lines(
    root: Path, what: str, log: IssueLog
) -> list[tuple[AnnotationFile, list[tuple[int, str, str]]]]:
    """The files of each part, each with number, text and image path of its lines.

    Args:
        root: The data folder.
        what: End of the files' names, such as `_attr`.
        log: Where issues are counted.
    """
    found = []
    for part in PARTITIONS:
        paths = _read_paths(root, part, log)
        file = None if paths is None else _open(root, part, what, paths, log)
        if paths is not None and file is not None:
            lines = zip(paths, file.lines(), strict=True)
            found.append((file, [(number, text, path) for path, (number, text) in lines]))
    return found


def _named(root: Path, name: str) -> Path | None:
    return locate(root, SPLIT_FOLDERS, f"{name}.txt")


def _read_paths(root: Path, part: str, log: IssueLog) -> list[str] | None:
    """The image paths of a part, empty where a line is none; None without the part's file."""
    path = _named(root, part)
    if path is None:
        return None
    file = open_annotation(root, path, None, log)
    paths = []
    for number, line in file.lines():
        paths.append(line.strip() if line.strip().isprintable() else "")
        if not paths[-1]:
            file.malformed(number, line, "an image path")
    file.finish()
    return paths


def _open(
    root: Path, part: str, what: str, paths: Sequence[str], log: IssueLog
) -> AnnotationFile | None:
    """A file of a part, whose lines are in the images' order.

    Raises:
        BenchError: It has more or fewer lines than the part has images.
    """
    path = _named(root, part + what)
    if path is None:
        return None
    file = open_annotation(root, path, None, log)
    if len(file) != len(paths):
        raise BenchError(
            f"expected {len(paths):,} lines, one for each image of {part}.txt, found {len(file):,}",
            where=file.label,
            fix=UNPACK_AGAIN,
        )
    return file


def _partition(written: Sequence[tuple[str, list[str]]], log: IssueLog) -> dict[str, int]:
    partition: dict[str, int] = {}
    conflicting = set()
    for part, paths in written:
        for path in filter(None, paths):
            if partition.setdefault(path, PARTITIONS.index(part)) != PARTITIONS.index(part):
                log.add(TWO_PARTITIONS, f"{part}.txt: {path}", blocking=True)
                conflicting.add(path)
    return {path: part for path, part in partition.items() if path not in conflicting}


def _read_landmarks(
    root: Path,
    written: Sequence[tuple[str, list[str]]],
    kind_of: dict[str, int],
    log: IssueLog,
) -> Landmarks | None:
    """The landmarks of all parts; None where no part has any."""
    expected = f"x and y of {_POINTS} points"
    found: dict[str, np.ndarray] = {}
    there, misfits = False, []
    for part, paths in written:
        file = _open(root, part, "_landmarks", paths, log)
        if file is None:
            log.add("no landmark file", f"looked for {part}_landmarks.txt")
            continue
        there = True
        log.add(UNKNOWN_FLAGS, f"all {len(file):,} of {file.label}", count=len(file))
        for path, (number, line) in zip(paths, file.lines(), strict=True):
            numbers = numbers_of(line)
            if numbers is None or len(numbers) != 2 * _POINTS:
                file.malformed(number, line, expected)
            elif path in kind_of and path not in found:
                points = _by_channel(np.reshape(numbers, (_POINTS, 2)), kind_of[path])
                if points is None:
                    misfits.append(f"{file.label}:{number}: {printable(line.strip())}")
                elif not np.isnan(points).all():
                    found[path] = points
        file.finish()
    for example in misfits:
        log.add(MISFIT, example, blocking=len(misfits) > MISFIT_SHARE * len(kind_of))
    if not there:
        return None
    return Landmarks(
        list(found),
        np.array([kind_of[path] for path in found], np.int8),
        np.stack(list(found.values())) if found else np.empty((0, 8, 3)),
        np.zeros(len(found), np.int8),
    )


def _by_channel(points: np.ndarray, kind: int) -> np.ndarray | None:
    """`(8, 3)` flag, x and y by channel; all NaN where every point is at 0 0, and None where one
    beyond the type's number is not."""
    channels = list(CHANNELS_OF_TYPE[kind])
    placed = (points != 0).any(axis=1)
    if placed[len(channels) :].any():
        return None
    filled = np.full((8, 3), np.nan)
    if placed.any():
        filled[channels, 1:] = points[: len(channels)]
        filled[channels, 0] = np.where(placed[: len(channels)], VISIBLE, OUTSIDE)
    return filled
