"""The losses of Match R-CNN, each an output of the network: the mean over a batch.

Targets depend on what the network proposes, so that a loss cannot be computed outside it. Each
layer gives its batch's loss once for every image, and `AsComputed` is the Keras loss that takes it
as it is.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bench.systems.match_rcnn.boxes import BOX_VARIANCE, to_deltas
from bench.systems.match_rcnn.landmarks import Channels, own_channels, to_cells
from bench.systems.match_rcnn.layers import Step, finer, of_category
from bench.systems.match_rcnn.pairs import pair_targets
from bench.systems.match_rcnn.roi_align import crop_masks
from bench.systems.match_rcnn.settings import CELLS, SIZE_OF_MASK

RPN_BETA, BOX_BETA = 1 / 9, 1.0
"""Where the loss of a delta turns from a square to an absolute value (Detectron)."""


class AsComputed(keras.losses.Loss):
    """What the network computed as its loss."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`(n,)`, whatever the target."""
        del y_true
        return y_pred


def smooth_l1(differences: Any, beta: float) -> Any:
    """Girshick 2015, with the square up to `beta`."""
    away = ops.abs(differences)
    return ops.where(away < beta, 0.5 * away**2 / beta, away - 0.5 * beta)


def over(values: Any, weights: Any) -> Any:
    """Sum of values times weights, by the sum of the weights; 0 where that is 0."""
    weights = ops.cast(weights, "float32")
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1.0)


def _of_each(loss: Any, like: Any) -> Any:
    return ops.broadcast_to(loss, ops.shape(like)[:1])


class ProposalLosses(Step):
    """Of the region proposals: `objectness`, and `proposal_boxes` of the positive anchors.

    Args:
        anchors: `(a, 4)`.
    """

    def __init__(self, anchors: Any) -> None:
        super().__init__("proposal_losses")
        self._anchors = anchors

    def call(
        self, objectness: Any, deltas: Any, positive: Any, negative: Any, boxes: Any
    ) -> tuple[Any, Any]:
        """Both over the anchors of the sample."""
        said = ops.cast(positive, "float32")
        entropy = ops.binary_crossentropy(said, objectness, from_logits=True)
        sample = ops.logical_or(positive, negative)
        aim = ops.stop_gradient(to_deltas(self._anchors, boxes))
        off = ops.sum(smooth_l1(deltas - aim, RPN_BETA), axis=-1) * said
        return (
            _of_each(over(entropy, sample), objectness),
            _of_each(over(off, sample), objectness),
        )


class BoxLosses(Step):
    """Of the box head: `classes`, and `boxes` of the regions that are of a garment."""

    def __init__(self) -> None:
        super().__init__("box_losses")

    def call(
        self,
        logits: Any,
        deltas: Any,
        regions: Any,
        label: Any,
        boxes: Any,
        of_item: Any,
        there: Any,
    ) -> tuple[Any, Any]:
        """Both over the regions that there are; `label` is the background's where of no item."""
        classes = deltas.shape[2]
        entropy = -ops.take_along_axis(
            ops.log_softmax(logits, axis=-1), label[:, :, None], axis=-1
        )[..., 0]
        own = ops.one_hot(label, classes, dtype="float32")  # zeros for the background
        said = ops.einsum("nrcd,nrc->nrd", deltas, own)
        aim = ops.stop_gradient(to_deltas(_with_area(regions), boxes, BOX_VARIANCE))
        off = ops.sum(smooth_l1(said - aim, BOX_BETA), axis=-1) * ops.cast(of_item, "float32")
        return _of_each(over(entropy, there), logits), _of_each(over(off, there), logits)


def _with_area(boxes: Any) -> Any:
    """Boxes of which those that are not there have an area too, so that nothing is infinite."""
    return ops.concatenate(
        [boxes[..., :2], ops.maximum(boxes[..., 2:], boxes[..., :2] + 1e-3)], axis=-1
    )


class MaskLoss(Step):
    """Cross-entropy of each cell of a garment's mask, of its own category's.

    Args:
        stride: Pixels a cell of the true masks.
    """

    def __init__(self, stride: float) -> None:
        super().__init__("mask_loss")
        self._stride = stride

    def call(self, logits: Any, masks: Any, regions: Any, category: Any, of_item: Any) -> Any:
        """Over the regions that are of a garment.

        Args:
            logits: `(n * f, 28, 28, classes)`.
            masks: `(n, f, h, w)`, of each region's garment.
            regions: `(n, f, 4)`.
            category: `(n, f)`.
            of_item: `(n, f)` bool.
        """
        said = of_category(logits, category)
        aim = ops.reshape(
            crop_masks(masks, regions, SIZE_OF_MASK, self._stride),
            (-1, SIZE_OF_MASK, SIZE_OF_MASK),
        )
        entropy = ops.binary_crossentropy(aim, said, from_logits=True)
        loss = over(ops.mean(entropy, axis=(1, 2)), ops.reshape(of_item, (-1,)))
        return _of_each(loss, regions)


class LandmarkLoss(Step):
    """Cross-entropy over the cells of a box, of each labelled landmark that lies in it.

    Args:
        channels: Which channels are which category's.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__("landmark_loss")
        self._channels = channels

    def call(self, logits: Any, points: Any, regions: Any, category: Any, of_item: Any) -> Any:
        """Over all landmarks of the regions that are of a garment.

        Args:
            logits: `(n * f, 28, 28, channels)`.
            points: `(n, f, most, 3)`, of each region's garment.
            regions: `(n, f, 4)`.
            category: `(n, f)`.
            of_item: `(n, f)` bool.
        """
        own = finer(own_channels(logits, ops.reshape(category, (-1,)), self._channels))
        count = own.shape[-1]
        said = ops.log_softmax(ops.reshape(own, (-1, CELLS * CELLS, count)), axis=1)
        cell, trained = to_cells(points, regions, CELLS)
        cell = ops.reshape(cell, (-1, 1, count))
        entropy = -ops.take_along_axis(said, cell, axis=1)[:, 0]
        trained = ops.logical_and(trained, of_item[:, :, None])
        return _of_each(over(entropy, ops.reshape(trained, (-1, count))), regions)


class PairLoss(Step):
    """Cross-entropy of whether two garments are the same, over a batch's users' with its shops'."""

    def __init__(self) -> None:
        super().__init__("pair_loss")

    def call(self, logits: Any, identity: Any, domain: Any, there: Any) -> Any:
        """Over all pairs that count.

        Args:
            logits: `(r, r)` of every region of the batch with every other.
            identity: `(n, f)` of each region's garment.
            domain: `(n, f)` where its image is from.
            there: `(n, f)` bool.
        """
        counts, same = pair_targets(
            *(ops.reshape(values, (-1,)) for values in (identity, domain, there))
        )
        said = ops.cast(same, "float32")
        entropy = ops.binary_crossentropy(said, logits, from_logits=True)
        return _of_each(over(entropy, counts), identity)
