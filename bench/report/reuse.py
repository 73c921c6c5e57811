"""What a report was made of, kept beside it: what has not changed since is not rendered again.

The digest of a study covers its record, its searches, every trial's `trial.json` on disk, what was
measured of its forms for a phone, failed attempts, the bench's own files and the drawing libraries.
A trial never changes once it is stored, so its size and time of writing stand for it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import bench
from bench.files.atomic import write_json
from bench.metrics.catalogue import METRICS
from bench.store.phone import phone_paths
from bench.store.searches import search_path
from bench.store.studies import StudyRecord
from bench.store.trials import Store

MARK = ".bench-report"
"""File that tells a report's folder from any other."""

LIBRARIES = (
    "altair", "matplotlib", "numpy", "pandas", "scikit-learn", "scipy", "seaborn",
    "vl-convert-python",
)  # fmt: skip


@dataclass(frozen=True)
class ReportManifest:
    """What a report was made of, and what it holds.

    Args:
        forms: Forms of the page that were written, in order.
        studies: Study -> digest of what it was made of, in order.
        figures: Study -> its figures: `name`, `title`, `caption`.
        tables: How many tables there are.
        files: Path within the report -> size in bytes.
    """

    forms: tuple[str, ...]
    studies: dict[str, str]
    figures: dict[str, list[dict[str, str]]]
    tables: int
    files: dict[str, int]

    def write(self, folder: Path) -> None:
        """Keep it in the report's folder."""
        plain = {
            "forms": list(self.forms),
            "studies": self.studies,
            "figures": self.figures,
            "tables": self.tables,
            "files": self.files,
        }
        write_json(folder / MARK, plain, sort_keys=False)


def read_manifest(folder: Path) -> ReportManifest | None:
    """What the report in a folder was made of; None where that is not known, or files differ."""
    try:
        plain = json.loads((folder / MARK).read_text(encoding="utf-8"))
        manifest = ReportManifest(
            forms=tuple(plain["forms"]),
            studies=plain["studies"],
            figures=plain["figures"],
            tables=plain["tables"],
            files=plain["files"],
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None  # no report, or one of another version: everything is rendered
    found = sizes(folder)
    found.pop(MARK)
    return manifest if found == manifest.files else None


def digest_of(store: Store, study: StudyRecord) -> str:
    """Stands for everything that a study's section is made of."""
    found = hashlib.sha256(_own_digest().encode())
    found.update(json.dumps(study.to_json(), sort_keys=True).encode())
    for identity in sorted(study.trial_names()):
        found.update(f"{identity}{store.stamp(identity)}".encode())
        for path in phone_paths(store.root, identity):
            about = path.stat()
            found.update(f"{path.name} {about.st_size} {about.st_mtime_ns}".encode())
    for identity in study.search_ids():
        path = search_path(store.root, identity)
        found.update(path.read_bytes() if path.is_file() else b"none")
    # Photographs are shown where their folder is at hand.
    found.update(str(Path(study.data.root or "").is_dir()).encode())
    return found.hexdigest()


@cache
def _own_digest() -> str:
    """Of the bench's own files and the libraries that draw."""
    root = Path(bench.__file__).parent
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".j2", ".css", ".yaml", ".csv"):
            found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    found.update(" ".join(version(name) for name in LIBRARIES).encode())
    found.update(" ".join(METRICS).encode())  # a plug-in may have added one
    return found.hexdigest()


def sizes(folder: Path) -> dict[str, int]:
    """Path within a folder -> size in bytes, of every file in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
