"""Garments as annotated and as detected, and what of an image a detection covers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Item:
    """A garment as annotated.

    Args:
        category: 0-based.
        box: x1, y1, x2, y2 in pixels.
        identity: The same number for photographs of one garment; -1 for one without a partner.
        points: `(landmarks of its category, 3)`: x, y, visibility (2 visible, 1 occluded, 0 not
            labelled).
        polygons: x1, y1, x2, y2, ... each, in pixels.
        grades: `scale`, `occlusion`, `zoom_in` and `viewpoint`, 1 to 3.
    """

    category: int
    box: list[float]
    identity: int
    points: list[list[float]]
    polygons: list[list[float]]
    grades: dict[str, int]

    @property
    def area(self) -> float:
        """Of its box."""
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1)


@dataclass(frozen=True)
class Detections:
    """What was found in test images, and what is there.

    Args:
        images: `(n,)` paths.
        sizes: `(n, 2)` width and height in pixels.
        boxes: `(n, d, 4)` x1, y1, x2, y2 in pixels.
        scores: `(n, d)`; 0 where there is no detection.
        category: `(n, d)` 0-based.
        masks: `(n, d, 28, 28)` uint8, the probability in 255ths of each cell of the box.
        points: `(n, d, l, 2)` x and y in pixels of the landmarks of its category, those first.
        vectors: `(n, d, units)`, what it is matched by.
        rank_weights: `(units,)` w: two match the better, the larger the sum of w times the squared
            differences of their vectors.
        users: `(n,)` whether a user's image, and not a shop's.
        truth: The garments of each image.
    """

    images: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    category: np.ndarray
    masks: np.ndarray
    points: np.ndarray
    vectors: np.ndarray
    rank_weights: np.ndarray
    users: np.ndarray
    truth: tuple[tuple[Item, ...], ...]

    @property
    def items(self) -> list[str]:
        """`truth`, each image's as JSON."""
        return [json.dumps([vars(item) for item in items]) for items in self.truth]

    @cached_property
    def found(self) -> np.ndarray:
        """`(k, 2)` image and place of every detection."""
        return np.argwhere(self.scores > 0)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`(a, b)` intersection over union of boxes given as corners."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def pasted(mask: np.ndarray, box: np.ndarray, width: int, height: int) -> np.ndarray:
    """A box's mask in its image, `(height, width)` uint8: 1 where it is more likely than not.

    Args:
        mask: `(28, 28)` uint8, 255 for certain.
        box: x1, y1, x2, y2 in pixels.
        width: Of the image.
        height: Of the image.
    """
    from PIL import Image

    left, top = np.floor(box[:2]).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(box[2:]).astype(int), (width, height))
    whole = np.zeros((height, width), np.uint8)
    if right > left and bottom > top:
        inside = Image.fromarray(mask).resize(
            (int(right - left), int(bottom - top)), Image.Resampling.BILINEAR
        )
        whole[top:bottom, left:right] = np.asarray(inside) >= 128
    return whole
