"""Where a frozen backbone's weights are, and whether they are what was written.

Light: makes and loads nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import BenchError
from bench.files.atomic import new_file
from bench.files.checksums import file_checksum, file_digest
from bench.study.trial import SEMANTICS
from bench.systems.registry import BACKBONES
from bench.systems.settings import BackboneSettings


def weights_path(settings: BackboneSettings, cache: Path) -> Path | None:
    """The file of a backbone's weights, which may not exist yet; None for random ones.

    Args:
        settings: The backbone.
        cache: Cache folder, where the phantom weights are kept.
    """
    if settings.weights == "none":
        return None
    if settings.weights == "phantom":
        whole = BACKBONES[settings.name].begins or settings.name
        return cache / "weights" / f"{whole}-phantom-v{SEMANTICS}.weights.h5"
    if settings.weights == "imagenet":
        home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
        return home / "models" / str(BACKBONES[settings.name].imagenet_file)
    return Path(settings.weights)


def checksum_path(weights: Path) -> Path:
    """The file with the checksum of weights made here, next to them."""
    return weights.with_name(f"{weights.name}.sha256")


def write_checksum(weights: Path) -> None:
    """Write the checksum of weights made here next to them."""
    with new_file(checksum_path(weights)) as draft:
        draft.write_text(f"{file_checksum(weights)}\n", encoding="ascii")


def checked_digest(weights: Path) -> str:
    """SHA-256 of a weights file, compared with the checksum next to it, if any.

    Raises:
        BenchError: The file is missing or damaged.
    """
    digest = file_digest(weights)
    kept = checksum_path(weights)
    if kept.is_file() and kept.read_text(encoding="ascii", errors="replace").strip() != digest:
        raise BenchError(
            "the weights are not what was written: their checksum differs",
            where=str(weights),
            fix="`bench fsck --repair` removes weights made here, and the next run makes them "
            "again; replace others, and remove the .sha256 file next to them",
        )
    return digest
