"""Parses DeepFashion's annotation files: a count line, a header line, then one line an image.

A malformed line is counted by file and line and skipped; more than one in a hundred is an error.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.issues import IssueLog, printable
from bench.data.manifest import (
    CHANNELS_OF_TYPE,
    CLOTHES_TYPES,
    OCCLUDED,
    OUTSIDE,
    PARTITIONS,
    VISIBLE,
)
from bench.data.tree import leads_outside
from bench.errors import BenchError

MALFORMED_SHARE = 0.01
"""The share of malformed lines above which a file is refused as a whole."""

MOST_BYTES = 1_000_000_000
MOST_CATEGORIES = 10_000

_FIRST_LINE = 3
# Longer than any line of 25 numbers, shorter than the longest number a float can hold.
_LONGEST_LINE = 300
_FLAGS = frozenset((VISIBLE, OCCLUDED, OUTSIDE))


class AnnotationFile:
    """The lines of one annotation file, and a count of those that do not read as they should.

    Args:
        path: The file.
        label: How to name it to the user: its path below the data folder.
        header: What the header line starts with.
        log: Where issues are counted.

    Raises:
        BenchError: The file cannot be read, or its first two lines are not a count and a header.
    """

    def __init__(self, path: Path, label: str, header: str, log: IssueLog) -> None:
        self.label = label
        self._log = log
        self._malformed = 0
        self._first_fault: tuple[int, str, str] | None = None
        try:
            size = path.stat().st_size
            raw = path.read_bytes() if size <= MOST_BYTES else b""
        except OSError as error:
            raise BenchError(
                f"the annotation file cannot be read: {error.strerror}",
                where=label,
                fix="check that it is a file and that you may read it",
            ) from error
        if size > MOST_BYTES:
            raise BenchError(
                f"the annotation file has {size:,} bytes; DeepFashion's largest has 40 million",
                where=label,
                fix="unpack the annotation file again from the release",
            )
        # Undecodable bytes are kept as surrogates: they spoil their line, not the whole file.
        text = raw.decode("utf-8-sig", errors="surrogateescape")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        while lines and not lines[-1].strip():
            lines.pop()
        self._check_head(lines, header)
        self._body = lines[_FIRST_LINE - 1 :]
        self._blank = self._body.count("") + sum(map(str.isspace, self._body))
        self._check_count(lines[0])

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines after the header, blank ones left out, with their line numbers."""
        numbered = enumerate(self._body, start=_FIRST_LINE)
        if not self._blank:
            return numbered
        return ((number, line) for number, line in numbered if line.strip())

    def malformed(self, number: int, line: str, expected: str) -> None:
        """Count a line that does not read as it should.

        Args:
            number: Its line number.
            line: What it says.
            expected: What it should say.
        """
        self._malformed += 1
        if self._first_fault is None:
            self._first_fault = (number, line, expected)
        self.issue(f"malformed line in {self.label}", number, line, blocking=True)

    def issue(self, kind: str, number: int, line: str, *, blocking: bool = False) -> None:
        """Count an issue with a line; its file and line number are the example."""
        self._log.add(kind, f"{self.label}:{number}: {line.strip()}", blocking=blocking)

    def finish(self) -> None:
        """Refuse the file where too much of it is malformed.

        Raises:
            BenchError: More than `MALFORMED_SHARE` of the lines are malformed.
        """
        if self._first_fault is None or self._malformed <= MALFORMED_SHARE * len(self._body):
            return
        number, line, expected = self._first_fault
        raise BenchError(
            f"expected {expected}, found '{printable(line.strip()) or ' '}'; "
            f"{self._malformed} of {len(self._body)} lines are malformed",
            where=f"{self.label}:{number}",
            fix="unpack the annotation file again from the release",
        )

    def _check_head(self, lines: list[str], header: str) -> None:
        fix = "unpack the annotation file again from the release"
        if not lines or not _is_count(lines[0]):
            found = f"'{printable(lines[0].strip())}'" if lines else "an empty file"
            raise BenchError(
                f"expected the number of lines, found {found}", where=f"{self.label}:1", fix=fix
            )
        if len(lines) < 2 or lines[1].split()[:1] != [header]:
            found = f"'{printable(lines[1].strip())}'" if len(lines) > 1 else "the end of the file"
            raise BenchError(
                f"expected a header line that starts with '{header}', found {found}",
                where=f"{self.label}:2",
                fix=fix,
            )

    def _check_count(self, head: str) -> None:
        present = len(self._body) - self._blank
        if int(head.strip()) != present:
            self._log.add(
                "count line that disagrees with the number of lines",
                f"{self.label}:1: says {head.strip()}, the file has {present}",
            )


@dataclass(frozen=True)
class Landmarks:
    """The usable lines of a landmark file.

    Args:
        paths: `m` distinct image paths as written.
        clothes_type: `(m,)` int8.
        points: `(m, 8, 3)` float64: flag, x and y in pixels by channel, NaN where absent.
    """

    paths: list[str]
    clothes_type: np.ndarray
    points: np.ndarray


