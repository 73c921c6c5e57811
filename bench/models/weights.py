"""Where a frozen backbone's weights lie. Light: says where, makes and loads nothing."""

from __future__ import annotations

import os
from pathlib import Path

from bench.models.settings import BackboneSettings
from bench.registry import BACKBONES

PRETEXT_VERSION = 2
"""Raised by hand whenever the pretext task would give other weights than before."""


def weights_path(settings: BackboneSettings, cache: Path) -> Path | None:
    """The file that a backbone's weights are read from, there yet or not; None for random ones.

    Args:
        settings: The backbone.
        cache: Cache folder, where the phantom weights are kept.
    """
    if settings.weights == "none":
        return None
    if settings.weights == "phantom":
        whole = BACKBONES[settings.name].begins or settings.name
        return cache / "weights" / f"{whole}-phantom-v{PRETEXT_VERSION}.weights.h5"
    if settings.weights == "imagenet":
        home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
        return home / "models" / str(BACKBONES[settings.name].imagenet_file)
    return Path(settings.weights)
