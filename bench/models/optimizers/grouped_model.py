"""A model that leaves out the gradients that the grouped optimizer does not need."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bench.models.optimizers.grouped import GroupedOptimizer


class GroupedModel(keras.Model):
    """A model whose gradients are worked out only where `GroupedOptimizer` asks for them.

    Keras works out every gradient at every batch; RopaNet's largest, of its global convolution, is
    asked for at every second. Same steps as `keras.Model`'s with the same optimiser, which it takes
    itself on other backends than TensorFlow and with other optimisers.
    """

    def train_step(self, data: Any, *rest: Any) -> Any:
        """One batch, as Keras' own."""
        if keras.backend.backend() != "tensorflow" or not isinstance(
            self.optimizer, GroupedOptimizer
        ):
            return super().train_step(data, *rest)
        import tensorflow as tf

        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape(persistent=True) as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(x, y, predicted, weights, training=True)
        (tracker,) = (metric for metric in self.metrics if metric.name == "loss")
        tracker.update_state(loss, sample_weight=ops.shape(x)[0])
        self.optimizer.build(self.trainable_variables)
        self.optimizer.apply_due(lambda variables: tape.gradient(loss, variables))
        return self.compute_metrics(x, y, predicted, sample_weight=weights)
