"""What several tests need: a phantom small enough to draw in a few seconds."""

from __future__ import annotations

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path

import pytest

from bench.data.phantom import generate_phantom
from bench.files.locks import locked
from tests.command import bench


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run the bench come first: at the end, one would keep one process busy alone."""
    runs = {item.path for item in items if "warm_cache" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in runs)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of one run of pytest share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def cache(shared: Path) -> Path:
    """A cache folder with the smoke profile's phantom in it."""
    folder = shared / "cache" / "phantom"
    with locked(shared / "cache.lock", wait=True):
        folder.mkdir(parents=True, exist_ok=True)
        generate_phantom(folder / "300-images-seed-0", images=300, seed=0, workers=1)
    return folder.parent


@pytest.fixture(scope="session")
def warm_cache(shared: Path, cache: Path) -> Path:
    """A cache folder that also holds the feature maps of the smoke profile's own backbone."""
    folder = shared / "warm" / ".cache"
    with locked(shared / "warm.lock", wait=True):
        if not folder.exists():
            shutil.copytree(cache, folder)
            study = folder.parent / "study.yaml"
            study.write_text("base: {preset: ropanet_baseline, train.epochs: 1}\nseeds: 1\n")
            bench(study.parent, "run", study.name, "--profile", "smoke")
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, cache: Path) -> Path:
    """A copy of `cache`, as `.cache` in the test's folder, that a command may write to."""
    return Path(shutil.copytree(cache, tmp_path / ".cache"))


@pytest.fixture
def own_warm_cache(tmp_path: Path, warm_cache: Path) -> Path:
    """A copy of `warm_cache`, as `own_cache` is one of `cache`."""
    return Path(shutil.copytree(warm_cache, tmp_path / ".cache"))


@pytest.fixture(scope="session")
def phantom(cache: Path) -> Path:
    """The smoke profile's phantom."""
    return cache / "phantom" / "300-images-seed-0"
