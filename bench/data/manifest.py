"""What every data source becomes: one row an image, and the issues found in the source.

Light by design: NumPy only, so that planning a study never waits for a heavy import.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.data.deepfashion2 import release as deepfashion2_release
from bench.data.items import SHOP, USER, Items
from bench.data.release import release_differences
from bench.metrics import landmarks

LANDMARKS = (
    "left collar",
    "right collar",
    "left sleeve",
    "right sleeve",
    "left waistline",
    "right waistline",
    "left hem",
    "right hem",
)
"""The eight landmark channels, by meaning (PAPER ledger, row 14)."""

CLOTHES_TYPES = {1: "upper", 2: "lower", 3: "full body"}
"""Clothes types by DeepFashion's number; 0 stands for unknown."""

CHANNELS_OF_TYPE = {1: (0, 1, 2, 3, 6, 7), 2: (4, 5, 6, 7), 3: (0, 1, 2, 3, 4, 5, 6, 7)}
"""Which channels the points of an annotation line fill, in the line's order."""

VISIBLE, OCCLUDED, OUTSIDE, ABSENT = landmarks.VISIBLE, 1, 2, -1
"""Visibility of a landmark: DeepFashion's 0, 1 and 2, and -1 for one the garment does not have."""

VARIATIONS = {
    1: "normal pose",
    2: "medium pose",
    3: "large pose",
    4: "medium zoom-in",
    5: "large zoom-in",
}
"""Variation types by DeepFashion's number; 0 stands for unknown."""

PARTITIONS = ("train", "val", "test")
"""Names of the official partition; an image's `partition` is an index here, or -1 for none."""


def turns_upright(source: str) -> bool:
    """Whether images of a kind of source are turned by their EXIF orientation when decoded.

    Only where nothing in them has a place: landmarks and boxes are in pixels as stored.
    """
    return source == "folder"


@dataclass(frozen=True)
class DataIssue:
    """Something about a source that a reader of its results should know.

    Args:
        kind: Short name, such as `"missing image"`.
        count: How many lines, paths or files show it.
        examples: A few of them, as found.
        blocking: True where training on the source as it stands would be wrong.
        fix: What to do about it, where a run refuses the source for it; empty for the others.
    """

    kind: str
    count: int
    examples: tuple[str, ...] = ()
    blocking: bool = False
    fix: str = ""


@dataclass(frozen=True)
class Manifest:
    """All images of a source, in a stable order, with everything known about each.

    Args:
        source: `"phantom"`, `"deepfashion"`, `"deepfashion2"` or `"folder"`.
        root: Folder that `paths` are relative to.
        paths: `(n,)` strings, the image files as they are named on disk.
        category: `(n,)` int16, 0-based index into `class_names`; -1 where only the image's items
            have one.
        clothes_type: `(n,)` int8, 1 upper, 2 lower, 3 full body, 0 unknown.
        product: `(n,)` int32, the same number for photographs of one product.
        landmarks: `(n, 8, 2)` float32, (x, y) as a share of the stored image's width and height,
            in the order of `LANDMARKS`; NaN where the landmark is absent.
        visibility: `(n, 8)` int8: 0 visible, 1 occluded, 2 outside the image, -1 absent.
        image_size: `(n, 2)` int32 width and height of the stored image in pixels; 0 where the
            source did not need to know.
        partition: `(n,)` int8, index into `PARTITIONS`, -1 where the source names none.
        class_names: Names of the categories.
        fingerprint: Hash of all the above and the size of every image file; equal on two
            machines with the same data, in whatever folder.
        issues: The issues found, counted, with examples.
        items: What is known of the several garments of each image; None where each image has one.
        variation: `(n,)` int8, by `VARIATIONS`, 0 unknown; None where the source says it of no
            image. No part of the fingerprint, as nothing is trained on it.
    """

    source: str
    root: Path
    paths: np.ndarray
    category: np.ndarray
    clothes_type: np.ndarray
    product: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray
    image_size: np.ndarray
    partition: np.ndarray
    class_names: tuple[str, ...]
    fingerprint: str
    issues: tuple[DataIssue, ...] = field(default=())
    items: Items | None = None
    variation: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def has_landmarks(self) -> bool:
        """Whether any image of the source carries a landmark."""
        return bool((self.visibility != ABSENT).any())

    @property
    def upright(self) -> bool:
        """Whether its images are turned by their EXIF orientation when they are decoded."""
        return turns_upright(self.source)

    @property
    def has_partition(self) -> bool:
        """Whether the source brings an official train / val / test partition."""
        return bool((self.partition >= 0).any())

    @property
    def class_counts(self) -> list[int]:
        """Images of each class; where images have several items, items of each class."""
        category = self.category if self.items is None else self.items.category
        return np.bincount(category, minlength=len(self.class_names)).tolist()

    def counts_of(self, rows: np.ndarray) -> np.ndarray:
        """`(classes,)` images of each class among some; of images with several items, items."""
        category = self.category[rows]
        if self.items is not None:
            category = self.items.category[np.isin(self.items.image, rows)]
        return np.bincount(category, minlength=len(self.class_names))

    @property
    def partition_counts(self) -> list[int]:
        """Images of train, val and test as the source divides them."""
        named = self.partition[self.partition >= 0]
        return np.bincount(named, minlength=len(PARTITIONS)).tolist()

    @cached_property
    def release_differences(self) -> tuple[str, ...] | None:
        """How it differs from the official release that it has the layout of; None for a phantom
        and for a folder of classes.

        Empty for the official release itself.
        """
        if self.source == "deepfashion2" and self.items is not None:
            domain = self.items.domain[self.partition == PARTITIONS.index("val")]
            sides = [int((domain == side).sum()) for side in (USER, SHOP)]
            return deepfashion2_release.release_differences(self.partition_counts, sides)
        if self.source != "deepfashion":
            return None
        return release_differences(self.class_names, self.class_counts, self.partition_counts)
