"""Polygons around what can be seen of a garment, as annotators draw them."""

from __future__ import annotations

import numpy as np
from contourpy import contour_generator

from bench.data.items import polygon_area

LEAST_AREA = 12.0
"""Square pixels below which a piece is left out."""

TOLERANCE = 0.8
"""How far from the contour a polygon may lie, in pixels."""


def outlines(cover: np.ndarray) -> list[np.ndarray]:
    """Polygons around where a mask is above one half; holes in it are left out.

    Args:
        cover: `(height, width)` in [0, 1].

    Returns:
        `(corners, 2)` each, x and y in pixels.
    """
    # A rim of nothing closes the outline of what the picture cuts off.
    contours = contour_generator(z=np.pad(cover, 1), fill_type="OuterOffset")
    polygons = []
    for points, offsets in zip(*contours.filled(0.5, 2.0), strict=True):
        outer = points[: offsets[1] - 1] - 1
        outer = outer[_kept(outer)]
        if len(outer) >= 3 and polygon_area(outer) >= LEAST_AREA:
            polygons.append(np.clip(outer, 0, np.array(cover.shape[::-1]) - 1))
    return polygons


def _kept(ring: np.ndarray) -> np.ndarray:
    """Corners that a polygon within `TOLERANCE` needs (Douglas and Peucker 1973)."""
    kept = np.zeros(len(ring), dtype=bool)
    far = int(np.hypot(*(ring - ring[0]).T).argmax())
    kept[[0, far]] = True
    closed = np.concatenate([ring, ring[:1]])
    pending = [(0, far), (far, len(ring))]
    while pending:
        first, end = pending.pop()
        between = closed[first + 1 : end] - closed[first]
        if not len(between):
            continue
        chord = closed[end] - closed[first]
        across = np.abs(between[:, 0] * chord[1] - between[:, 1] * chord[0])
        farthest = int(across.argmax())
        if across[farthest] > TOLERANCE * np.hypot(*chord):
            middle = first + 1 + farthest
            kept[middle] = True
            pending += [(first, middle), (middle, end)]
    return kept
