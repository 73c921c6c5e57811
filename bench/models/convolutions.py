"""Convolutions as plain matrix products, where Keras' own are slower.

Same weights, and but for the order of sums the same output.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import keras
from keras import ops

WORTH_SHARE = 0.25
"""Share of a convolution's products that are with padding from which leaving them out is tried."""

WORTH_CHANNELS = 512
"""Channels from which a matrix product over them comes near the machine's rate."""


def padded_share(side: int, kernel: int) -> float:
    """Share of a `same` convolution's products that are with its padding, zeros.

    Args:
        side: Of the map.
        kernel: Side of the kernel.
    """
    before = (kernel - 1) // 2
    within = sum(0 <= at + tap - before < side for at in range(side) for tap in range(kernel))
    return 1.0 - (within / (side * kernel)) ** 2


def same_convolution(
    seen: tuple[int, int, int], filters: int, kernel: int, activation: str, name: str
) -> Any:
    """A convolution of stride 1 with `same` padding, in the form that is faster for its size.

    Args:
        seen: Height, width and channels of the map that it is to see.
        filters: Output channels.
        kernel: Side of the kernel.
        activation: What follows.
        name: Of the layer.
    """
    side, channels = min(seen[:2]), seen[2]
    tapwise = padded_share(side, kernel) > WORTH_SHARE and min(channels, filters) >= WORTH_CHANNELS
    kind = TapwiseConv2D if tapwise else keras.layers.Conv2D
    return kind(filters, kernel, padding="same", activation=activation, name=name)


def upsampling_convolution(
    filters: int, kernel: int, stride: int, activation: str | None, name: str
) -> Any:
    """A transpose convolution without padding, in the form that is faster for its size.

    Args:
        filters: Output channels.
        kernel: Side of the kernel.
        stride: Of the output.
        activation: What follows; None for nothing.
        name: Of the layer.
    """
    kind = BlockwiseConv2DTranspose if kernel == stride else keras.layers.Conv2DTranspose
    return kind(filters, kernel, strides=stride, padding="valid", activation=activation, name=name)


class TapwiseConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` of stride 1 with `same` padding, as one matrix product a tap.

    Each tap, a position (row, column) of the kernel, multiplies those pixels of the map alone that
    it meets. RopaNet's 5 x 5 convolution of an 8 x 8 map multiplies 28 % of its numbers with zeros
    otherwise, forward and in the gradient of its weights. The taps are summed in float32.

    Input shape:
        `(n, height, width, channels)`, height and width known.
    """

    def in_keras_form(self) -> Any:
        """The same layer as Keras' own."""
        return keras.layers.Conv2D.from_config(self.get_config())

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias and activation, `(n, height, width, filters)`."""
        height, width, channels = inputs.shape[1:]
        rows, columns = self.kernel_size
        # Split, so that the gradient of the whole is joined on every backend: that of an index is
        # padded, which on JAX took 10 GB for RopaNet's 5 x 5 convolution.
        taps = ops.split(ops.reshape(kernel, (rows * columns * channels, -1)), rows * columns)
        total = 0.0
        for (row, column), tap in zip(product(range(rows), range(columns)), taps, strict=True):
            above, at_rows = _meets(row - (rows - 1) // 2, height)
            left, at_columns = _meets(column - (columns - 1) // 2, width)
            if at_rows.start < at_rows.stop and at_columns.start < at_columns.stop:
                met = ops.matmul(inputs[:, at_rows, at_columns], tap)
                total += ops.pad(ops.cast(met, "float32"), [(0, 0), above, left, (0, 0)])
        return ops.cast(total, self.compute_dtype)


class BlockwiseConv2DTranspose(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` of a stride as long as its kernel, as one matrix product.

    Each pixel then becomes a block of its own. With gradients, RopaNet's stages take 34 to 94 % of
    the time of Keras' own in bfloat16, and 58 to 103 % in float32, on two CPU cores.

    Input shape:
        `(n, height, width, channels)`, height and width known.
    """

    def in_keras_form(self) -> Any:
        """The same layer as Keras' own."""
        return keras.layers.Conv2DTranspose.from_config(self.get_config())

    def call(self, inputs: Any) -> Any:
        """`(n, height * stride, width * stride, filters)`."""
        height, width, channels = inputs.shape[1:]
        rows, columns = self.kernel_size
        kernel = ops.reshape(ops.transpose(self.kernel, (3, 0, 1, 2)), (channels, -1))
        blocks = ops.matmul(ops.reshape(inputs, (-1, channels)), kernel)
        blocks = ops.reshape(blocks, (-1, height, width, rows, columns, self.filters))
        placed = ops.reshape(
            ops.transpose(blocks, (0, 1, 3, 2, 4, 5)),
            (-1, height * rows, width * columns, self.filters),
        )
        return self.activation(placed + self.bias)


def _meets(offset: int, length: int) -> tuple[tuple[int, int], slice]:
    """Which pixels a tap at an offset meets, and how many outputs before and after see none."""
    return (max(-offset, 0), max(offset, 0)), slice(max(offset, 0), length + min(offset, 0))
