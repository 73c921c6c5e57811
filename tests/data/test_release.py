"""Only data with the official release's counts is called DeepFashion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.categories import categories
from bench.data.manifest import ABSENT, Manifest
from bench.data.release import PARTITION
from bench.data.sources import data_label, open_source
from tests.data.conftest import Layout


@pytest.fixture(scope="module")
def official() -> Manifest:
    """A manifest of 289,222 images with the release's counts, and nothing else of it."""
    counts = [category.images for category in categories()]
    images = sum(counts)
    return Manifest(
        source="deepfashion",
        root=Path("data"),
        paths=np.arange(images).astype(np.str_),
        category=np.repeat(np.arange(len(counts), dtype=np.int16), counts),
        clothes_type=np.zeros(images, np.int8),
        product=np.zeros(images, np.int32),
        landmarks=np.zeros((images, 8, 2), np.float32),
        visibility=np.full((images, 8), ABSENT, np.int8),
        image_size=np.zeros((images, 2), np.int32),
        partition=np.repeat(np.arange(3, dtype=np.int8), list(PARTITION.values())),
        class_names=tuple(category.name for category in categories()),
        fingerprint="f",
    )


def test_the_releases_counts_make_it_deepfashion(official: Manifest) -> None:
    assert official.release_differences == ()
    assert data_label(official) == "DeepFashion (289,222 images)"


def test_one_image_of_another_class_is_named(official: Manifest) -> None:
    names = official.class_names
    category = official.category.copy()
    category[np.flatnonzero(category == names.index("Dress"))[0]] = names.index("Robe")
    other = replace(official, category=category)
    assert other.release_differences == (
        "Dress 72,157 images instead of 72,158",
        "Robe 151 images instead of 150",
    )
    assert data_label(other) == (
        "photographs in DeepFashion's layout (289,222 images, 46 categories; not the official "
        "release: Dress 72,157 images instead of 72,158, Robe 151 images instead of 150)"
    )


def test_a_missing_image_is_named_by_its_class(official: Manifest) -> None:
    first = {
        name: getattr(official, name)[1:]
        for name in ("paths", "category", "partition", "visibility")
    }
    found = replace(official, **first).release_differences
    assert found == (
        "289,221 images instead of 289,222",
        "partition 209,221 / 40,000 / 40,000 instead of 209,222 / 40,000 / 40,000",
        "Anorak 159 images instead of 160",
    )


def test_another_partition_or_other_names_are_not_the_release(official: Manifest) -> None:
    moved = replace(official, partition=np.roll(official.partition, 1) * 0)
    assert moved.release_differences == (
        "partition 289,222 / 0 / 0 instead of 209,222 / 40,000 / 40,000",
    )
    names = tuple("Skort" if name == "Cape" else name for name in official.class_names)
    assert replace(official, class_names=names).release_differences == (
        "no category Cape",
        "a category Skort that the release does not have",
    )


def test_a_folder_in_its_layout_is_called_that(layout: Layout) -> None:
    for number in range(4):
        layout.add(f"img/Plain_Top/img_{number}.jpg", category="13"[number % 2])
    manifest = open_source(layout.write())
    assert data_label(manifest) == (
        "photographs in DeepFashion's layout (4 images, 2 categories; the official release has "
        "289,222 and 46)"
    )
    differences = manifest.release_differences
    assert differences is not None and differences[:3] == (
        "4 images instead of 289,222",
        "2 categories with images instead of 46",
        "partition 4 / 0 / 0 instead of 209,222 / 40,000 / 40,000",
    )
    # Of 50 categories it has three, of which two have images: 46 with other counts or none at all,
    # and the four that are empty in the release and not there at all.
    assert differences[-1] == "47 categories more"


def test_other_layouts_are_not_asked(official: Manifest) -> None:
    assert replace(official, source="phantom").release_differences is None
    assert data_label(replace(official, source="folder")) == "folder `data` (289,222 images)"
