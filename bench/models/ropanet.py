"""RopaNet (§4.4-4.5): a landmark, a local and a global branch over one feature map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from bench.data.manifest import LANDMARKS
from bench.models.network import Network
from bench.models.registry import GATES, load
from bench.models.settings import RopaNet, UpsamplingStage


def build(settings: RopaNet, feature_shape: tuple[int, int, int], classes: int) -> Network:
    """The three branches and their fusion.

    Args:
        settings: Model settings.
        feature_shape: (h, w, c) of the feature map, 8 x 8 x 2048 in the paper.
        classes: Number of categories, 50 in the paper.
    """
    features = keras.Input(feature_shape, name="features")

    mask_layer = layers.Conv2D(feature_shape[-1], 1, activation="sigmoid", name="landmark_mask")
    mask = mask_layer(features)
    stages = _upsampling(settings.upsampling)
    maps = mask
    for stage in stages:
        maps = stage(maps)
    side = maps.shape[1]
    by_landmark = layers.Permute((2, 1), name="landmarks")(
        layers.Reshape((side * side, len(LANDMARKS)), name="landmark_pixels")(maps)
    )

    gate = load(GATES[settings.gate])(features, mask)
    seen = features if gate is None else layers.Multiply(name="gated")([features, gate])
    local = _branch_end("local", settings)(layers.GlobalAveragePooling2D(name="local_pool")(seen))

    convolved = layers.Conv2D(
        settings.global_filters,
        settings.global_kernel,
        padding="same",
        activation=settings.global_activation,
        name="global_conv",
    )(features)
    whole = _branch_end("global", settings)(
        layers.GlobalAveragePooling2D(name="global_pool")(convolved)
    )

    fused = layers.Concatenate(name="fusion")([local, whole])
    category = layers.Dense(classes, name="category")(fused)
    model = keras.Model(features, {"category": category, "landmarks": by_landmark}, name="ropanet")
    return Network(
        model,
        landmark_variables=tuple(
            variable for layer in (mask_layer, *stages) for variable in layer.trainable_variables
        ),
        landmark_side=side,
        gate=gate,
    )


def _upsampling(stages: Sequence[UpsamplingStage]) -> list[Any]:
    """Transpose convolutions; the last is linear, for a softmax follows (ledger row 6)."""
    return [
        layers.Conv2DTranspose(
            stage.filters,
            stage.kernel,
            strides=stage.stride,
            padding="valid",
            activation="linear" if index == len(stages) else "relu",
            name=f"landmark_up_{index}",
        )
        for index, stage in enumerate(stages, start=1)
    ]


def _branch_end(branch: str, settings: RopaNet) -> Any:
    return layers.Dense(
        settings.branch_units,
        activation=settings.branch_activation,
        kernel_initializer="he_normal",
        name=f"{branch}_units",
    )
