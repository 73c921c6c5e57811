"""Adam in one pass over memory."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class OnePassAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, each weight and its moments updated together (Kingma & Ba, 2015).

    Keras' own goes over them operation by operation, a dozen times. TensorFlow has the whole update
    as one operation; it rounds otherwise in the last digits. On other backends this is Keras' own.
    Takes the same arguments.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable, in TensorFlow itself a `tf.Variable`, and its moments."""
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        dtype = variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        betas = [ops.cast(beta, dtype) for beta in (self.beta_1, self.beta_2)]
        powers = [ops.power(beta, step) for beta in betas]
        at = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[at].value.handle,
            v=self._velocities[at].value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=ops.cast(learning_rate, dtype),
            beta1=betas[0],
            beta2=betas[1],
            epsilon=ops.cast(self.epsilon, dtype),
            grad=ops.cast(gradient, dtype),
        )
