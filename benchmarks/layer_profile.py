"""Where a training step's time goes, layer by layer, beside what the arithmetic asks for.

Each layer runs alone at the shapes that it has in the network: its forward pass, and its backward
pass through a `GradientTape` as compiled TensorFlow, the input's gradient only where something
below it is trained. Loss and optimiser are timed likewise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.models.convolutions import TapwiseConv2D, padded_share


@dataclass(frozen=True)
class LayerTime:
    """One layer's part of a step.

    Args:
        name: The layer.
        forward_flop: Operations of one image's forward pass, two a multiplication-and-addition.
        products: Matrix products of that size in a step: forward, gradient of the weights at the
            batches where it is due, and of the input where it is needed.
        plain_flop: Operations of one image's part of a step that works every gradient out and
            multiplies with padding.
        forward: Seconds of a batch's forward pass.
        backward: Seconds of its backward pass, in the mean over the batches.
    """

    name: str
    forward_flop: float
    products: float
    plain_flop: float
    forward: float
    backward: float

    @property
    def flop(self) -> float:
        """Operations of one image's part of a step."""
        return self.forward_flop * self.products

    @property
    def seconds(self) -> float:
        """Of a batch's step."""
        return self.forward + self.backward


def layer_flop(layer: Any, *, plain: bool = False) -> float:
    """Operations of one image's forward pass through a layer: a product's, all else counts as 0.

    A padded convolution's products with padding are counted, as `bench.study.cost` does, but
    where the layer leaves them out.

    Args:
        layer: A built layer.
        plain: Whether what is left out counts all the same.
    """
    if not getattr(layer, "weights", None) or not hasattr(layer, "kernel"):
        return 0.0
    here = (
        layer.input.shape
        if isinstance(layer, keras.layers.Conv2DTranspose)
        else (layer.output.shape)
    )
    places = float(np.prod(here[1:-1]))
    left_out = 0.0
    if isinstance(layer, TapwiseConv2D) and not plain:
        left_out = padded_share(here[1], layer.kernel_size[0])
    return 2.0 * places * float(np.prod(layer.kernel.shape)) * (1.0 - left_out)


def profile(
    model: Any, batch: int, seldom: Collection[int], ratio: int, repeats: int = 3
) -> Iterator[LayerTime]:
    """The layers of a network, in order, as each is timed.

    Args:
        model: A functional model; what it is fed with is not trained.
        batch: Images a step.
        seldom: `id` of the variables whose gradients are due at one batch of some alone.
        ratio: Of how many.
        repeats: Of each measurement, whose least counts.
    """
    trained_below: dict[str, bool] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        needs = any(trained_below.get(tensor.name, False) for tensor in inputs)
        trains = bool(layer.trainable_variables)
        outputs = layer.output if isinstance(layer.output, list) else [layer.output]
        trained_below |= {tensor.name: needs or trains for tensor in outputs}
        forward, both = _times(layer, inputs, batch, repeats, needs)
        backward = max(both - forward, 0.0)
        due = 1.0
        if trains and all(id(variable) in seldom for variable in layer.trainable_variables):
            due = 1 / ratio
            backward *= 1.0 if needs else due
        yield LayerTime(
            layer.name,
            layer_flop(layer),
            1 + trains * due + needs,
            layer_flop(layer, plain=True) * (1 + trains + needs),
            forward,
            backward,
        )


def _times(
    layer: Any, inputs: list[Any], batch: int, repeats: int, input_gradient: bool
) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    values = [
        tf.Variable(
            rng.normal(0, 0.5, (batch, *tensor.shape[1:])).astype(np.float32), dtype=tf.float32
        )
        for tensor in inputs
    ]
    values = [tf.cast(value, tensor.dtype) for value, tensor in zip(values, inputs, strict=True)]
    fed = values if isinstance(layer.input, list) else values[0]

    @tf.function
    def forward(fed: Any) -> Any:
        return layer(fed, training=True)

    upstream = tf.random.normal(forward(fed).shape, stddev=0.01)
    upstream = tf.cast(upstream, forward(fed).dtype)
    weights = [variable.value for variable in layer.trainable_variables]

    @tf.function
    def both(fed: Any) -> Any:
        with tf.GradientTape() as tape:
            if input_gradient:
                tape.watch(fed)
            said = layer(fed, training=True)
        wanted = [weights, fed] if input_gradient else [weights]
        # What is said is returned too: a forward pass that nothing needs would be left out.
        return said, tape.gradient(said, wanted, output_gradients=upstream)

    return least_seconds(lambda: forward(fed), repeats), least_seconds(lambda: both(fed), repeats)


def least_seconds(run: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest of some runs, after one that compiles and warms up."""
    seconds = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        finish(run())
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])


def finish(value: Any) -> None:
    """Wait until tensors are computed."""
    for tensor in tf.nest.flatten(value):
        if tensor is not None:
            np.asarray(tf.reshape(tensor.values if hasattr(tensor, "values") else tensor, [-1])[:1])


def matrix_rate(dtype: str, size: int = 2048, repeats: int = 5) -> float:
    """Operations a second of the best of some large matrix products.

    Args:
        dtype: Of the factors.
        size: Their side.
        repeats: Products, whose fastest counts.
    """
    factor = tf.cast(tf.random.normal((size, size)), dtype)
    product = tf.function(tf.matmul)
    return 2.0 * size**3 / least_seconds(lambda: product(factor, factor), repeats)
