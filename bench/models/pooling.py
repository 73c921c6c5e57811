"""From a map `(n, h, w, c)` to a vector `(n, c)`: the poolings that end a branch.

Every function takes a name for its layer and returns the layer.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def average(name: str) -> Any:
    """The mean over places, the paper's (§4.3-4.4)."""
    return keras.layers.GlobalAveragePooling2D(name=name)


def maximum(name: str) -> Any:
    """The largest value over places, which the paper tried in the local branch (§5.2)."""
    return keras.layers.GlobalMaxPooling2D(name=name)


def generalised_mean(name: str) -> Any:
    """The generalised mean with a learnt exponent a map."""
    return GeneralisedMean(name=name)


def attention(name: str) -> Any:
    """A mean over places with weights that are learnt from the map."""
    return AttentionPooling(name=name)


@keras.saving.register_keras_serializable("ropanet_bench")
class GeneralisedMean(keras.layers.Layer):
    """Generalised mean over places: (mean of x^p)^(1/p), p learnt (Radenovic et al. 2019, eq. 3).

    p = 1 is the average, and the larger p, the nearer the maximum. Values below `floor` count as
    `floor`, since a power needs positive values.

    Args:
        initial: Exponent to begin with, 3 as in the reference.
        floor: Smallest value.

    Input shape: `(n, h, w, c)`. Output shape: `(n, c)`.
    """

    def __init__(self, initial: float = 3.0, floor: float = 1e-6, **of_every_layer: Any) -> None:
        super().__init__(**of_every_layer)
        self._initial, self._floor = initial, floor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the exponent."""
        self.exponent = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self._initial), name="exponent"
        )

    def call(self, maps: Any) -> Any:
        """Pool a batch of maps."""
        powers = ops.power(ops.maximum(maps, self._floor), self.exponent)
        return ops.power(ops.mean(powers, axis=(1, 2)), 1.0 / self.exponent)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(n, c)`."""
        return input_shape[0], input_shape[-1]


@keras.saving.register_keras_serializable("ropanet_bench")
class AttentionPooling(keras.layers.Layer):
    """Mean over places weighted by a softmax over places of a learnt linear score (Ilse et al.
    2018, eq. 8, without its hidden layer).

    The score begins at zero, so that training starts from the average.

    Input shape: `(n, h, w, c)`. Output shape: `(n, c)`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the score's weights."""
        self.score = self.add_weight(shape=(input_shape[-1], 1), initializer="zeros", name="score")

    def call(self, maps: Any) -> Any:
        """Pool a batch of maps."""
        height, width, channels = maps.shape[1:]
        places = ops.reshape(maps, (-1, height * width, channels))
        share = ops.softmax(ops.matmul(places, self.score), axis=1)
        return ops.sum(places * share, axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(n, c)`."""
        return input_shape[0], input_shape[-1]
