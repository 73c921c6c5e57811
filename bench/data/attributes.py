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

from bench.data.annotations import MALFORMED_SHARE, AnnotationFile
from bench.data.deepfashion import ANNOTATION_FOLDERS, image_folder, locate
from bench.data.issues import IssueLog, printable
from bench.data.manifest import Manifest
from bench.data.tree import match_names
from bench.errors import BenchError
from bench.files.checksums import file_digest
from bench.study.trial import TrialSpec

ATTRIBUTE_TYPES = {1: "texture", 2: "fabric", 3: "shape", 4: "part", 5: "style"}
"""Types of attributes by DeepFashion's number."""

NAMES_FILE, ANSWERS_FILE = "list_attr_cloth.txt", "list_attr_img.txt"
NO, UNKNOWN, YES = -1, 0, 1

_FIX = "unpack the annotation file again from the release"


@dataclass(frozen=True)
class Attributes:
    """The attributes of a source.

    Args:
        names: Their names, in the file's order.
        types: `(len(names),)` int8, by `ATTRIBUTE_TYPES`.
        answers: `(images of the manifest, len(names))` int8: -1 no, 0 unknown, 1 yes; unknown
            for an image without a line.
        left_out: Lines that are malformed or name no image.
    """

    names: tuple[str, ...]
    types: np.ndarray
    answers: np.ndarray
    left_out: int

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """`(2, len(names))` how many of some images are known to lack, and to have, each."""
        answers = self.answers[rows]
        return np.stack([(answers == NO).sum(axis=0), (answers == YES).sum(axis=0)])


def attribute_files(root: Path) -> tuple[Path, Path] | None:
    """The files of names and of answers; None for a source that lacks either."""
    names, answers = (locate(root, ANNOTATION_FOLDERS, f) for f in (NAMES_FILE, ANSWERS_FILE))
    return None if names is None or answers is None else (names, answers)


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
    written, answers, malformed = _read_answers(files[1], root, len(names), file_digest(files[1]))
    base, _ = image_folder(root)
    above = "" if base == root else f"{base.name}/"
    on_disk = [str(path).removeprefix(above) for path in manifest.paths]
    match = match_names(written, on_disk)
    used = np.flatnonzero(match >= 0)
    of_image = np.full((len(on_disk), len(names)), UNKNOWN, np.int8)
    of_image[match[used]] = answers[used]
    return Attributes(names, types, of_image, malformed + len(written) - len(used))


def _read_names(path: Path, root: Path) -> tuple[tuple[str, ...], np.ndarray]:
    file = AnnotationFile(path, path.relative_to(root).as_posix(), "attribute_name", IssueLog())
    names, types = [], []
    for number, line in file.lines():
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2 or parts[1] not in map(str, ATTRIBUTE_TYPES):
            raise BenchError(
                f"expected an attribute name and a type from 1 to {len(ATTRIBUTE_TYPES)}, found "
                f"'{printable(line.strip())}'",
                where=f"{file.label}:{number}",
                fix=_FIX,
            )
        names.append(printable(parts[0].strip()))
        types.append(int(parts[1]))
    if not names:
        raise BenchError("names no attribute", where=file.label, fix=_FIX)
    return tuple(names), np.array(types, np.int8)


@lru_cache(maxsize=1)
def _read_answers(
    path: Path, root: Path, count: int, digest: str
) -> tuple[list[str], np.ndarray, int]:
    """Distinct paths as written, their answers, and how many lines are malformed.

    Kept, since a worker trains many trials on the same file.
    """
    del digest  # tells a changed file from the one that was read
    label = path.relative_to(root).as_posix()
    rows: dict[str, np.ndarray] = {}
    lines, faults, first = 0, 0, None
    for number, line in _numbered(path, label):
        lines += 1
        name, _, rest = line.partition(" ")
        values = _answers(rest, count)
        if values is None:
            faults += 1
            first = first or number
        else:
            rows.setdefault(name, values)
    if faults > MALFORMED_SHARE * lines or not rows:
        raise BenchError(
            f"expected an image path and {count} values of -1, 0 or 1; {faults} of {lines} lines "
            "are malformed",
            where=f"{label}:{first or 3}",
            fix=_FIX,
        )
    return list(rows), np.stack(list(rows.values())), faults


def _numbered(path: Path, label: str) -> Iterator[tuple[int, str]]:
    """The lines after the count and the header, one at a time: the file is 0.8 GB."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(file, start=1):
                if number == 2 and not line.startswith("image_name"):
                    raise BenchError(
                        "expected a header line that starts with 'image_name'",
                        where=f"{label}:2",
                        fix=_FIX,
                    )
                if number > 2 and line.strip():
                    yield number, line.strip()
    except OSError as error:
        raise BenchError(
            f"the annotation file cannot be read: {error.strerror}",
            where=label,
            fix="check that it is a file and that you may read it",
        ) from error


def _answers(text: str, count: int) -> np.ndarray | None:
    # Split once by NumPy: 1,000 calls of int() a line would take minutes over a release.
    try:
        values = np.array(text.split(), np.int64)
    except (ValueError, OverflowError):
        return None
    if len(values) != count or not ((values >= NO) & (values <= YES)).all():
        return None
    return values.astype(np.int8)
