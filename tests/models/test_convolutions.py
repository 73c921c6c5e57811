"""Convolutions as matrix products against Keras' own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.models.convolutions import (
    BlockwiseConv2DTranspose,
    TapwiseConv2D,
    padded_share,
    same_convolution,
    upsampling_convolution,
)


def said_and_gradients(kind: type, kernel: int, dtype: str, **options: Any) -> list[Any]:
    """Output, and gradients of weights and input, of a layer on a 5 x 4 map."""
    keras.utils.set_random_seed(0)
    options = {"padding": "same", "activation": "relu", "bias_initializer": "ones"} | options
    layer = kind(6, kernel, dtype=dtype, **options)
    maps = tf.Variable(np.random.default_rng(0).normal(size=(3, 5, 4, 7)).astype("f4"))
    layer.build(maps.shape)
    with tf.GradientTape() as tape:
        said = layer(maps)
        loss = tf.reduce_sum(tf.cast(said, "float32") ** 2)
    gradients = tape.gradient(loss, [*(v.value for v in layer.trainable_variables), maps])
    return [np.asarray(tf.cast(value, "float32")) for value in [said, *gradients]]


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 11])
def test_output_and_gradients_are_those_of_keras(kernel: int) -> None:
    plain, tapwise = (
        said_and_gradients(kind, kernel, "float32") for kind in (keras.layers.Conv2D, TapwiseConv2D)
    )
    for expected, found in zip(plain, tapwise, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_it_is_as_near_to_float32_as_keras_is() -> None:
    exact = said_and_gradients(keras.layers.Conv2D, 5, "float32")
    plain, tapwise = (
        said_and_gradients(kind, 5, "mixed_bfloat16")
        for kind in (keras.layers.Conv2D, TapwiseConv2D)
    )
    for expected, of_keras, found in zip(exact, plain, tapwise, strict=True):
        assert np.abs(found - expected).mean() < 1.5 * np.abs(of_keras - expected).mean() + 1e-6


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_transpose_convolution_gives_output_and_gradients_of_keras(side: int) -> None:
    kinds = (keras.layers.Conv2DTranspose, BlockwiseConv2DTranspose)
    plain, blockwise = (
        said_and_gradients(kind, side, "float32", strides=side, padding="valid") for kind in kinds
    )
    for expected, found in zip(plain, blockwise, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_it_is_built_from_the_same_weights_as_keras_own() -> None:
    kinds = (keras.layers.Conv2D, TapwiseConv2D)
    layers = [kind(6, 5, padding="same", name="conv") for kind in kinds]
    for layer in layers:
        layer.build((None, 5, 4, 7))
    assert [[v.path, v.shape] for v in layers[0].weights] == [
        [v.path, v.shape] for v in layers[1].weights
    ]


@pytest.mark.parametrize(("side", "kernel"), [(8, 5), (8, 1), (6, 4), (3, 9)])
def test_the_share_of_padding_is_what_a_kernel_of_ones_finds_missing(
    side: int, kernel: int
) -> None:
    ones = np.ones((1, side, side, 1), "f4")
    met = keras.layers.Conv2D(1, kernel, padding="same", kernel_initializer="ones")(ones)
    assert padded_share(side, kernel) == pytest.approx(
        1 - float(tf.reduce_sum(met)) / (side * kernel) ** 2
    )


def test_products_with_padding_are_those_that_fall_outside_the_map() -> None:
    # On 8 x 8, a 5 x 5 kernel has 34 of its 40 rows inside, and as many columns.
    assert padded_share(8, 5) == pytest.approx(1 - (34 / 40) ** 2)
    assert padded_share(8, 1) == 0


@pytest.mark.parametrize(
    ("seen", "filters", "kernel", "kind"),
    [
        ((8, 8, 2048), 2048, 5, TapwiseConv2D),  # the paper's global branch
        ((8, 8, 2048), 2048, 3, keras.layers.Conv2D),  # little padding
        ((6, 6, 128), 32, 5, keras.layers.Conv2D),  # small products
    ],
)
def test_large_kernels_on_small_maps_of_many_channels_are_tapwise(
    seen: tuple[int, int, int], filters: int, kernel: int, kind: type
) -> None:
    layer = same_convolution(seen, filters, kernel, "relu", "conv")
    assert type(layer) is kind and layer.name == "conv"


@pytest.mark.parametrize(
    ("kernel", "stride", "kind"),
    [
        (2, 2, BlockwiseConv2DTranspose),
        (3, 2, keras.layers.Conv2DTranspose),  # blocks that overlap
        (12, 1, keras.layers.Conv2DTranspose),  # the paper's fourth stage
    ],
)
def test_upsampling_without_overlap_is_blockwise(kernel: int, stride: int, kind: type) -> None:
    layer = upsampling_convolution(8, kernel, stride, None, "up")
    assert type(layer) is kind and layer.name == "up"
