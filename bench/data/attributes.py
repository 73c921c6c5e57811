"""Reads DeepFashion's attributes: 1,000 labels an image, apart from the manifest.

They are 0.8 GB of text, which most trials do not need, so they are read only for a trial that
trains on them, and have a fingerprint of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bench.data.annotations import MALFORMED_SHARE, UNPACK_AGAIN, split_path
from bench.data.issues import IssueLog, printable
from bench.data.layout import ANNOTATION_FOLDERS, image_folder, locate, open_annotation
from bench.data.list_files import is_finer
from bench.data.manifest import DataIssue, Manifest
from bench.data.split_files import SPLIT_FOLDERS, read_lines, split_files
from bench.data.tree import match_names
from bench.errors import BenchError
from bench.files.checksums import file_digest
from bench.study.trial import TrialSpec

ATTRIBUTE_TYPES = {1: "texture", 2: "fabric", 3: "shape", 4: "part", 5: "style"}
"""Types of attributes by DeepFashion's number."""

_FINER_TYPES = {1: 1, 2: 4, 3: 3, 4: 4, 5: 2, 6: 3}
"""The finer annotations have six: pattern, sleeve, length, neckline, fabric and fit."""

NAMES_FILE, ANSWERS_FILE = "list_attr_cloth.txt", "list_attr_img.txt"
NO, UNKNOWN, YES = -1, 0, 1


@dataclass(frozen=True)
class Attributes:
    """The attributes of a source.

    Args:
        names: Their names, in the file's order.
        types: `(len(names),)` int8, by `ATTRIBUTE_TYPES`.
        answers: `(images of the manifest, len(names))` int8: -1 no, 0 unknown, 1 yes; unknown
            for an image without a line.
        left_out: Lines that are malformed or name no image.
        issues: What a reader of results on attributes should know.
    """

    names: tuple[str, ...]
    types: np.ndarray
    answers: np.ndarray
    left_out: int
    issues: tuple[DataIssue, ...] = ()

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """`(2, len(names))` how many of some images are known to lack, and to have, each."""
        answers = self.answers[rows]
        return np.stack([(answers == NO).sum(axis=0), (answers == YES).sum(axis=0)])


def attribute_files(root: Path) -> tuple[Path, ...] | None:
    """The file of names and those of answers; None for a source that lacks either.

    The answers are one file, or with the finer annotations one for each part.
    """
    by_part = split_files(root, "_attr") if is_finer(root) else None
    names = locate(root, SPLIT_FOLDERS, NAMES_FILE)
    if by_part is not None and names is not None:
        return (names, *by_part)
    for folders in (*([folder] for folder in ANNOTATION_FOLDERS), ANNOTATION_FOLDERS):
        names, answers = (locate(root, folders, file) for file in (NAMES_FILE, ANSWERS_FILE))
        if names is not None and answers is not None:
            return names, answers
    return None


def data_identity(spec: TrialSpec, manifest: Manifest) -> str:
    """Fingerprint of the data that a trial uses: the attributes count only where they are trained.

    Args:
        spec: The trial.
        manifest: Its data.
    """
    files = attribute_files(manifest.root) if spec.model.reads_attributes else None
    if files is None:
        return manifest.fingerprint
    return "+".join([manifest.fingerprint, *(file_digest(file) for file in files)])


def load_attributes(manifest: Manifest) -> Attributes | None:
    """The attributes of a manifest's images; None where the source has none.

    Raises:
        BenchError: A file is not what it should be.
    """
    files = attribute_files(manifest.root)
    if files is None:
        return None
    root = manifest.root
    names, types = _read_names(files[0], root)
    digests = tuple(file_digest(file) for file in files[1:])
    written, answers, malformed = _read_answers(files[1:], root, len(names), digests)
    base, _ = image_folder(root)
    above = "" if base == root else f"{base.name}/"
    on_disk = [str(path).removeprefix(above) for path in manifest.paths]
    match = match_names(written, on_disk)
    used = np.flatnonzero(match >= 0)
    of_image = np.full((len(on_disk), len(names)), UNKNOWN, np.int8)
    of_image[match[used]] = answers[used]
    issues: tuple[DataIssue, ...] = ()
    if not (answers == NO).any():
        label = files[1].relative_to(root).as_posix()
        issues = (DataIssue("attribute answers without a -1: 0 is read as unknown", 1, (label,)),)
    return Attributes(names, types, of_image, malformed + len(written) - len(used), issues)


