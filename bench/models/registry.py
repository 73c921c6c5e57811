"""Names of what can be chosen in a model, and where each is built.

Light by design: a line names the code ("module:function") without importing it, so that the spec,
`bench schema` and `bench plan` know every choice and never wait for Keras. A new backbone or gate
is one function in its own module and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


def load(target: str) -> Callable[..., Any]:
    """Import what a registry line names.

    Args:
        target: `"module:function"`.
    """
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Backbone:
    """A frozen feature extractor that can be asked for by name.

    Args:
        build: `"module:function"`; called with (input_size, weights path or None) it returns a
            Keras model from images in the backbone's own scaling to maps `(n, h, w, c)`.
        input_size: Side of the square input image in pixels.
        map_side: Side of the feature map for a side of the image, to plan disk space by.
        channels: Channels of the feature map.
        weights: The names that `weights:` may take beside a file.
        imagenet: `"module:function"` that downloads the ImageNet weights on first use.
        imagenet_file: Name of the file that Keras then keeps.
        native_scaling: `"module:function"` from images in [0, 255] to the scaling that the
            ImageNet weights were trained with; None where there is none but [0, 1].
    """

    build: str
    input_size: int
    map_side: Callable[[int], int]
    channels: int
    weights: tuple[str, ...]
    imagenet: str | None = None
    imagenet_file: str | None = None
    native_scaling: str | None = None


def _inception_side(side: int) -> int:
    """InceptionV3 halves five times, without padding: 299 -> 149 -> 73 -> 35 -> 17 -> 8."""
    stem = (side - 3) // 2 + 1 - 2
    pooled = (stem - 3) // 2 + 1 - 2
    for _ in range(3):
        pooled = (pooled - 3) // 2 + 1
    return pooled


BACKBONES: dict[str, Backbone] = {
    "inception_v3": Backbone(
        build="bench.models.backbones:inception_v3",
        input_size=299,
        map_side=_inception_side,
        channels=2048,
        weights=("imagenet", "none"),
        imagenet="keras.applications:InceptionV3",
        imagenet_file="inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        native_scaling="keras.applications.inception_v3:preprocess_input",
    ),
    "small": Backbone(
        build="bench.models.backbones:small",
        input_size=96,
        map_side=lambda side: side // 16,
        channels=128,
        weights=("phantom", "none"),
    ),
}
"""Backbones: InceptionV3 is the paper's (§4.3); `small` is for the phantom and a laptop."""

GATES: dict[str, str] = {
    "sigmoid": "bench.models.gates:sigmoid",
    "none": "bench.models.gates:none",
    "residual": "bench.models.gates:residual",
    "spatial": "bench.models.gates:spatial",
    "detached": "bench.models.gates:detached",
    "random": "bench.models.gates:random",
}
"""What the local branch sees of the feature map (§4.4); `sigmoid` is the paper's."""
