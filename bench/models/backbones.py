"""Feature extractors: from a batch of images to a feature map; frozen unless a study says not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.models.normalization import with_exact_normalisation
from bench.models.pyramids import packed


def inception_v3(input_size: int, weights: Path | None) -> Any:
    """InceptionV3 up to its last module (§4.3): 8 x 8 x 2048 at 299 pixels.

    Args:
        input_size: Side of the input image in pixels.
        weights: File of weights; None for random ones. So for the others below.
    """
    return _application(keras.applications.InceptionV3, input_size, weights)


def vgg16(input_size: int, weights: Path | None) -> Any:
    """VGG-16's convolutions (Simonyan and Zisserman 2015): 7 x 7 x 512 at 224 pixels."""
    return _application(keras.applications.VGG16, input_size, weights)


def vgg16_conv4(input_size: int, weights: Path | None) -> Any:
    """VGG-16's first four blocks, before the fourth's pooling: 28 x 28 x 512 at 224 pixels."""
    return _beginning(vgg16(input_size, weights), "block4_conv3", "vgg16_conv4")


def resnet50(input_size: int, weights: Path | None) -> Any:
    """ResNet-50 (He et al. 2016): 7 x 7 x 2048 at 224 pixels."""
    return _application(keras.applications.ResNet50, input_size, weights)


def resnet50_pyramid(input_size: int, weights: Path | None) -> Any:
    """ResNet-50's last maps of strides 4, 8, 16 and 32, packed as one (`bench.models.pyramids`)."""
    model = resnet50(input_size, weights)
    lasts = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
    maps = [model.get_layer(name).output for name in lasts]
    return ready(keras.Model(model.input, packed(maps), name="resnet50_pyramid"), None)


def mobilenet_v2(input_size: int, weights: Path | None) -> Any:
    """MobileNetV2 (Sandler et al. 2018): 7 x 7 x 1280 at 224 pixels."""
    return _application(keras.applications.MobileNetV2, input_size, weights)


def efficientnet_b0(input_size: int, weights: Path | None) -> Any:
    """EfficientNet-B0 (Tan and Le 2019): 7 x 7 x 1280 at 224 pixels; see its scaling below."""
    return _application(keras.applications.EfficientNetB0, input_size, weights)


def convnext_tiny(input_size: int, weights: Path | None) -> Any:
    """ConvNeXt-T (Liu et al. 2022): 7 x 7 x 768 at 224 pixels; scales [0, 255] itself."""
    return _application(keras.applications.ConvNeXtTiny, input_size, weights)


def efficientnet_scaling(images: Any) -> Any:
    """What EfficientNet's ImageNet weights expect, from [0, 255].

    Keras' network divides by 255, subtracts the mean and divides by the root of the deviation
    itself, and only for `weights="imagenet"` by that root once more. The network here is built
    without weights and given the file, so the second division is made on the image instead.
    """
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scaled = mean + (np.asarray(images) / 255.0 - mean) / np.sqrt(deviation)
    return (255.0 * scaled).astype(np.float32)


def _application(network: Callable[..., Any], input_size: int, weights: Path | None) -> Any:
    model = network(include_top=False, weights=None, input_shape=(input_size, input_size, 3))
    return ready(with_exact_normalisation(model), weights)


def train_last(model: Any, layers_trained: int | str) -> None:
    """Unfreeze a backbone, or its last layers that have weights (ledger row 1).

    A frozen batch normalisation also keeps its statistics, as Keras does.

    Args:
        model: The backbone, frozen.
        layers_trained: `all`, or how many layers with weights, counted from the output.
    """
    weighted = [layer for layer in model.layers if layer.weights]
    chosen = weighted if layers_trained == "all" else weighted[-int(layers_trained) :]
    model.trainable = True
    for layer in model.layers:
        layer.trainable = layer in chosen


def _beginning(model: Any, last: str, name: str) -> Any:
    """A backbone up to one of its layers."""
    return ready(keras.Model(model.input, model.get_layer(last).output, name=name), None)


def ready(model: Any, weights: Path | None) -> Any:
    """A backbone with its weights, if any, frozen."""
    if weights is not None:
        model.load_weights(weights)
    model.trainable = False
    return model