def read_categories(file: AnnotationFile) -> tuple[list[str], list[int]]:
    """Read the category names and their clothes types.

    Args:
        file: `list_category_cloth.txt`.

    Returns:
        Names and clothes types in the file's order.

    Raises:
        BenchError: A line is not a new name and a type: the numbers of all later categories
            would be off by one.
    """
    expected = "a category name and a type from 1 to 3"
    names: dict[str, int] = {}
    for number, line in file.lines():
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2 or not _is_count(parts[1]) or int(parts[1]) not in CLOTHES_TYPES:
            _refuse(file, number, line, expected)
        name = printable(parts[0].strip())
        if name in names:
            _refuse(file, number, line, "a category name that no earlier line has")
        if len(names) == MOST_CATEGORIES:
            _refuse(file, number, line, f"at most {MOST_CATEGORIES:,} categories")
        names[name] = int(parts[1])
    if not names:
        _refuse(file, _FIRST_LINE, "", expected)
    return list(names), list(names.values())


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
    expected = "an image path and a category number"
    labels: dict[str, int] = {}
    conflicting: set[str] = set()
    for number, line in file.lines():
        parts = line.split()
        if len(parts) != 2 or not _is_count(parts[1]) or not parts[0].isprintable():
            file.malformed(number, line, expected)
            continue
        path, category = parts[0], int(parts[1])
        if leads_outside(path):
            file.issue("path that leads outside (refused)", number, line, blocking=True)
        elif not 1 <= category <= classes:
            file.issue(f"category number outside 1-{classes}", number, line, blocking=True)
        elif path not in labels:
            labels[path] = category
        elif labels[path] == category:
            file.issue("duplicate label line", number, line)
        else:
            file.issue(
                "image with two different categories (left out)", number, line, blocking=True
            )
            conflicting.add(path)
    file.finish()
    for path in conflicting:
        del labels[path]
    return list(labels), [category - 1 for category in labels.values()]


def read_partition(file: AnnotationFile) -> dict[str, int]:
    """Read the official partition.

    Args:
        file: `list_eval_partition.txt`.

    Returns:
        Index into `PARTITIONS` by image path; images named in two partitions are left out.

    Raises:
        BenchError: More than one line in a hundred is malformed.
    """
    index = {name: value for value, name in enumerate(PARTITIONS)}
    partition: dict[str, int] = {}
    conflicting: set[str] = set()
    for number, line in file.lines():
        parts = line.split()
        if len(parts) != 2 or parts[1] not in index:
            file.malformed(number, line, "an image path and train, val or test")
            continue
        if partition.setdefault(parts[0], index[parts[1]]) != index[parts[1]]:
            file.issue("image in two partitions (left without one)", number, line, blocking=True)
            conflicting.add(parts[0])
    file.finish()
    for path in conflicting:
        del partition[path]
    return partition


def read_landmarks(file: AnnotationFile) -> Landmarks:
    """Read the landmarks of each image, each point into its channel by meaning.

    Args:
        file: `list_landmarks.txt`.

    Returns:
        The lines whose points fit their clothes type; the others are counted.

    Raises:
        BenchError: More than one line in a hundred is malformed.
    """
    expected = "an image path, a clothes type, then flag, x and y of each point"
    paths: dict[int, list[str]] = {kind: [] for kind in CHANNELS_OF_TYPE}
    # Flat, because 289,222 lists would keep the garbage collector busy for seconds.
    values = {kind: array("d") for kind in CHANNELS_OF_TYPE}
    seen: set[str] = set()
    for number, line in file.lines():
        path, *rest = line.split(maxsplit=1)
        numbers = _numbers(rest[0]) if rest else None
        if numbers is None or len(numbers) % 3 != 1:
            file.malformed(number, line, expected)
            continue
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
            seen.add(path)
            paths[int(kind)].append(path)
            values[int(kind)].fromlist(numbers)
    file.finish()

    types = np.repeat(list(paths), [len(rows) for rows in paths.values()]).astype(np.int8)
    points = np.full((len(types), 8, 3), np.nan)
    for kind, channels in CHANNELS_OF_TYPE.items():
        table = np.frombuffer(values[kind]).reshape(-1, 1 + 3 * len(channels))
        filled = np.full((len(table), 8, 3), np.nan)
        filled[:, channels] = table[:, 1:].reshape(-1, len(channels), 3)
        points[types == kind] = filled
    return Landmarks([path for rows in paths.values() for path in rows], types, points)


def _is_count(text: str) -> bool:
    # int() alone would also take "1_000", " 7 ", "+7" and numbers of thousands of digits.
    digits = text.strip()
    return digits.isascii() and digits.isdecimal() and len(digits) < 19


def _numbers(text: str) -> list[float] | None:
    # int() would take "1_000" and other alphabets' digits for a number, and no coordinate has
    # hundreds of digits.
    if "_" in text or len(text) > _LONGEST_LINE or not text.isascii():
        return None
    parts = text.split()
    try:
        numbers: list[float] = list(map(int, parts))
    except ValueError:
        try:
            numbers = list(map(float, parts))
        except ValueError:
            return None
        if not all(map(math.isfinite, numbers)):
            return None
    return numbers


def _refuse(file: AnnotationFile, number: int, line: str, expected: str) -> None:
    found = f"'{printable(line.strip())}'" if line else "the end of the file"
    raise BenchError(
        f"expected {expected}, found {found}",
        where=f"{file.label}:{number}",
        fix="unpack the annotation file again from the release",
    )
