"""The released method's training step, written anew from the ledger's description of it.

Eager TensorFlow on batches of 4 images: the frozen InceptionV3 is applied in each step, landmark
targets are dense one-hot maps of 300 x 300 pixels, and one Adam object takes a step on the landmark
branch with the landmark loss, another with the classification loss, and on every second batch steps
on the head, the global and the local branch (ledger rows 3, 7, 9 and 10; `bench ledger`).

Where the description leaves the cost open, the cheaper way is taken: each loss is differentiated
once a batch, whatever the number of steps taken with it, and images come from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bench.models.network import BuiltModel, ModelInputs
from bench.study.trial import TrialSpec
from bench.systems.registry import load

BATCH = 4  # ledger row 3
REST_EVERY = 2  # the branches beside the landmark branch, ledger row 9


@dataclass
class ReleasedTraining:
    """The network on its backbone and the one optimiser of all steps (ledger row 10).

    Args:
        network: The network, from pixels; its mask is shared by both losses.
        optimiser: Takes every step, whose count so runs ahead of the batches.
        batches: Batches trained on.
    """

    network: BuiltModel
    optimiser: Any
    batches: int = 0

    def step(self, images: Any, category: Any, pixels: Any) -> tuple[float, float]:
        """Train on one batch.

        Args:
            images: `(n, 299, 299, 3)` float32 in [0, 1].
            category: `(n,)` true classes.
            pixels: `(n, 8)` index of each landmark's true pixel.

        Returns:
            The landmark loss and the classification loss.
        """
        groups = {group.name: group.variables for group in self.network.groups}
        side = self.network.supervision.side
        with tf.GradientTape(persistent=True) as tape:
            said = self.network.model(images, training=True)
            targets = tf.one_hot(pixels, side * side)
            landmark_loss = tf.reduce_mean(
                tf.nn.softmax_cross_entropy_with_logits(targets, said["landmarks"])
            )
            class_loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(category, said["category"])
            )
        rest = [name for name in ("head", "global", "local") if self.batches % REST_EVERY == 0]
        self._apply(tape, landmark_loss, [groups["landmark"]])
        self._apply(tape, class_loss, [groups["landmark"], *(groups[name] for name in rest)])
        self.batches += 1
        return float(landmark_loss), float(class_loss)

    def _apply(self, tape: Any, loss: Any, groups: Sequence[Sequence[Any]]) -> None:
        """A step on each group of variables; those that the loss does not depend on stay."""
        variables = [variable for group in groups for variable in group]
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        found = {id(v): g for v, g in zip(variables, gradients, strict=True) if g is not None}
        for group in groups:
            reached = [variable for variable in group if id(variable) in found]
            self.optimiser.apply([found[id(v)] for v in reached], reached)


def released_training(spec: TrialSpec, backbone: Any, classes: int) -> ReleasedTraining:
    """The method before its first batch.

    Args:
        spec: RopaNet at the scale wanted.
        backbone: Frozen Keras model from images to feature maps.
        classes: Number of categories.
    """
    inputs = ModelInputs(backbone.input, backbone.output, classes)
    network = load(spec.model.network)(spec.model, spec.supervision, inputs)
    optimiser = keras.optimizers.Adam(spec.train.learning_rate)
    optimiser.build(network.model.trainable_variables)
    return ReleasedTraining(network, optimiser)
