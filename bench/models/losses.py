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


class FocalLoss(keras.losses.Loss):
    """Cross-entropy that counts less where the model is sure: -(1 - p)^gamma log p.

    p is the probability of the true class (Lin et al. 2017, eq. 4); gamma = 0 is the
    cross-entropy.

    Args:
        gamma: The exponent.

    Input shape:
        y_true: `(n,)` integers. y_pred: `(n, classes)` logits.
    """

    def __init__(self, gamma: float, name: str = "focal_loss") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self._gamma = gamma

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss per image, `(n,)`."""
        log_p = _log_probability(y_true, y_pred)
        # 1 - p without cancellation near p = 1, where its power's gradient would be NaN at 0.
        rest = ops.maximum(-ops.expm1(log_p), 1e-7)
        return -ops.power(rest, self._gamma) * log_p


class AdjustedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits that are shifted by a constant a class (Menon et al. 2021, eq. 10).

    Args:
        shifts: `(classes,)` shift of each class.

    Input shape:
        y_true: `(n,)` integers. y_pred: `(n, classes)` logits.
    """

    def __init__(self, shifts: Any, name: str = "adjusted_cross_entropy") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self._shifts = shifts

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss per image, `(n,)`."""
        return -_log_probability(y_true, y_pred + ops.cast(self._shifts, y_pred.dtype))


def _log_probability(y_true: Any, logits: Any) -> Any:
    label = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    return ops.take_along_axis(ops.log_softmax(logits, axis=-1), label, axis=-1)[:, 0]
