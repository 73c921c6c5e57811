"""Losses that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

NO_PIXEL = -1
"""Target of a landmark that is not trained."""

NO_PLACE = -1.0
"""Either coordinate of a landmark whose place is not trained."""

NO_STATE = -1
"""State of a landmark whose visibility does not count."""


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
        surprise = _surprise(ops.maximum(pixel, 0), y_pred)
        return ops.sum(surprise * trained, axis=-1) / ops.maximum(ops.sum(trained, axis=-1), 1.0)


class LocationLoss(keras.losses.Loss):
    """Squared distance of predicted from true places, trained landmarks only (Liu et al. 2016, §4).

    An image's loss is the mean over its trained landmarks; an image without any has loss 0.

    Input shape:
        y_true: `(n, 8, 2)` (x, y), `NO_PLACE` for a landmark not trained. y_pred: `(n, 8, 2)`.
    """

    def __init__(self, name: str = "location_loss") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss per image, `(n,)`."""
        place = ops.cast(y_true, y_pred.dtype)
        trained = ops.cast(ops.not_equal(place[..., 0], NO_PLACE), y_pred.dtype)
        squared = ops.sum(ops.square(y_pred - place), axis=-1)
        return ops.sum(squared * trained, axis=-1) / ops.maximum(ops.sum(trained, axis=-1), 1.0)


class VisibilityLoss(keras.losses.Loss):
    """Cross-entropy of each landmark's state; an image's loss is the mean over those that count.

    Input shape:
        y_true: `(n, 8)` integers, `NO_STATE` for a landmark that does not count.
        y_pred: `(n, 8, states)` logits.
    """

    def __init__(self, name: str = "visibility_loss") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss per image, `(n,)`."""
        state = ops.cast(y_true, "int32")
        counts = ops.cast(ops.not_equal(state, NO_STATE), y_pred.dtype)
        log_p = ops.take_along_axis(
            ops.log_softmax(y_pred, axis=-1), ops.maximum(state, 0)[..., None], axis=-1
        )[..., 0]
        return -ops.sum(log_p * counts, axis=-1) / ops.maximum(ops.sum(counts, axis=-1), 1.0)


class AttributeLoss(keras.losses.Loss):
    """Weighted cross-entropy of attributes, each a question of its own; unknown answers left out.

    An image's loss is the mean over the attributes that are known of it.

    Args:
        weights: `(2, attributes)` weight of a negative and of a positive answer.

    Input shape:
        y_true: `(n, attributes)` of -1 no, 0 unknown, 1 yes. y_pred: the same, logits.
    """

    def __init__(self, weights: Any, name: str = "attribute_loss") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self._weights = weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss per image, `(n,)`."""
        answer = ops.cast(y_true, y_pred.dtype)
        no, yes = (ops.cast(side, y_pred.dtype) for side in self._weights)
        known = ops.abs(answer)
        weight = known * ops.where(answer > 0, yes, no)
        # -log sigmoid of the logit, turned round where the answer is no.
        surprise = ops.softplus(-answer * y_pred)
        return ops.sum(weight * surprise, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)


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


def _surprise(index: Any, logits: Any) -> Any:
    """Cross-entropy of logits `(n, landmarks, pixels)` against the index of the true pixel.

    No one-hot map is made, and the softmax of the forward pass is, but for the true pixel, the
    gradient.
    """
    images, landmarks = ops.shape(index)
    true = ops.meshgrid(ops.arange(images), ops.arange(landmarks), indexing="ij")
    true = ops.reshape(ops.stack([*true, index], axis=-1), (-1, 3))

    def surprise(logits: Any) -> tuple[Any, Any]:
        share = ops.softmax(logits, axis=-1)
        # The largest share does not underflow, as that of the true pixel may.
        log_sum = ops.max(logits, axis=-1) - ops.log(ops.max(share, axis=-1))
        at_true = ops.take_along_axis(logits, index[..., None], axis=-1)[..., 0]
        value = log_sum - at_true
        of_logits = ops.scatter_update(share, true, ops.reshape(ops.expm1(-value), (-1,)))

        def gradient(*given: Any, upstream: Any = None) -> Any:
            of_value = given[0] if upstream is None else upstream  # by name on PyTorch alone
            return of_value[..., None] * of_logits

        return value, gradient

    return ops.custom_gradient(surprise)(logits)
