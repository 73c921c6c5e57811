"""Lists the image files under a folder once, safely, and matches written paths to them.

Written paths are only ever looked up in that list, so no line of an annotation file can make the
bench open a file of its choosing.
"""

from __future__ import annotations

import html
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.issues import IssueLog
from bench.errors import BenchError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Suffixes of image files, in lower case."""

REFUSED_LINK = "symbolic link that leads outside the data folder (refused)"
BROKEN_LINK = "symbolic link that leads nowhere (left out)"

MISSING, AMBIGUOUS = -1, -2
"""Results of `match_names` for a path that nothing matches, or more than one name does."""


@dataclass(frozen=True)
class ImageTree:
    """The image files under a folder, sorted by name.

    Args:
        base: Folder that `names` are relative to.
        names: Paths as they are named on disk, with `/` between parts.
        sizes: `(n,)` int64, bytes.
        mtimes: `(n,)` int64, nanoseconds.
    """

    base: Path
    names: list[str]
    sizes: np.ndarray
    mtimes: np.ndarray


def scan_images(
    root: Path,
    base: Path,
    top: str,
    log: IssueLog,
    suffixes: tuple[str, ...] = IMAGE_SUFFIXES,
) -> ImageTree:
    """List the images under `base/top`.

    Args:
        root: The data folder; nothing outside it is listed.
        base: Folder that the names will be relative to.
        top: Folder inside `base` to list, by its name on disk.
        log: Where refused links and names that are not UTF-8 are counted.
        suffixes: Suffixes of the files to list, in lower case.

    Returns:
        Every image file, or file of another suffix asked for, sorted by name.

    Raises:
        BenchError: A folder cannot be listed.
    """
    found: list[tuple[str, int, int]] = []
    home = os.path.realpath(root)
    followed: set[str] = set()
    pending = [top]
    while pending:
        folder = pending.pop()
        for entry in list_entries(f"{base}/{folder}"):
            name = f"{folder}/{entry.name}"
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if refused_link(entry.path, name, home, log):
                    continue
                # A link to a folder above itself would otherwise be followed for ever.
                if entry.is_dir():
                    if target in followed:
                        continue
                    followed.add(target)
            if entry.is_dir():
                pending.append(name)
            elif name.lower().endswith(suffixes) and entry.is_file():
                if not name.isascii() and not _is_text(name):
                    log.add("file name that is not UTF-8 (left out)", name)
                    continue
                status = entry.stat()
                found.append((name, status.st_size, status.st_mtime_ns))
    found.sort()
    return ImageTree(
        base=base,
        names=[name for name, _, _ in found],
        sizes=np.array([size for _, size, _ in found], dtype=np.int64),
        mtimes=np.array([mtime for _, _, mtime in found], dtype=np.int64),
    )


def list_entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """List a folder, in no order.

    Args:
        folder: The folder.

    Yields:
        Its entries.

    Raises:
        BenchError: It cannot be listed.
    """
    try:
        with os.scandir(folder) as listing:
            yield from listing
    except OSError as error:
        raise BenchError(
            f"the folder cannot be listed: {error.strerror}",
            where=folder,
            fix="check that it is a folder and that you may read it",
        ) from error


def find_entry(folder: Path, name: str) -> Path | None:
    """Find a file or folder by its exact name, else by the only name that differs in case.

    Args:
        folder: Where to look; it need not exist.
        name: One path component.

    Returns:
        The entry as it is named on disk, or None.
    """
    if not folder.is_dir():
        return None
    alike = [
        entry.name for entry in list_entries(str(folder)) if entry.name.lower() == name.lower()
    ]
    if name in alike:
        return folder / name
    return folder / alike[0] if len(alike) == 1 else None


def is_inside(path: str, root: str) -> bool:
    """Whether a resolved path is a resolved folder or is inside it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def refused_link(path: str, name: str, home: str, log: IssueLog) -> bool:
    """Whether a symbolic link leads outside the data folder, to nothing or in a circle.

    Args:
        path: The link.
        name: How to name it.
        home: The data folder, resolved.
        log: Where it is counted if so.
    """
    target = os.path.realpath(path)
    if not is_inside(target, home):
        log.add(REFUSED_LINK, f"{name} -> {target}", blocking=True)
        return True
    if not os.path.exists(target):  # noqa: PTH110 - a Path would raise where links go in a circle
        log.add(BROKEN_LINK, f"{name} -> {target}")
        return True
    return False


def leads_outside(path: str) -> bool:
    """Whether a written path is absolute or climbs, so that it could name a file elsewhere."""
    if path[0] in "/\\" or path[1:2] == ":":
        return True
    return ".." in path and ".." in path.replace("\\", "/").split("/")


def match_names(wanted: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Match written paths to names, exactly where possible, and never two to one.

    A path is tried as it is, then with its HTML entities resolved, then without regard to case
    (both sides with entities resolved and accents composed). A match that is not exact counts
    only where it is the only one possible in both directions.

    Args:
        wanted: Distinct paths as written.
        names: Distinct names to match them to.

    Returns:
        `(len(wanted),)` int64: index into `names`, `MISSING` or `AMBIGUOUS`.
    """
    place = {name: index for index, name in enumerate(names)}
    matched = np.fromiter((place.get(path, MISSING) for path in wanted), np.int64, len(wanted))
    taken = set(matched[matched != MISSING].tolist())
    left = np.flatnonzero(matched == MISSING).tolist()
    if not left:
        return matched

    claims: dict[int, list[int]] = {}
    folded: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        folded.setdefault(_folded(name), []).append(index)
    for row in left:
        unescaped = place.get(html.unescape(wanted[row]))
        candidates = [unescaped] if unescaped is not None else folded.get(_folded(wanted[row]), [])
        if len(candidates) > 1 or (candidates and candidates[0] in taken):
            matched[row] = AMBIGUOUS
        elif candidates:
            claims.setdefault(candidates[0], []).append(row)
    for index, rows in claims.items():
        matched[rows] = index if len(rows) == 1 else AMBIGUOUS
    return matched


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", html.unescape(name)).casefold()


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
