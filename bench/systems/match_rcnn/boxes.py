"""Boxes: anchors, deltas, which of them overlap too much, and the pyramid's level of each.

Boxes are corners x1, y1, x2, y2 in pixels of the network's square image. All of it is `keras.ops`
on arrays of fixed size, with masks for what is not there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from bench.systems.match_rcnn.settings import RATIOS

BOX_VARIANCE = (0.1, 0.1, 0.2, 0.2)
"""Deltas of the box head are divided by it: Detectron's weights 10, 10, 5, 5."""

MOST_GROWTH = math.log(1000 / 16)
"""The largest logarithm by which a delta can make a side grow (Detectron)."""

_FORM = {"anchor_format": "xyxy", "box_format": "xyxy"}


def anchors(side: int, strides: Sequence[int], scale: float) -> np.ndarray:
    """Anchors of all levels, level by level, row by row, the three ratios of a cell together.

    Args:
        side: Side of the image in pixels.
        strides: Stride of each level.
        scale: Side of a square anchor, in strides of its level.

    Returns:
        `(anchors, 4)` float32; they may reach beyond the image.
    """
    levels = []
    for stride in strides:
        middle = (np.arange(-(-side // stride)) + 0.5) * stride
        y, x = np.meshgrid(middle, middle, indexing="ij")
        centres = np.stack([x, y], axis=-1)[:, :, None, :]
        root = np.sqrt(np.array(RATIOS))
        half = scale * stride / 2 * np.stack([1 / root, root], axis=-1)
        levels.append(np.concatenate([centres - half, centres + half], axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def overlaps(boxes: Any, others: Any) -> Any:
    """`(n, a, b)` intersection over union of `(n, a, 4)` or `(a, 4)` with `(n, b, 4)`."""
    return keras.utils.bounding_boxes.compute_iou(boxes, others, "xyxy")


def to_deltas(anchors_: Any, boxes: Any, variance: Sequence[float] | None = None) -> Any:
    """How boxes differ from anchors: dx, dy, dw, dh (Girshick et al. 2014), `(..., 4)`.

    Args:
        anchors_: `(..., 4)`, with area.
        boxes: `(..., 4)`; one without area counts as one of a pixel, as the loss of it is masked.
        variance: What each delta is divided by.
    """
    whole = ops.concatenate(
        [boxes[..., :2], ops.maximum(boxes[..., 2:], boxes[..., :2] + 1)], axis=-1
    )
    return keras.utils.bounding_boxes.encode_box_to_deltas(
        anchors_, whole, encoding_format="center_xywh", variance=variance, **_FORM
    )


def from_deltas(
    anchors_: Any, deltas: Any, side: int, variance: Sequence[float] | None = None
) -> Any:
    """The boxes that deltas make of anchors, `(..., 4)`, clipped to the image."""
    limit = MOST_GROWTH / (variance[-1] if variance else 1.0)
    deltas = ops.concatenate([deltas[..., :2], ops.minimum(deltas[..., 2:], limit)], axis=-1)
    boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
        anchors_, deltas, encoded_format="center_xywh", variance=variance, **_FORM
    )
    return ops.clip(boxes, 0.0, float(side))


def suppress(boxes: Any, groups: Any, valid: Any, threshold: float) -> Any:
    """Greedy non-maximum suppression of a whole batch at once.

    A box stays where no earlier box that stays overlaps it. That has one answer, and applying it
    again and again finds it, in as many rounds as the longest chain of suppressions has boxes.

    Args:
        boxes: `(n, k, 4)`, the best first.
        groups: `(n, k)`; boxes of two groups do not suppress each other.
        valid: `(n, k)` bool; what is not a box neither stays nor suppresses.
        threshold: The overlap above which the worse of two goes.

    Returns:
        `(n, k)` bool, which stay.
    """
    count = boxes.shape[1]
    earlier = ops.convert_to_tensor(np.tri(count, k=-1, dtype=bool))
    same = groups[:, :, None] == groups[:, None, :]
    over = ops.cast((overlaps(boxes, boxes) > threshold) & same & earlier, "float32")
    there = ops.cast(valid, "float32")

    def again(kept: Any, _: Any) -> tuple[Any, Any]:
        beaten = ops.max(over * kept[:, None, :], axis=2)
        now = there * (1.0 - beaten)
        return now, ops.any(now != kept)

    kept, _ = ops.while_loop(
        lambda _, changed: changed,
        again,
        (there, ops.any(there > -1.0)),
        maximum_iterations=count,
    )
    return kept > 0


def level_of(boxes: Any, strides: Sequence[int], canonical: float) -> Any:
    """Which level of the pyramid a box's features are taken from (Lin et al. 2017, eq. 1).

    Args:
        boxes: `(..., 4)`.
        strides: Stride of each level, ascending powers of 2.
        canonical: Root of the area, in pixels, from which on a box belongs to the level of
            stride 16.

    Returns:
        `(...,)` int32 index into `strides`.
    """
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    root = ops.sqrt(ops.maximum(width * height, 1e-6))
    level = 4 + ops.floor(ops.log(root / canonical) / math.log(2) + 1e-6)
    lowest = round(math.log2(strides[0]))
    return ops.cast(ops.clip(level - lowest, 0, len(strides) - 1), "int32")
