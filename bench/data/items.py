"""What a source whose images hold several garments knows of each: one row an item.

Ragged values are kept flat with the place where each row's begin, so that 400,000 items are a dozen
arrays and not a million lists.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

USER, SHOP, UNKNOWN = 0, 1, -1
"""Where a photograph is from: a user, a shop, or not said."""

HIDDEN, SEEN, UNLABELLED = 1, 2, 0
"""Visibility of an item's landmark as COCO writes it: occluded, visible, not labelled."""

NUMBERED = "#item"
"""In the name of a single item, between its image's path and its number from 1."""

NO_IDENTITY = -1
"""Identity of an item of style 0, which has no partner by definition."""


@dataclass(frozen=True)
class Items:
    """The items of `n` images, `m` in all, image by image and in the order of their numbers.

    Args:
        pair_id: `(n,)` int32 by image, as annotated; -1 where the image has no annotation.
        domain: `(n,)` int8 by image: `USER`, `SHOP` or `UNKNOWN`.
        image: `(m,)` int32, the row of the item's image.
        category: `(m,)` int16, 0-based index into the manifest's `class_names`.
        style: `(m,)` int32, what tells the garments of a `pair_id` apart; 0 has no partner.
        identity: `(m,)` int32, the same number for photographs of one garment (the same partition,
            `pair_id` and `style`), `NO_IDENTITY` where `style` is 0.
        box: `(m, 4)` float32, corners x1, y1, x2, y2 in pixels, within the image.
        scale: `(m,)` int8, 1 small to 3 large.
        occlusion: `(m,)` int8, 1 slight or none to 3 heavy.
        zoom_in: `(m,)` int8, 1 none to 3 large.
        viewpoint: `(m,)` int8, 1 not worn, 2 frontal, 3 side or back.
        points: `(p, 3)` float32, x and y in pixels and visibility of all landmarks, in the
            annotated order of their category; 0, 0, 0 where not labelled.
        point_starts: `(m + 1,)` int64, where each item's landmarks begin in `points`.
        corners: `(c, 2)` float32, x and y in pixels of all polygons.
        corner_starts: `(q + 1,)` int64, where each polygon's corners begin in `corners`.
        polygon_starts: `(m + 1,)` int64, where each item's polygons begin among the `q`.
    """

    pair_id: np.ndarray
    domain: np.ndarray
    image: np.ndarray
    category: np.ndarray
    style: np.ndarray
    identity: np.ndarray
    box: np.ndarray
    scale: np.ndarray
    occlusion: np.ndarray
    zoom_in: np.ndarray
    viewpoint: np.ndarray
    points: np.ndarray
    point_starts: np.ndarray
    corners: np.ndarray
    corner_starts: np.ndarray
    polygon_starts: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def landmarks_of(self, item: int) -> np.ndarray:
        """An item's landmarks, `(landmarks of its category, 3)`: x, y and visibility."""
        return self.points[self.point_starts[item] : self.point_starts[item + 1]]

    def polygons_of(self, item: int) -> list[np.ndarray]:
        """An item's polygons, `(corners, 2)` each. They may overlap: its mask is their union."""
        first, end = self.polygon_starts[item : item + 2]
        bounds = self.corner_starts[first : end + 1].tolist()
        return [self.corners[a:b] for a, b in pairwise(bounds)]

    def positive_pairs(self) -> np.ndarray:
        """Every user's item with every shop's item of the same identity.

        Returns:
            `(pairs, 2)` int64, the user's item and the shop's. All other pairs are negative.
        """
        domain = np.where(self.identity == NO_IDENTITY, UNKNOWN, self.domain[self.image])
        users, shops = np.flatnonzero(domain == USER), np.flatnonzero(domain == SHOP)
        shops = shops[np.argsort(self.identity[shops], kind="stable")]
        first, end = (
            np.searchsorted(self.identity[shops], self.identity[users], side=side)
            for side in ("left", "right")
        )
        partners = end - first
        before = np.repeat(np.cumsum(partners) - partners, partners)
        place = np.repeat(first, partners) + np.arange(partners.sum()) - before
        return np.column_stack([np.repeat(users, partners), shops[place]])

    def arrays(self) -> list[np.ndarray]:
        """All of it, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]


def polygon_area(corners: np.ndarray) -> float:
    """Area of a polygon, `(corners, 2)`, in square pixels."""
    (x, y), (after_x, after_y) = corners.T, np.roll(corners, -1, axis=0).T
    return float(abs((x * after_y - after_x * y).sum()) / 2)
