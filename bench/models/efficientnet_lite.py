"""EfficientNet-Lite 0, 1 and 2: EfficientNet (Tan and Le 2019) without squeeze-and-excitation.

Made for integer arithmetic on phones, with ReLU6. Their ImageNet weights are Google's (the folder
`efficientnet/lite` of the repository `tensorflow/tpu`), as a file for PyTorch by ML Illustrated.

Each is there with three maps: its last one (stride 32, after ReLU6), and those of its third and
fifth stage (strides 8 and 16); Lite0 also with those two and its seventh stage's (stride 32) as a
pyramid. A stage ends in a linear projection, so its map has both signs, and
a deviation that is the stage's own: these maps are divided by the deviation that they have over a
test pattern with the ImageNet weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from bench.models.backbones import ready
from bench.models.pyramids import packed


class Stage(NamedTuple):
    """Blocks with one form, of which the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""Of EfficientNet-Lite0."""

STEM, HEAD = 32, 1280
"""Filters of the first and the last convolution, which are not scaled."""

EPSILON = 1e-3
"""Of the batch normalisation that the weights were trained with."""


class Scaling(NamedTuple):
    """How much wider and deeper than EfficientNet-Lite0 one is, and what its maps are divided by.

    Args:
        width: Multiplier of the stages' filters.
        depth: Multiplier of the stages' repeats, but for the first and the last one.
        deviations: Stage -> deviation of its map, ImageNet weights, native scaling and size.
    """

    width: float
    depth: float
    deviations: Mapping[int, float]


SCALINGS = {
    "efficientnet_lite0": Scaling(1.0, 1.0, {3: 9.14517, 5: 6.09120, 7: 1.93217}),
    "efficientnet_lite1": Scaling(1.0, 1.1, {3: 11.97863, 5: 4.88623}),
    "efficientnet_lite2": Scaling(1.1, 1.2, {3: 10.13921, 5: 5.04619}),
}


def stages_of(name: str) -> list[Stage]:
    """The stages of an EfficientNet-Lite."""
    width, depth, _ = SCALINGS[name]
    scaled = []
    for number, stage in enumerate(STAGES, start=1):
        ends = number in (1, len(STAGES))
        repeats = stage.repeats if ends else math.ceil(stage.repeats * depth)
        scaled.append(stage._replace(repeats=repeats, filters=_rounded(stage.filters * width)))
    return scaled


def _rounded(filters: float) -> int:
    """To the nearest multiple of 8 that is no more than a tenth smaller, as EfficientNet rounds."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest


def scaling(images: Any) -> Any:
    """What the ImageNet weights expect, from [0, 255]: about [-1, 1]."""
    return ((np.asarray(images) - 127.0) / 128.0).astype(np.float32)


def _network(
    name: str, last: int | None, input_size: int, weights: Path | None, *, pyramid: bool = False
) -> Any:
    """The network up to its last map, or up to the end of a stage, frozen.

    The weights' batch normalisation is frozen, and part of the convolutions: kernels times scale,
    and the shift as a bias (`load_torch`). So it costs nothing, and a map is convolutions and sums
    alone: Keras' own layer takes an approximate reciprocal root in inference, in which processors
    differ. A backbone that is trained learns as with a frozen normalisation.

    Args:
        name: Which one.
        last: The stage whose map it gives, divided by its deviation; None for the head's.
        input_size: Side of the input image in pixels.
        weights: Keras weights file of this very network; None for random ones.
        pyramid: The maps of all stages that have a deviation, up to that one, packed into one.
    """
    image = keras.Input((input_size, input_size, 3), name="image")
    maps = _convolution(image, STEM, 3, 2, "stem")
    block, ends = 0, {}
    for number, stage in enumerate(stages_of(name)[:last], start=1):
        for repeat in range(stage.repeats):
            first = repeat == 0
            ending = f"stage_{number}" if repeat == stage.repeats - 1 else f"block_{block}_out"
            form = stage if first else stage._replace(stride=1)
            maps = _block(maps, form, f"block_{block}", ending)
            block += 1
        ends[number] = maps
    if last is None:
        return ready(keras.Model(image, _convolution(maps, HEAD, 1, 1, "head"), name=name), weights)
    deviations = SCALINGS[name].deviations
    if pyramid:
        scaled = [
            layers.Rescaling(1 / by, name=f"deviation_{stage}")(ends[stage])
            for stage, by in deviations.items()
            if stage <= last
        ]
        return ready(keras.Model(image, packed(scaled), name=f"{name}_pyramid"), weights)
    maps = layers.Rescaling(1 / deviations[last], name="deviation")(maps)
    return ready(keras.Model(image, maps, name=f"{name}_stage{last}"), weights)


