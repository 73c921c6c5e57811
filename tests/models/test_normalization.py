"""Batch normalisation without an approximate root, beside Keras' own."""

from __future__ import annotations

import keras
import numpy as np

from bench.models.backbones import mobilenet_v2
from bench.models.normalization import BatchNormalization


def test_it_is_keras_own_but_for_the_last_digits() -> None:
    maps = np.random.default_rng(0).normal(2.0, 3.0, (8, 5, 5, 16)).astype(np.float32)
    own, keras_own = BatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for training in (True, True, False):
        pair = own(maps, training=training), keras_own(maps, training=training)
        np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-5)
        for one, other in zip(own.get_weights(), keras_own.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_frozen_one_keeps_its_statistics() -> None:
    layer = BatchNormalization()
    layer.trainable = False
    layer(np.ones((2, 3, 3, 4), np.float32), training=True)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(4))


def test_keras_applications_have_no_other() -> None:
    network = mobilenet_v2(64, None)
    norms = [one for one in network.layers if isinstance(one, keras.layers.BatchNormalization)]
    assert norms
    assert all(isinstance(one, BatchNormalization) for one in norms)
