"""What is known of an image's garments, as arrays of a fixed size in the network's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from bench.data.items import UNKNOWN, Items
from bench.metrics.detection import Item

MASK_STRIDE = 2
"""Pixels of the image a cell of a true mask, from which targets of 28 x 28 are cut."""


def items_of(items: Items, row: int) -> np.ndarray:
    """The items of an image."""
    return np.arange(*np.searchsorted(items.image, (row, row + 1)))


def truth(
    items: Items,
    rows: np.ndarray,
    sizes: np.ndarray,
    *,
    side: int,
    count: int,
    landmarks: Sequence[int],
) -> dict[str, np.ndarray]:
    """What the network is trained on.

    Args:
        items: Of all images.
        rows: `(n,)` images.
        sizes: `(n, 2)` their width and height in pixels.
        side: Side of the network's square image.
        count: Garments an image; of more, those with the largest boxes.
        landmarks: Landmarks of each category; 0 for one whose landmarks are not predicted.

    Returns:
        `boxes` `(n, count, 4)`, `category` (-1 where there is no garment), `masks` `(n, count, h,
        h)`, `points` `(n, count, most, 3)`, `identity`, and `domain` `(n,)`.
    """
    n, cells = len(rows), side // MASK_STRIDE
    found = {
        "boxes": np.zeros((n, count, 4), np.float32),
        "category": np.full((n, count), -1, np.int32),
        "masks": np.zeros((n, count, cells, cells), np.float32),
        "points": np.zeros((n, count, max(landmarks), 3), np.float32),
        "identity": np.full((n, count), UNKNOWN, np.int32),
        "domain": items.domain[rows].astype(np.int32),
    }
    for at, row in enumerate(rows.tolist()):
        scale = side / np.maximum(sizes[at], 1).astype(np.float32)
        own = items_of(items, row)
        size = items.box[own, 2:] - items.box[own, :2]
        own = own[(size > 0).all(axis=1)]
        area = (items.box[own, 2:] - items.box[own, :2]).prod(axis=1)
        for place, item in enumerate(own[np.argsort(-area, kind="stable")][:count].tolist()):
            category = int(items.category[item])
            found["boxes"][at, place] = items.box[item] * np.tile(scale, 2)
            found["category"][at, place] = category
            found["identity"][at, place] = items.identity[item]
            found["masks"][at, place] = _raster(items.polygons_of(item), scale, cells)
            if landmarks[category]:
                points = items.landmarks_of(item)
                found["points"][at, place, : len(points)] = points * (*scale, 1)
    return found


def _raster(polygons: list[np.ndarray], scale: np.ndarray, cells: int) -> np.ndarray:
    """The union of polygons, `(cells, cells)`, 1 inside."""
    mask = Image.new("1", (cells, cells))
    pen = ImageDraw.Draw(mask)
    for corners in polygons:
        # A cell is inside where its middle is.
        at = corners * scale / MASK_STRIDE - 0.5
        pen.polygon([(float(x), float(y)) for x, y in at], fill=1)
    return np.asarray(mask, dtype=np.float32)


def as_annotated(items: Items, row: int) -> tuple[Item, ...]:
    """The garments of an image as they are judged by, in its own pixels."""
    return tuple(_item(items, item) for item in items_of(items, row).tolist())


def _item(items: Items, item: int) -> Item:
    grades: dict[str, Any] = {
        name: int(getattr(items, name)[item])
        for name in ("scale", "occlusion", "zoom_in", "viewpoint")
    }
    return Item(
        category=int(items.category[item]),
        box=_plain(items.box[item]),
        identity=int(items.identity[item]),
        points=[_plain(point) for point in items.landmarks_of(item)],
        polygons=[_plain(corners.reshape(-1)) for corners in items.polygons_of(item)],
        grades=grades,
    )


def _plain(values: np.ndarray) -> list[float]:
    """Rounded to a hundredth of a pixel, as they are stored."""
    return [round(float(value), 2) for value in values]
