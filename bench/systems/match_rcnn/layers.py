"""The steps of Match R-CNN between its convolutions, each a Keras layer without weights.

They compute in float32, whatever the network does: a box in bfloat16 is off by pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from bench.systems.match_rcnn.boxes import (
    BOX_VARIANCE,
    from_deltas,
    level_of,
    overlaps,
    suppress,
)
from bench.systems.match_rcnn.landmarks import Channels, from_cells, own_channels
from bench.systems.match_rcnn.roi_align import roi_align
from bench.systems.match_rcnn.sampling import (
    match_anchors,
    sample_anchors,
    sample_rois,
)
from bench.systems.match_rcnn.settings import CELLS, MatchRCNN

PROPOSAL_OVERLAP, DETECTION_OVERLAP = 0.7, 0.5
"""Overlap from which on the worse of two proposals, or of two detections of a class, goes."""


class Step(layers.Layer):
    """A layer without weights that computes in float32."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")


class Drawing(Step):
    """A step that draws random numbers, of a state of its own, kept with the network's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # The same at every seed, so that trials that differ in it can share a compiled network.
        self.generator = keras.random.SeedGenerator(0)

    def noise(self, like: Any) -> Any:
        """Uniform in [0, 1), one for each of `(n, k)`."""
        return keras.random.uniform(ops.shape(like), seed=self.generator)


class Propose(Step):
    """Boxes worth a look: the best anchors of each level, moved, without those that overlap.

    Args:
        anchors: `(a, 4)`.
        counts: Anchors of each level.
        settings: The system's settings.
    """

    def __init__(self, anchors: Any, counts: Sequence[int], settings: MatchRCNN) -> None:
        super().__init__("propose")
        self._anchors, self._counts, self._settings = anchors, counts, settings

    def call(self, objectness: Any, deltas: Any) -> tuple[Any, Any]:
        """From `(n, a)` logits and `(n, a, 4)` to `(n, p, 4)`, and `(n, p)` which there are."""
        settings = self._settings
        objectness, deltas = ops.stop_gradient(objectness), ops.stop_gradient(deltas)
        boxes = from_deltas(self._anchors, deltas, settings.backbone.side)
        best, scores, levels, begin = [], [], [], 0
        for level, count in enumerate(self._counts):
            of_level, place = ops.top_k(
                objectness[:, begin : begin + count], min(settings.proposals_before, count)
            )
            best.append(ops.take_along_axis(boxes, begin + place[:, :, None], axis=1))
            scores.append(of_level)
            levels.append(ops.full_like(place, level))
            begin += count
        return _kept(
            ops.concatenate(best, axis=1),
            ops.concatenate(scores, axis=1),
            ops.concatenate(levels, axis=1),
            PROPOSAL_OVERLAP,
            settings.proposals,
        )[:2]


def _kept(
    boxes: Any, scores: Any, groups: Any, threshold: float, count: int, there: Any = None
) -> tuple[Any, Any, Any]:
    """The best boxes that do not overlap, a fixed number; which there are; their places."""
    low = -1e9
    if there is not None:
        scores = ops.where(there, scores, low)
    scores, order = ops.top_k(scores, boxes.shape[1])
    boxes = ops.take_along_axis(boxes, order[:, :, None], axis=1)
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    valid = (scores > low) & (area > 0)
    stays = suppress(boxes, ops.take_along_axis(groups, order, axis=1), valid, threshold)
    missing = max(count - boxes.shape[1], 0)
    # Those that stay first, in the order of their scores, which is the order that they are in.
    rank = ops.where(stays, ops.cast(-ops.arange(boxes.shape[1]), "float32"), low)
    rank, first = ops.top_k(rank, min(count, boxes.shape[1]))
    chosen = ops.take_along_axis(boxes, first[:, :, None], axis=1)
    place = ops.take_along_axis(order, first, axis=1)
    filled = [[0, 0], [0, missing]]
    return (
        ops.pad(chosen, [*filled, [0, 0]]),
        ops.pad(rank > low, filled),
        ops.pad(place, filled),
    )


class SampleAnchors(Drawing):
    """Which anchors the proposals are trained on, and what they should say.

    Args:
        anchors: `(a, 4)`.
        count: Anchors an image.
    """

    def __init__(self, anchors: Any, count: int) -> None:
        super().__init__("sample_anchors")
        self._anchors, self._count = anchors, count

    def call(self, boxes: Any, valid: Any) -> tuple[Any, Any, Any]:
        """Of the true boxes: `(n, a)` bool positive, `(n, a)` bool negative, `(n, a, 4)` box."""
        labels, item = match_anchors(self._anchors, boxes, valid)
        positive, negative = sample_anchors(labels, self._count, self.noise(labels))
        return positive, negative, ops.take_along_axis(boxes, item[:, :, None], axis=1)


class SampleRegions(Drawing):
    """Which proposals the streams are trained on: `sample_rois` with a noise of its own.

    Args:
        settings: The system's settings.
    """

    def __init__(self, settings: MatchRCNN) -> None:
        super().__init__("sample_regions")
        self._settings = settings

    def call(self, proposals: Any, proposed: Any, boxes: Any, valid: Any) -> Any:
        """Regions, their items, which are of them, and which there are."""
        there = ops.concatenate([proposed, valid], axis=1)
        return sample_rois(
            proposals,
            proposed,
            boxes,
            valid,
            count=self._settings.regions,
            foreground=self._settings.foreground,
            noise=self.noise(there),
        )


class RoIAlign(Step):
    """The features of boxes, `(n * r, bins, bins, c)`, each from the level of its size.

    Args:
        name: The layer's name.
        strides: Pixels a cell of each level.
        settings: The system's settings.
        bins: Bins along each side.
    """

    def __init__(self, name: str, strides: Sequence[int], settings: MatchRCNN, bins: int) -> None:
        super().__init__(name)
        self._strides, self._bins = strides, bins
        self._canonical = settings.canonical_scale * settings.backbone.side

    def call(self, boxes: Any, maps: Sequence[Any]) -> Any:
        """Of boxes `(n, r, 4)`."""
        levels = level_of(boxes, self._strides, self._canonical)
        found = roi_align(maps, self._strides, ops.stop_gradient(boxes), levels, self._bins)
        return ops.reshape(found, (-1, *found.shape[2:]))


class Detect(Step):
    """Detections from what the box head says of the proposals.

    Args:
        settings: The system's settings.
        classes: Number of categories.
    """

    def __init__(self, settings: MatchRCNN, classes: int) -> None:
        super().__init__("detect")
        self._settings, self._classes = settings, classes

    def call(self, logits: Any, deltas: Any, proposals: Any, proposed: Any) -> dict[str, Any]:
        """From `(n, p, classes + 1)` and `(n, p, classes, 4)` to arrays of `d` detections.

        Returns:
            `boxes` `(n, d, 4)`; `scores` `(n, d)`, 0 where there is no detection; `category`
            `(n, d)` int32; `probabilities` `(n, d, classes)`, without the background.
        """
        settings, classes = self._settings, self._classes
        probabilities = ops.softmax(logits, axis=-1)[..., :classes]
        boxes = from_deltas(proposals[:, :, None, :], deltas, settings.backbone.side, BOX_VARIANCE)
        count = boxes.shape[1] * classes
        scores = probabilities * ops.cast(proposed, "float32")[:, :, None]
        scores, place = ops.top_k(ops.reshape(scores, (-1, count)), min(settings.candidates, count))
        boxes = ops.take_along_axis(ops.reshape(boxes, (-1, count, 4)), place[:, :, None], axis=1)
        likely = scores > settings.score_threshold
        boxes, there, order = _kept(
            boxes, scores, place % classes, DETECTION_OVERLAP, settings.detections, likely
        )
        place = ops.take_along_axis(place, order, axis=1)
        of_proposal = ops.take_along_axis(probabilities, (place // classes)[:, :, None], axis=1)
        return {
            "boxes": boxes,
            "scores": ops.take_along_axis(scores, order, axis=1) * ops.cast(there, "float32"),
            "category": place % classes,
            "probabilities": of_proposal
            / ops.maximum(ops.sum(of_proposal, axis=-1, keepdims=True), 1e-9),
        }


class OwnMasks(Step):
    """Of each detection's masks that of its category, `(n, d, 28, 28)` probabilities."""

    def __init__(self) -> None:
        super().__init__("own_masks")

    def call(self, masks: Any, category: Any) -> Any:
        """Of `(n * d, 28, 28, classes)` logits."""
        found = ops.sigmoid(of_category(masks, category))
        return ops.reshape(found, (-1, category.shape[1], *found.shape[1:]))


