"""Feature extractors: from a batch of images to a feature map. Frozen; applied once per image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers

SMALL_LAYERS = ((24, 5, 2), (32, 3, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1), (128, 3, 2))
"""(filters, kernel, stride) of the small backbone's convolutions."""


def inception_v3(input_size: int, weights: Path | None) -> Any:
    """InceptionV3 up to its last module (§4.3): 8 x 8 x 2048 at 299 pixels.

    Args:
        input_size: Side of the input image in pixels.
        weights: File of weights; None for random ones.
    """
    model = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(input_size, input_size, 3)
    )
    return _ready(model, weights)


def small(input_size: int, weights: Path | None) -> Any:
    """Six convolutions, four of which halve the map: 6 x 6 x 128 at 96 pixels.

    For the phantom and a laptop; its `phantom` weights come from `bench.train.pretext`.

    Args:
        input_size: Side of the input image in pixels.
        weights: File of weights; None for random ones.
    """
    image = keras.Input((input_size, input_size, 3), name="image")
    maps = image
    for index, (width, kernel, stride) in enumerate(SMALL_LAYERS, start=1):
        maps = layers.Conv2D(
            width, kernel, stride, padding="same", use_bias=False, name=f"conv_{index}"
        )(maps)
        # A short memory: the pretext task has some hundreds of steps, not many thousands.
        maps = layers.BatchNormalization(momentum=0.9, name=f"norm_{index}")(maps)
        maps = layers.Activation("relu", name=f"relu_{index}")(maps)
    return _ready(keras.Model(image, maps, name="small"), weights)


def _ready(model: Any, weights: Path | None) -> Any:
    if weights is not None:
        model.load_weights(weights)
    model.trainable = False
    return model
