"""Finds archives in a data folder: what is still packed is what looks missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.data.issues import printable
from bench.data.tree import find_entry, list_entries

_ARCHIVE = re.compile(
    r"(?P<stem>.+?)(?:\.(?P<kind>zip|7z|rar|tar|tgz|tar\.gz|tar\.bz2|tar\.xz)(?P<part>\.\d{2,3})?"
    r"|(?P<split>\.z\d{2}))",
    re.IGNORECASE,
)
"""Also in parts: `img.zip.001`, or `img.z01` with `img.zip`."""

ANNOTATIONS = ("Anno", "Anno_coarse", "Anno_fine")
PLACES = ("", "Img", "Img/img", "img", *ANNOTATIONS, "Eval")
"""Folders of a release that archives lie in."""

_LOCAL_HEADER, _SPANNED, _ENCRYPTED = b"PK\x03\x04", (b"PK\x07\x08", b"PK00"), 1


def packed(root: Path, places: Sequence[str] = PLACES) -> str:
    """What to unpack in a data folder.

    Args:
        root: The folder.
        places: Folders in it to look at.

    Returns:
        A sentence that names each archive, its parts and whether it asks for a password; empty
        where there is none.
    """
    said = []
    for folder, files in _archives(root, places):
        name = f"{folder}/{files[0].name}" if folder else files[0].name
        place = f"{folder}/" if folder else "this folder"
        of = f" with its {len(files)} parts" if len(files) > 1 else ""
        word = " (it asks for a password, which the data's authors give)" if _locked(files) else ""
        said.append(f"{printable(name)}{of} is there: unpack it in {place}{word}")
    return "; ".join(said)


def _archives(root: Path, places: Sequence[str]) -> Iterator[tuple[str, list[Path]]]:
    """Folder below the root and files of each archive, the one to open first."""
    seen = set()
    for place in places:
        folder: Path | None = root
        for name in place.split("/") if place else []:
            folder = None if folder is None else find_entry(folder, name)
        if folder is None or not folder.is_dir() or folder in seen:
            continue
        seen.add(folder)
        below = "" if folder == root else folder.relative_to(root).as_posix()
        found: dict[str, list[Path]] = {}
        for entry in sorted(list_entries(str(folder)), key=lambda entry: entry.name):
            match = _ARCHIVE.fullmatch(entry.name)
            if match is not None and entry.is_file():
                found.setdefault(match["stem"], []).append(folder / entry.name)
        for files in found.values():
            # img.zip is the one to open of img.z01, img.z02 and img.zip.
            files.sort(key=lambda file: (file.suffix.lower() != ".zip", file.name))
            yield below, files


def _locked(files: list[Path]) -> bool:
    """Whether the first entry of a zip is encrypted, by the header that stands before it."""
    for file in sorted(files):
        try:
            with file.open("rb") as opened:
                head = opened.read(12)
        except OSError:
            return False  # who unpacks it will be told
        head = head[4:] if head.startswith(_SPANNED) else head
        if head.startswith(_LOCAL_HEADER):
            return bool(head[6] & _ENCRYPTED)
    return False
