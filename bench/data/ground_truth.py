"""What is known of some images beside their category, as targets are made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.data.items import Items
from bench.data.manifest import OCCLUDED, OUTSIDE, VISIBLE, Manifest

TRAINED_FLAGS = {
    "visible": (VISIBLE,),
    "occluded": (VISIBLE, OCCLUDED),
    "every": (VISIBLE, OCCLUDED, OUTSIDE),
}
"""Which visibility flags are trained, by the setting `trained_visibility` (ledger row 12)."""


@dataclass(frozen=True)
class GroundTruth:
    """Landmarks, and attributes where a system is trained on them, of n images.

    Args:
        landmarks: `(n, 8, 2)` (x, y) as a share of width and height, NaN where absent.
        visibility: `(n, 8)`.
        clothes_type: `(n,)`.
        image_size: `(n, 2)` width and height in pixels.
        attributes: `(n, attributes)` int8: -1 no, 0 unknown, 1 yes; None without.
        rows: `(n,)` rows of the manifest.
        items: The garments of all the manifest's images; None where each has one.
    """

    landmarks: np.ndarray
    visibility: np.ndarray
    clothes_type: np.ndarray
    image_size: np.ndarray
    attributes: np.ndarray | None = None
    rows: np.ndarray | None = None
    items: Items | None = None


def ground_truth(
    manifest: Manifest, rows: np.ndarray, attributes: np.ndarray | None = None
) -> GroundTruth:
    """What is known of some images.

    Args:
        manifest: The data.
        rows: Rows of it.
        attributes: Attributes of all its images; None without.
    """
    return GroundTruth(
        manifest.landmarks[rows],
        manifest.visibility[rows],
        manifest.clothes_type[rows],
        manifest.image_size[rows],
        None if attributes is None else attributes[rows],
        rows,
        manifest.items,
    )
