"""Checksums: of the bytes of a file, and of a JSON record's content, kept inside the record.

Damage on a disk must be found when a file is read. Records and files from before there were
checksums are read as they are; `bench fsck` counts them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

CHECKSUM_KEY = "own_sha256"
"""The key of a record that holds the checksum of all the others."""


def file_checksum(path: Path, algorithm: str = "sha256") -> str:
    """Digest of a file's bytes by one of `hashlib`'s algorithms, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The same, of a file that is asked for again and again: read once while it does not change.

    Raises:
        OSError: It is not there, or cannot be read.
    """
    stat = path.stat()
    return _digest(path.resolve(), algorithm, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, algorithm: str, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # they tell a changed file from the one that was read
    return file_checksum(path, algorithm)


def folder_checksums(folder: Path) -> dict[str, str]:
    """Checksums of the files of a folder, by name."""
    return {path.name: file_checksum(path) for path in sorted(folder.iterdir()) if path.is_file()}


def check_files(folder: Path, checksums: dict[str, str], present: Iterable[str]) -> None:
    """Compare files with their checksums.

    Args:
        folder: The folder they are in.
        checksums: Name -> checksum, as `folder_checksums` gave them.
        present: Names of the files that a reader would read.

    Raises:
        ValueError: One is missing, has other bytes, or has no checksum; it is named.
    """
    for name in present:
        if name not in checksums:
            raise ValueError(f"{name} is not one of its files")
    for name, written in checksums.items():
        try:
            found = file_checksum(folder / Path(name).name)
        except FileNotFoundError:
            raise ValueError(f"{name} is missing") from None
        if found != written:
            raise ValueError(f"{name} is not what was written: its checksum differs")


def with_checksum(plain: dict[str, Any]) -> dict[str, Any]:
    """A record with the checksum of its content, which does not depend on the JSON's formatting.

    Args:
        plain: What `json` can write; NaN and infinity become None, as JSON has none.
    """
    content = json.loads(json.dumps(plain), parse_constant=lambda _: None)
    content.pop(CHECKSUM_KEY, None)
    return content | {CHECKSUM_KEY: _content_checksum(content)}


def without_checksum(plain: Any) -> dict[str, Any]:
    """A record without its checksum, compared with it where it has one.

    Raises:
        ValueError: It is no record, its content was changed, or its checksum is lost.
    """
    if not isinstance(plain, dict):
        raise ValueError("expected a mapping")
    content = {key: value for key, value in plain.items() if key != CHECKSUM_KEY}
    if "files" in content and CHECKSUM_KEY not in plain:
        raise ValueError("it has checksums of files and lacks its own")
    if CHECKSUM_KEY in plain and plain[CHECKSUM_KEY] != _content_checksum(content):
        raise ValueError("its content is not what was written: its checksum differs")
    return content


def read_with_checksum(path: Path) -> dict[str, Any]:
    """A JSON record from its file, compared with its checksum where it has one.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not JSON, or not what was written.
    """
    try:
        return without_checksum(json.loads(path.read_text(encoding="utf-8")))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _content_checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
