"""What several tests need: a phantom small enough to draw in a few seconds."""

from __future__ import annotations

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path

import pytest

from bench.data.phantom import generate_phantom


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the smoke profile's phantom in it."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "phantom").mkdir()
    generate_phantom(folder / "phantom" / "300-images-seed-0", images=300, seed=0, workers=1)
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, cache: Path) -> Path:
    """A copy of `cache`, as `.cache` in the test's folder, that a command may write to."""
    return Path(shutil.copytree(cache, tmp_path / ".cache"))


@pytest.fixture(scope="session")
def phantom(cache: Path) -> Path:
    """The smoke profile's phantom."""
    return cache / "phantom" / "300-images-seed-0"
