"""Reads the files that say something of each image: its category, its part, its landmarks.

A line is an image's path and columns; the path is what stands before the last ones, blanks and all.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from bench.data.annotations import AnnotationFile, is_count, path_and_numbers, split_path
from bench.data.manifest import (
    CHANNELS_OF_TYPE,
    OCCLUDED,
    OUTSIDE,
    PARTITIONS,
    VARIATIONS,
    VISIBLE,
)
from bench.data.tree import IMAGE_SUFFIXES, leads_outside

BEYOND = "category number outside"
"""Begins the kind of issue of labels that the list of categories has no line for."""

NUMBER_BY_LIST = (
    "unpack list_category_cloth.txt and the labels from the same release, or number the labels by "
    "the lines of the list, from 1"
)

TWO_PARTITIONS = "image in two partitions (left without one)"

_FLAGS = frozenset((VISIBLE, OCCLUDED, OUTSIDE))


@dataclass(frozen=True)
class Landmarks:
    """The usable lines of a landmark file.

    Args:
        paths: `m` distinct image paths as written.
        clothes_type: `(m,)` int8.
        points: `(m, 8, 3)` float64: flag, x and y in pixels by channel, NaN where absent.
        variation: `(m,)` int8, by `VARIATIONS`; 0 where a line does not say.
    """

    paths: list[str]
    clothes_type: np.ndarray
    points: np.ndarray
    variation: np.ndarray


class Labels:
    """Collects the category of each image, and counts what contradicts itself.

    Args:
        classes: How many categories there are.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._labels: dict[str, int] = {}
        self._conflicting: set[str] = set()

    def add(self, file: AnnotationFile, number: int, line: str, path: str, category: int) -> None:
        """Take a label, or count why not.

        Args:
            file: Where it stands.
            number: Its line number.
            line: What the line says.
            path: The image's path.
            category: Its category's number, from 1.
        """
        if leads_outside(path):
            file.issue("path that leads outside (refused)", number, line, blocking=True)
        elif not 1 <= category <= self._classes:
            kind = f"{BEYOND} 1-{self._classes}"
            file.issue(kind, number, line, blocking=True, fix=NUMBER_BY_LIST)
        elif path not in self._labels:
            self._labels[path] = category
        elif self._labels[path] == category:
            file.issue("duplicate label line", number, line)
        else:
            kind = "image with two different categories (left out)"
            file.issue(kind, number, line, blocking=True)
            self._conflicting.add(path)

    def finish(self) -> tuple[list[str], list[int]]:
        """Distinct image paths in the order of their lines, and their 0-based categories."""
        for path in self._conflicting:
            del self._labels[path]
        return list(self._labels), [category - 1 for category in self._labels.values()]


def read_labels(file: AnnotationFile, classes: int) -> tuple[list[str], list[int]]:
    """Read the category of each image.

    Args:
        file: `list_category_img.txt`.
        classes: How many categories there are.

    Returns:
        Distinct image paths in the file's order and their 0-based categories. Lines with a
        number out of range and images with two different numbers are left out, and counted.

    Raises:
        BenchError: More than one line in a hundred is malformed.
    """
    labels = Labels(classes)
    for number, line in file.lines():
        parts = split_path(line, 1)
        if parts is None or not is_count(parts[1][0]) or not parts[0].isprintable():
            file.malformed(number, line, "an image path and a category number")
        else:
            labels.add(file, number, line, parts[0], int(parts[1][0]))
    file.finish()
    return labels.finish()


@dataclass(frozen=True)
class Annotations:
    """What the annotation files say, whichever files they are.

    Args:
        names: Names of the categories.
        types: Clothes type of each.
        paths: `n` distinct image paths as written.
        categories: Category of each image, an index into `names`.
        partition: Index into `PARTITIONS` by image path; None without an official partition.
        landmarks: The landmark lines; None without any.
    """

    names: list[str]
    types: list[int]
    paths: list[str]
    categories: list[int]
    partition: dict[str, int] | None
    landmarks: Landmarks | None


