"""Batch normalisation that gives the same bytes on every processor."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis, without an approximate root.

    Keras' own takes TensorFlow's reciprocal root, an approximation in which processors differ;
    here it is a root and a division, which are exact. The root stands above the division: of one
    below it TensorFlow would make a reciprocal root. Same arguments, same weights.
    """

    def in_keras_form(self) -> Any:
        """The same layer as Keras' own."""
        return keras.layers.BatchNormalization.from_config(self.get_config())

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None, counted: Any = None
    ) -> Any:
        """Normalise a batch, in training by its own moments, which the layer then remembers.

        Args:
            inputs: `(n, ..., c)`.
            training: Whether by the batch's own moments.
            mask: Keras', without effect.
            counted: `(n, ...)` bool, what the moments are of; None for all.
        """
        del mask
        values = ops.cast(inputs, "float32")
        mean, variance = self.moving_mean.value, self.moving_variance.value
        if training and self.trainable:
            known = (mean, variance)
            axes = list(range(len(values.shape) - 1))
            mean, variance = (
                ops.moments(values, axes=axes)
                if counted is None
                else _moments_of(values, counted, axes)
            )
            moving = (self.moving_mean, self.moving_variance)
            for variable, old, new in zip(moving, known, (mean, variance), strict=True):
                variable.assign(old * self.momentum + new * (1.0 - self.momentum))
        spread = variance + self.epsilon
        scale = ops.sqrt(spread) / spread
        if self.scale:
            scale = scale * self.gamma.value
        shift = -mean * scale
        if self.center:
            shift = shift + self.beta.value
        return ops.cast(values * scale + shift, self.compute_dtype)


def _moments_of(values: Any, counted: Any, axes: list[int]) -> tuple[Any, Any]:
    """Mean and variance of the values that count; of none, 0 and 0."""
    weights = ops.cast(counted, values.dtype)[..., None]
    count = ops.maximum(ops.sum(weights), 1.0)
    mean = ops.sum(values * weights, axis=axes) / count
    return mean, ops.sum(weights * (values - mean) ** 2, axis=axes) / count


def with_exact_normalisation(model: Any) -> Any:
    """A model with this layer in the place of Keras' own, the weights drawn anew."""

    def exact(layer: Any) -> Any:
        kind = layer.__class__
        if kind is keras.layers.BatchNormalization:
            kind = BatchNormalization
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=exact)
