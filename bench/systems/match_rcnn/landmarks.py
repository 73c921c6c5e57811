"""A garment's landmarks as cells of its box, and back.

All categories' landmarks are channels of one map, each category a range of them. A garment has
those of its own category; so that all garments have arrays of one shape, each has as many places as
the category with the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops


@dataclass(frozen=True)
class Channels:
    """Which channels are which category's.

    Args:
        counts: Landmarks of every category; 0 for one whose landmarks are not predicted.
    """

    counts: Sequence[int]

    @property
    def total(self) -> int:
        """Channels of all categories."""
        return sum(self.counts)

    @property
    def most(self) -> int:
        """Places that a garment has: the landmarks of the category with the most."""
        return max(self.counts)

    @property
    def selection(self) -> np.ndarray:
        """`(categories, total, most)` float32: 1 where a channel is a category's i-th landmark."""
        found = np.zeros((len(self.counts), self.total, self.most), np.float32)
        begin = 0
        for category, count in enumerate(self.counts):
            found[category, np.arange(begin, begin + count), np.arange(count)] = 1.0
            begin += count
        return found


def own_channels(maps: Any, category: Any, channels: Channels) -> Any:
    """Of each garment's maps, those of its category: `(n, h, w, total)` to `(n, h, w, most)`.

    Args:
        maps: Of n garments.
        category: `(n,)`.
        channels: Which are whose; of the places that a category does not have, the maps are 0.
    """
    chosen = ops.take(ops.convert_to_tensor(channels.selection), category, axis=0)
    return ops.einsum("nhwk,nkl->nhwl", maps, chosen)


def to_cells(points: Any, boxes: Any, cells: int) -> tuple[Any, Any]:
    """The cell of its box that each landmark lies in (Detectron's keypoints).

    Args:
        points: `(..., l, 3)`: x, y in pixels, and visibility.
        boxes: `(..., 4)` in pixels.
        cells: Cells along each side of a box.

    Returns:
        `(..., l)` int32, row times `cells` plus column; `(..., l)` bool, whether it is trained: it
        is labelled, and lies in the box.
    """
    low, size = boxes[..., None, :2], boxes[..., None, 2:] - boxes[..., None, :2]
    place = (points[..., :2] - low) / ops.maximum(size, 1e-3)
    inside = ops.all((place >= 0) & (place <= 1), axis=-1)
    # The right and the lower edge belong to the last cell.
    cell = ops.cast(ops.clip(ops.floor(place * cells), 0, cells - 1), "int32")
    return cell[..., 1] * cells + cell[..., 0], inside & (points[..., 2] > 0)


def from_cells(logits: Any, boxes: Any) -> Any:
    """The middle of each landmark's most probable cell, in pixels.

    Args:
        logits: `(..., h, h, l)`.
        boxes: `(..., 4)` in pixels.

    Returns:
        `(..., l, 2)`.
    """
    cells, count = logits.shape[-2], logits.shape[-1]
    flat = ops.reshape(logits, (-1, *logits.shape[1:-3], cells * cells, count))
    best = ops.argmax(flat, axis=-2)
    place = ops.cast(ops.stack([best % cells, best // cells], axis=-1), "float32") + 0.5
    low, size = boxes[..., None, :2], boxes[..., None, 2:] - boxes[..., None, :2]
    return low + place / cells * size