def read_partition(file: AnnotationFile) -> dict[str, int]:
    """Read the official partition.

    The retrieval benchmarks have an item between path and part, and one of them names two images a
    line, as their headers say; their query and gallery images are test images.

    Args:
        file: `list_eval_partition.txt`.

    Returns:
        Index into `PARTITIONS` by image path; images named in two partitions are left out.

    Raises:
        BenchError: More than one line in a hundred is malformed.
    """
    index = {name: value for value, name in enumerate(PARTITIONS)}
    more = 1 if "item_id" in file.columns else 0
    if more:
        index |= dict.fromkeys(("query", "gallery"), index["test"])
    partition: dict[str, int] = {}
    conflicting: set[str] = set()
    for number, line in file.lines():
        paths, part = _paths_and_part(line, 1 + more)
        if part not in index:
            file.malformed(number, line, "an image path and train, val or test")
            continue
        for path in paths:
            if partition.setdefault(path, index[part]) != index[part]:
                file.issue(TWO_PARTITIONS, number, line, blocking=True)
                conflicting.add(path)
    file.finish()
    for path in conflicting:
        del partition[path]
    return partition


def _paths_and_part(line: str, columns: int) -> tuple[list[str], str]:
    """The images of a partition line and the part they are in; no part where it is malformed."""
    parts = split_path(line, columns)
    if parts is None:
        return [], ""
    path, (*_, part) = parts
    pair = path.split()
    two = columns > 1 and len(pair) == 2 and pair[0].lower().endswith(IMAGE_SUFFIXES)
    return (pair if two else [path]), part


def read_landmarks(file: AnnotationFile) -> Landmarks:
    """Read the landmarks of each image, each point into its channel by meaning.

    The lines of some of DeepFashion's sets have a variation type behind the clothes type: it is
    told by the number of columns.

    Args:
        file: `list_landmarks.txt`.

    Returns:
        The lines whose points fit their clothes type; the others are counted.

    Raises:
        BenchError: More than one line in a hundred is malformed.
    """
    expected = (
        "an image path, a clothes type, perhaps a variation type, then flag, x and y of each point"
    )
    paths: dict[int, list[str]] = {kind: [] for kind in CHANNELS_OF_TYPE}
    # Flat, because 289,222 lists would keep the garbage collector busy for seconds.
    values = {kind: array("d") for kind in CHANNELS_OF_TYPE}
    variations = {kind: array("b") for kind in CHANNELS_OF_TYPE}
    forms = {1: "", 2: ""}
    seen: set[str] = set()
    for number, line in file.lines():
        found = path_and_numbers(line)
        if found is None or len(found[1]) % 3 == 0:
            file.malformed(number, line, expected)
            continue
        path, numbers = found
        if not forms[len(numbers) % 3]:
            forms[len(numbers) % 3] = f"{file.label}:{number}: {line.strip()}"
        variation = numbers.pop(1) if len(numbers) % 3 == 2 else 0
        kind = numbers[0]
        if kind not in CHANNELS_OF_TYPE:
            file.issue("landmark line with an unknown clothes type", number, line, blocking=True)
        elif len(numbers) != 1 + 3 * len(CHANNELS_OF_TYPE[int(kind)]):
            file.issue("landmark points that do not fit the type", number, line, blocking=True)
        elif path in seen:
            file.issue("second landmark line for an image (first kept)", number, line)
        elif not _FLAGS.issuperset(numbers[1::3]):
            file.issue("landmark flag that is not 0, 1 or 2", number, line, blocking=True)
        else:
            if variation and variation not in VARIATIONS:
                file.issue("variation type that is not 1 to 5 (left out)", number, line)
                variation = 0
            seen.add(path)
            paths[int(kind)].append(path)
            values[int(kind)].fromlist(numbers)
            variations[int(kind)].append(int(variation))
    file.finish()
    if all(forms.values()):
        for example in forms.values():
            file.log.add("landmark lines with and without a variation type in one file", example)

    types = np.repeat(list(paths), [len(rows) for rows in paths.values()]).astype(np.int8)
    points = np.full((len(types), 8, 3), np.nan)
    for kind, channels in CHANNELS_OF_TYPE.items():
        table = np.frombuffer(values[kind]).reshape(-1, 1 + 3 * len(channels))
        filled = np.full((len(table), 8, 3), np.nan)
        filled[:, channels] = table[:, 1:].reshape(-1, len(channels), 3)
        points[types == kind] = filled
    said = np.concatenate([np.frombuffer(rows, np.int8) for rows in variations.values()])
    return Landmarks([path for rows in paths.values() for path in rows], types, points, said)