def of_category(masks: Any, category: Any) -> Any:
    """Of masks of every category, `(n, h, w, classes)`, those of the categories of n regions."""
    own = ops.one_hot(ops.reshape(category, (-1,)), masks.shape[-1], dtype="float32")
    return ops.einsum("nhwc,nc->nhw", masks, own)


class OwnLandmarks(Step):
    """Of each detection the landmarks of its category, `(n, d, most, 2)` in pixels.

    Args:
        channels: Which channels are which category's.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__("own_landmarks")
        self._channels = channels

    def call(self, maps: Any, category: Any, boxes: Any) -> Any:
        """Of `(n * d, 28, 28, total)` logits."""
        own = finer(own_channels(maps, ops.reshape(category, (-1,)), self._channels))
        places = from_cells(own, ops.reshape(boxes, (-1, 4)))
        return ops.reshape(places, (-1, category.shape[1], *places.shape[1:]))


def finer(maps: Any) -> Any:
    """Landmark maps at twice the size, bilinear, as Detectron's fixed deconvolution makes them."""
    return ops.image.resize(maps, (CELLS, CELLS), "bilinear")


class Rows(Step):
    """`(n * r, ...)` as `(n, r, ...)`.

    Args:
        name: The layer's name.
        count: r.
        shape: What each row is made into; None leaves it.
    """

    def __init__(self, name: str, count: int, shape: Sequence[int] | None = None) -> None:
        super().__init__(name)
        self._count, self._shape = count, shape

    def call(self, values: Any) -> Any:
        """The same numbers."""
        shape = values.shape[1:] if self._shape is None else self._shape
        return ops.reshape(values, (-1, self._count, *shape))


class NearEnough(Step):
    """`(n, r)` bool, whether a region overlaps its garment's true box enough to take part in pairs.

    Args:
        overlap: How much is enough.
    """

    def __init__(self, overlap: float) -> None:
        super().__init__("near_enough")
        self._overlap = overlap

    def call(self, regions: Any, boxes: Any, item: Any, of_item: Any) -> Any:
        """Of regions `(n, r, 4)`, boxes `(n, m, 4)`, and `(n, r)` whose each is, if of any."""
        own = ops.take_along_axis(overlaps(regions, boxes), item[:, :, None], axis=2)[..., 0]
        return ops.logical_and(of_item, own >= self._overlap)