def _block(maps: Any, stage: Stage, name: str, last: str) -> Any:
    """An inverted residual block; its shortcut where neither size nor channels change."""
    channels, inner = maps.shape[-1], maps
    if stage.expansion > 1:
        inner = _convolution(inner, channels * stage.expansion, 1, 1, f"{name}_expand")
    inner = layers.DepthwiseConv2D(
        stage.kernel,
        stage.stride,
        padding="same",
        # Keras would count the channels among what a value sums over: random maps would fade.
        depthwise_initializer=keras.initializers.RandomNormal(
            stddev=math.sqrt(2 / stage.kernel**2)
        ),
        name=f"{name}_depthwise",
    )(inner)
    inner = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(inner)
    inner = layers.Conv2D(
        stage.filters, 1, kernel_initializer="lecun_normal", name=f"{name}_project"
    )(inner)
    if stage.stride == 1 and stage.filters == channels:
        return layers.Add(name=last)([inner, maps])
    return layers.Identity(name=last)(inner)


def _convolution(maps: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    maps = layers.Conv2D(
        filters, kernel, stride, padding="same", kernel_initializer="he_normal", name=name
    )(maps)
    return layers.ReLU(6.0, name=f"{name}_relu")(maps)


Build = Callable[[int, Path | None], Any]
"""Called with the side of the input image in pixels and the file of weights (None: random)."""

efficientnet_lite0: Build = partial(_network, "efficientnet_lite0", None)
"""7 x 7 x 1280 at 224 pixels, after ReLU6."""

efficientnet_lite0_stage3: Build = partial(_network, "efficientnet_lite0", 3)
"""28 x 28 x 40 at 224 pixels, divided by 9.14517."""

efficientnet_lite0_stage5: Build = partial(_network, "efficientnet_lite0", 5)
"""14 x 14 x 112 at 224 pixels, divided by 6.0912."""

efficientnet_lite0_pyramid: Build = partial(_network, "efficientnet_lite0", 7, pyramid=True)
"""28 x 28 x 40, 14 x 14 x 112 and 7 x 7 x 320 at 224 pixels, packed into 7 x 7 x 1408."""

efficientnet_lite1: Build = partial(_network, "efficientnet_lite1", None)
"""8 x 8 x 1280 at 240 pixels, after ReLU6."""

efficientnet_lite1_stage3: Build = partial(_network, "efficientnet_lite1", 3)
"""30 x 30 x 40 at 240 pixels, divided by 11.97863."""

efficientnet_lite1_stage5: Build = partial(_network, "efficientnet_lite1", 5)
"""15 x 15 x 112 at 240 pixels, divided by 4.88623."""

efficientnet_lite2: Build = partial(_network, "efficientnet_lite2", None)
"""9 x 9 x 1280 at 260 pixels, after ReLU6."""

efficientnet_lite2_stage3: Build = partial(_network, "efficientnet_lite2", 3)
"""33 x 33 x 48 at 260 pixels, divided by 10.13921."""

efficientnet_lite2_stage5: Build = partial(_network, "efficientnet_lite2", 5)
"""17 x 17 x 120 at 260 pixels, divided by 5.04619."""


def load_torch(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Give an EfficientNet-Lite, or its beginning, the weights of its file for PyTorch.

    Args:
        model: The network.
        arrays: The file's arrays by name, kernels `(out, in, h, w)`.

    Raises:
        KeyError: They lack one.
        ValueError: One has another shape.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        kernel, bias = _folded(arrays, *_torch_names(layer.name))
        # One kernel a channel: (h, w, 1, c) there is (h, w, c, 1) here.
        depthwise = layer.name.endswith("_depthwise")
        layer.set_weights([kernel.transpose(0, 1, 3, 2) if depthwise else kernel, bias])


TORCH_NAMES = {
    "stem": ("_conv_stem", "_bn0"),
    "head": ("_conv_head", "_bn1"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
"""A convolution's name here, or the end of it: its own and its normalisation's name there."""


def _torch_names(layer: str) -> tuple[str, str]:
    """A convolution's and its normalisation's: `block_3_expand` is `_blocks.3._expand_conv`."""
    *block, part = layer.removeprefix("block_").split("_")
    convolution, norm = TORCH_NAMES[part]
    before = f"_blocks.{block[0]}." if block else ""
    return f"{before}{convolution}", f"{before}{norm}"


def _folded(arrays: Mapping[str, np.ndarray], convolution: str, norm: str) -> list[np.ndarray]:
    """Kernel `(h, w, in, out)` and bias of a convolution with its normalisation, in float64."""
    kernel = arrays[f"{convolution}.weight"].astype(np.float64).transpose(2, 3, 1, 0)
    gamma, beta, mean, variance = (
        arrays[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    return [
        np.ascontiguousarray((kernel * scale).astype(np.float32)),
        (beta - mean * scale).astype(np.float32),
    ]
