"""RopaNet-Baseline (§4.3): what the features give without landmarks, masks or branches."""

from __future__ import annotations

import keras

from bench.models.network import Network
from bench.models.settings import RopaNetBaseline


def build(settings: RopaNetBaseline, feature_shape: tuple[int, int, int], classes: int) -> Network:
    """Global average pooling and one fully connected layer.

    Args:
        settings: Model settings; the baseline has none beside its backbone.
        feature_shape: (h, w, c) of the feature map.
        classes: Number of categories.
    """
    del settings
    features = keras.Input(feature_shape, name="features")
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    category = keras.layers.Dense(classes, name="category")(pooled)
    return Network(keras.Model(features, {"category": category}, name="ropanet_baseline"))
