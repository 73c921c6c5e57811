"""The match network's score: whether two garments are the same, from the vectors of both."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


class MeanDifference(keras.initializers.Initializer):
    """Two outputs, same and different, that differ by twice the mean of what comes in.

    Alike vectors are the same garment from the first step on. From a random kernel the signs of
    half of the units must be unlearned first, which takes two to three times as many steps.
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """`(units, 2)`."""
        signs = ops.convert_to_tensor([-1.0, 1.0], dtype)
        return ops.broadcast_to(signs / shape[0], shape)


class MatchScore(layers.Layer):
    """Logits that two of some garments are the same, of each with each.

    `learned`: the squared differences of their vectors, through a fully connected layer with two
    outputs, same and different, whose softmax is the probability (Ge et al. 2019);
    `learned_from_distance`: likewise, from another beginning (`MeanDifference`). `distance`: a
    scale times their distance, below a threshold, both learned.

    Args:
        score: One of these.
    """

    def __init__(self, score: str) -> None:
        super().__init__(name="match_score", dtype="float32")
        self._learned = score != "distance"
        starts = {"learned": "glorot_uniform", "learned_from_distance": MeanDifference()}
        self.kernel_initializer = keras.initializers.get(starts.get(score, "ones"))
        self.bias_initializer = keras.initializers.get("zeros")

    def build(self, shape: Any) -> None:
        """Of vectors `(r, units)`."""
        outputs = 2 if self._learned else 1
        rows = shape[-1] if self._learned else 1
        self.kernel = self.add_weight(
            shape=(rows, outputs), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(
            shape=(outputs,), initializer=self.bias_initializer, name="bias"
        )

    def call(self, vectors: Any) -> Any:
        """`(r, r)` of `(r, units)`."""
        squared = (vectors[:, None, :] - vectors[None, :, :]) ** 2
        if self._learned:
            both = ops.matmul(squared, self.kernel) + self.bias
            return both[..., 0] - both[..., 1]
        away = ops.sqrt(ops.sum(squared, axis=-1) + 1e-12)
        return self.bias[0] - self.kernel[0, 0] * away

    def rank_weights(self, units: int) -> np.ndarray:
        """`(units,)` w, so that the sum of w times the squared differences ranks as the score."""
        kernel = ops.convert_to_numpy(self.kernel)
        if self._learned:
            return (kernel[:, 0] - kernel[:, 1]).astype(np.float32)
        return np.full(units, -np.sign(kernel[0, 0]), np.float32)
