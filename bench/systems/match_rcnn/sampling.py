"""Which anchors and proposals are trained on what: matching with the truth, and fixed-size samples.

`noise` is uniform in [0, 1), drawn by a layer; a sample is what has the most noise.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from bench.systems.match_rcnn.boxes import overlaps

POSITIVE, NEGATIVE = 0.7, 0.3
"""Overlap from which on an anchor is positive, and below which it is negative (Detectron)."""

FOREGROUND = 0.5
"""Overlap from which on a proposal is of the garment."""


def match_anchors(anchors: Any, boxes: Any, valid: Any) -> tuple[Any, Any]:
    """What each anchor is trained to say.

    Args:
        anchors: `(a, 4)`.
        boxes: `(n, m, 4)`.
        valid: `(n, m)` bool, which boxes there are.

    Returns:
        `(n, a)` int32: 1 for an anchor of a box, one that overlaps it from `POSITIVE` on or more
        than any other does; 0 for one of none; -1 for one in between, which is not trained. And
        `(n, a)` int32, its box.
    """
    shared = overlaps(anchors, boxes) * ops.cast(valid, "float32")[:, None, :]
    most = ops.max(shared, axis=2)
    best = ops.max(shared, axis=1, keepdims=True)
    nearest = ops.any((shared == best) & (best > 0), axis=2)
    label = ops.where(most < NEGATIVE, 0, -1)
    return ops.where((most >= POSITIVE) | nearest, 1, label), ops.argmax(shared, axis=2)


def chosen(among: Any, count: int, noise: Any) -> Any:
    """`(n, k)` bool: at most `count` of those that `among` `(n, k)` names, those of most noise."""
    keys = ops.where(among, noise, -1.0)
    least = ops.top_k(keys, min(count, keys.shape[1]))[0][:, -1:]
    return among & (keys >= least)


def sample_anchors(labels: Any, count: int, noise: Any) -> tuple[Any, Any]:
    """Up to `count` anchors an image, at most half of them positive.

    Returns:
        `(n, a)` bool, the positive ones of the sample, and the negative ones.
    """
    positive = chosen(labels == 1, count // 2, noise)
    # As many negatives as there is room for: those whose rank among all negatives is below it.
    room = count - ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True)
    keys = ops.where(labels == 0, noise, -1.0)
    ranked = ops.top_k(keys, min(count, keys.shape[1]))[0]
    last = ops.take_along_axis(ranked, ops.clip(room - 1, 0, ranked.shape[1] - 1), axis=1)
    return positive, (labels == 0) & (keys >= last)


def sample_rois(
    proposals: Any,
    proposed: Any,
    boxes: Any,
    valid: Any,
    *,
    count: int,
    foreground: int,
    noise: Any,
) -> tuple[Any, Any, Any, Any]:
    """A fixed number of regions an image, those of a garment first.

    The true boxes are among the candidates. At most `foreground` are of a garment; what is left of
    `count` is background, or not there.

    Args:
        proposals: `(n, p, 4)`.
        proposed: `(n, p)` bool, which there are.
        boxes: `(n, m, 4)` true ones.
        valid: `(n, m)` bool, which there are.
        count: Regions an image.
        foreground: Regions of a garment, at most.
        noise: `(n, p + m)`.

    Returns:
        `(n, count, 4)` regions; `(n, count)` int32, the true box of each; `(n, count)` bool, which
        are of it; `(n, count)` bool, which there are.
    """
    candidates = ops.concatenate([proposals, boxes], axis=1)
    there = ops.concatenate([proposed, valid], axis=1)
    shared = overlaps(candidates, boxes) * ops.cast(valid, "float32")[:, None, :]
    most, item = ops.max(shared, axis=2), ops.argmax(shared, axis=2)
    of_item = there & (most >= FOREGROUND)
    first = chosen(of_item, foreground, noise)
    keys = ops.where(there & ~of_item, 1.0 + noise, -1.0)
    keys = ops.where(first, 3.0 + noise, keys)
    keys, order = ops.top_k(keys, count)
    regions = ops.take_along_axis(candidates, order[:, :, None], axis=1)
    return regions, ops.take_along_axis(item, order, axis=1), keys >= 2.5, keys > 0.0
