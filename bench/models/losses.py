"""Losses that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

NO_PIXEL = -1
"""Target of a landmark that is not trained."""


class LandmarkLoss(keras.losses.Loss):
    """Cross-entropy of each landmark's pixel map against the one true pixel (§4.4).

    Takes the true pixel's index, so that no one-hot map (90,000 x 8 values an image at paper
    scale) is ever built. An image's loss is the mean over its trained landmarks; an image without
    any has loss 0.

    Args:
        name: Name of the loss.

    Input shape:
        y_true: `(n, 8)` integers, the pixel's index or `NO_PIXEL` for a landmark not trained.
        y_pred: `(n, 8, pixels)` logits.
    """

    def __init__(self, name: str = "landmark_loss") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss per image, `(n,)`."""
        pixel = ops.cast(y_true, "int32")
        trained = ops.cast(ops.not_equal(pixel, NO_PIXEL), y_pred.dtype)
        at_pixel = ops.take_along_axis(y_pred, ops.maximum(pixel, 0)[..., None], axis=-1)[..., 0]
        surprise = ops.logsumexp(y_pred, axis=-1) - at_pixel
        return ops.sum(surprise * trained, axis=-1) / ops.maximum(ops.sum(trained, axis=-1), 1.0)
