"""Opens an annotation file of DeepFashion and walks over its lines, counting what does not read.

A malformed line is counted by file and line and skipped; more than one in a hundred is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from bench.data.issues import IssueLog, printable
from bench.data.tree import IMAGE_SUFFIXES
from bench.errors import BenchError

MALFORMED_SHARE = 0.01
"""The share of malformed lines above which a file is refused as a whole."""

MOST_BYTES = 1_000_000_000

UNPACK_AGAIN = "unpack the annotation file again from the release"

WRONG_COUNT = "list that numbers refer to, whose first line gives another count"

# Longer than any line of 26 numbers, shorter than the longest number a float can hold.
_LONGEST_LINE = 300

_IMAGE_WITH_BLANKS = re.compile(
    rf"(\S.*(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))\s+(\S.*)", re.IGNORECASE
)


class AnnotationFile:
    """The lines of one annotation file, and a count of those that do not read as they should.

    Args:
        path: The file.
        label: How to name it to the user: its path below the data folder.
        header: What the header line starts with; None for a file that has lines alone, without a
            count and a header.
        log: Where issues are counted.
        numbered: Whether other files refer to its lines by their numbers, so that a line too few
            gives every later number another meaning.

    Raises:
        BenchError: The file cannot be read, or its first two lines are not a count and a header.
    """

    def __init__(
        self, path: Path, label: str, header: str | None, log: IssueLog, *, numbered: bool = False
    ) -> None:
        self.label = label
        self.log = log
        self.first_line = 1 if header is None else 3
        self.columns: list[str] = []
        self._malformed = 0
        self._first_fault: tuple[int, str, str] | None = None
        lines = _lines_of(path, label)
        if header is not None:
            self._check_head(lines, header)
            self.columns = lines[1].split()
        self._body = lines[self.first_line - 1 :]
        self._blank = self._body.count("") + sum(map(str.isspace, self._body))
        if header is not None:
            self._check_count(lines[0], numbered)

    def __len__(self) -> int:
        """How many lines it has, blank ones left out."""
        return len(self._body) - self._blank

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines after the header, blank ones left out, with their line numbers."""
        numbered = enumerate(self._body, start=self.first_line)
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

    def issue(
        self, kind: str, number: int, line: str, *, blocking: bool = False, fix: str = ""
    ) -> None:
        """Count an issue with a line; its file and line number are the example."""
        example = f"{self.label}:{number}: {line.strip()}"
        self.log.add(kind, example, blocking=blocking, fix=fix)

    def refuse(self, number: int, line: str, expected: str) -> None:
        """Refuse the file for one of its lines.

        Raises:
            BenchError: Always.
        """
        found = f"'{printable(line.strip())}'" if line else "the end of the file"
        raise BenchError(
            f"expected {expected}, found {found}", where=f"{self.label}:{number}", fix=UNPACK_AGAIN
        )

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
            fix=UNPACK_AGAIN,
        )

    def _check_head(self, lines: list[str], header: str) -> None:
        if not lines or not is_count(lines[0]):
            found = f"'{printable(lines[0].strip())}'" if lines else "an empty file"
            raise BenchError(
                f"expected the number of lines, found {found}",
                where=f"{self.label}:1",
                fix=UNPACK_AGAIN,
            )
        if len(lines) < 2 or not lines[1].lstrip().startswith(header):
            found = f"'{printable(lines[1].strip())}'" if len(lines) > 1 else "the end of the file"
            raise BenchError(
                f"expected a header line that starts with '{header}', found {found}",
                where=f"{self.label}:2",
                fix=UNPACK_AGAIN,
            )

    def _check_count(self, head: str, numbered: bool) -> None:
        if int(head.strip()) == len(self):
            return
        example = f"{self.label}:1: says {head.strip()}, the file has {len(self)}"
        if not numbered:
            self.log.add("count line that disagrees with the number of lines", example)
            return
        self.log.add(
            WRONG_COUNT,
            example,
            blocking=True,
            fix=f"unpack {self.label} again from the release; in a list of your own, let line 1 "
            "say how many names follow, and number the labels by those names",
        )


def split_path(line: str, columns: int) -> tuple[str, list[str]] | None:
    """The image path of a line, and its columns: the path is what stands before the last ones.

    Args:
        line: The line.
        columns: How many columns follow the path.

    Returns:
        The path and the columns; None where there are fewer, or where what stands before them has
        blanks in it and does not end as an image file does: then it is one column too many.
    """
    parts = line.rsplit(maxsplit=columns)
    if len(parts) != columns + 1:
        return None
    path = parts[0].strip()
    if len(path.split()) > 1 and not (path.isprintable() and path.lower().endswith(IMAGE_SUFFIXES)):
        return None
    return path, parts[1:]


def path_and_numbers(line: str) -> tuple[str, list[float]] | None:
    """The image path of a line and all numbers after it, where their count is not known before.

    Args:
        line: The line.

    Returns:
        The path and the numbers, finite; None where the line is not that.
    """
    path, *rest = line.split(maxsplit=1)
    numbers = numbers_of(rest[0]) if rest else None
    if numbers is None:
        # Blanks in the path: it ends where the last image suffix does.
        found = _IMAGE_WITH_BLANKS.fullmatch(line.strip())
        if found is None or not found[1].isprintable():
            return None
        path, numbers = found[1], numbers_of(found[2])
    return None if numbers is None else (path, numbers)


def is_count(text: str) -> bool:
    """Whether a text is a whole number, written in plain digits."""
    # int() alone would also take "1_000", " 7 ", "+7" and numbers of thousands of digits.
    digits = text.strip()
    return digits.isascii() and digits.isdecimal() and len(digits) < 19


def numbers_of(text: str) -> list[float] | None:
    """The finite numbers of a text, parted by blanks; None where it holds anything else."""
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


def _lines_of(path: Path, label: str) -> list[str]:
    """The lines of a file, without empty ones at its end."""
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
            fix=UNPACK_AGAIN,
        )
    # Undecodable bytes are kept as surrogates: they spoil their line, not the whole file.
    text = raw.decode("utf-8-sig", errors="surrogateescape")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