def _read_names(path: Path, root: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and types, in the file's order.

    Raises:
        BenchError: A line is no name and type, or lines are missing: every later number would mean
            another attribute.
    """
    log = IssueLog()
    file = open_annotation(root, path, "attribute_name", log, numbered=True)
    for issue in log.issues():
        raise BenchError(f"{issue.kind}: {issue.examples[0]}", where=str(root), fix=issue.fix)
    names, types = [], []
    for number, line in file.lines():
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2 or parts[1] not in map(str, _FINER_TYPES):
            file.refuse(
                number, line, f"an attribute name and a type from 1 to {len(ATTRIBUTE_TYPES)}"
            )
        names.append(printable(parts[0].strip()))
        types.append(int(parts[1]))
    if not names:
        raise BenchError("names no attribute", where=file.label, fix=UNPACK_AGAIN)
    if max(types) > len(ATTRIBUTE_TYPES):
        types = [_FINER_TYPES[kind] for kind in types]
    return tuple(names), np.array(types, np.int8)


@lru_cache(maxsize=1)
def _read_answers(
    files: tuple[Path, ...], root: Path, count: int, digests: tuple[str, ...]
) -> tuple[list[str], np.ndarray, int]:
    """Distinct paths as written, their answers, and how many lines are malformed.

    Kept, since a worker trains many trials on the same files.
    """
    del digests  # they tell changed files from those that were read
    listed = files[0].name.lower() == ANSWERS_FILE
    lines = _listed(files[0], root) if listed else _by_part(root)
    label = files[0].relative_to(root).as_posix()
    rows: dict[str, np.ndarray] = {}
    seen, faults, first = 0, 0, None
    for number, line in lines:
        seen += 1
        parts = split_path(line, count)
        values = None if parts is None else _answers(parts[1])
        if parts is None or values is None:
            faults += 1
            first = first or number
        else:
            rows.setdefault(parts[0], values)
    if faults > MALFORMED_SHARE * seen or not rows:
        raise BenchError(
            f"expected an image path and {count} values of -1, 0 or 1, as many as "
            f"{NAMES_FILE} has names; {faults} of {seen} lines are malformed",
            where=f"{label}:{first or 3}",
            fix=UNPACK_AGAIN,
        )
    answers = np.stack(list(rows.values()))
    if not listed and not (answers == NO).any():
        # The finer annotations know every answer, and write 0 for no.
        answers[answers == UNKNOWN] = NO
    return list(rows), answers, faults


def _by_part(root: Path) -> Iterator[tuple[int, str]]:
    """The lines of the finer annotations, with the paths that stand in a file of their own."""
    for _, lines in read_lines(root, "_attr", IssueLog()):
        yield from ((number, f"{path} {text}") for number, text, path in lines)


def _listed(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """The lines after the count and the header, one at a time: the file is 0.8 GB."""
    label = path.relative_to(root).as_posix()
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(file, start=1):
                if number == 2 and not line.startswith("image_name"):
                    raise BenchError(
                        "expected a header line that starts with 'image_name'",
                        where=f"{label}:2",
                        fix=UNPACK_AGAIN,
                    )
                if number > 2 and line.strip():
                    yield number, line.strip()
    except OSError as error:
        raise BenchError(
            f"the annotation file cannot be read: {error.strerror}",
            where=label,
            fix="check that it is a file and that you may read it",
        ) from error


def _answers(columns: list[str]) -> np.ndarray | None:
    # Split once by NumPy: 1,000 calls of int() a line would take minutes over a release.
    try:
        values = np.array(columns, np.int64)
    except (ValueError, OverflowError):
        return None
    return values.astype(np.int8) if ((values >= NO) & (values <= YES)).all() else None
