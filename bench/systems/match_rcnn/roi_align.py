"""RoIAlign (He et al. 2017) as two small matrix products a box, exact and on any backend.

Bilinear interpolation is a product with triangular weights, along y and along x apart; the average
of the samples of a bin is the average of their weights. So the features of a box are its weights
along y, times the map, times its weights along x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

SAMPLES = 2
"""Samples of a bin along each side (Detectron)."""


def bin_weights(low: Any, high: Any, bins: int, cells: int, stride: float) -> Any:
    """What each cell of a map contributes to each bin of a box, along one axis.

    A cell's value stands at its middle; samples beyond the outermost middles take their value.

    Args:
        low: `(...)` where the box begins, in pixels.
        high: `(...)` where it ends.
        bins: Bins that the box is divided into.
        cells: Cells of the map.
        stride: Pixels a cell.

    Returns:
        `(..., bins, cells)`, each row summing to 1.
    """
    step = (ops.arange(bins * SAMPLES, dtype="float32") + 0.5) / (bins * SAMPLES)
    places = low[..., None] + step * (high - low)[..., None]
    place = ops.clip(places / stride - 0.5, 0.0, float(cells - 1))
    away = ops.abs(place[..., None] - ops.arange(cells, dtype="float32"))
    weights = ops.maximum(0.0, 1.0 - away)
    shape = (-1, *weights.shape[1:-2], bins, SAMPLES, cells)
    return ops.mean(ops.reshape(weights, shape), axis=-2)


def roi_align(
    maps: Sequence[Any], strides: Sequence[int], boxes: Any, levels: Any, bins: int
) -> Any:
    """The features of boxes, each from its level.

    Args:
        maps: `(n, h, w, c)` of each level.
        strides: Pixels a cell of each.
        boxes: `(n, r, 4)` in pixels.
        levels: `(n, r)` which map each is taken from.
        bins: Bins along each side.

    Returns:
        `(n, r, bins, bins, c)`.
    """
    total = 0.0
    for index, (values, stride) in enumerate(zip(maps, strides, strict=True)):
        height, width = values.shape[1:3]
        along_y = bin_weights(boxes[..., 1], boxes[..., 3], bins, height, stride)
        along_x = bin_weights(boxes[..., 0], boxes[..., 2], bins, width, stride)
        here = ops.cast(levels == index, "float32")[:, :, None, None]
        rows = ops.einsum("nrph,nhwc->nrpwc", along_y * here, values)
        total = total + ops.einsum("nrqw,nrpwc->nrpqc", along_x, rows)
    return total


def crop_masks(masks: Any, boxes: Any, bins: int, stride: float) -> Any:
    """Each mask within a box of its own, `(n, r, bins, bins)`: 1 where the average is a half.

    Args:
        masks: `(n, r, h, w)` in [0, 1].
        boxes: `(n, r, 4)` in pixels.
        bins: Bins along each side.
        stride: Pixels a cell of the masks.
    """
    height, width = masks.shape[2:]
    along_y = bin_weights(boxes[..., 1], boxes[..., 3], bins, height, stride)
    along_x = bin_weights(boxes[..., 0], boxes[..., 2], bins, width, stride)
    return ops.cast(ops.einsum("nrph,nrhw,nrqw->nrpq", along_y, masks, along_x) >= 0.5, "float32")
