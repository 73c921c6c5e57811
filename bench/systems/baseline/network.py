"""RopaNet-Baseline (§4.3): what the features give without landmarks, masks or branches."""

from __future__ import annotations

import keras

from bench.models.network import BuiltModel, ModelInputs, output_layer
from bench.models.supervision import Supervision
from bench.systems.baseline.settings import RopaNetBaseline
from bench.systems.registry import POOLINGS, load


def build(settings: RopaNetBaseline, supervision: None, inputs: ModelInputs) -> BuiltModel:
    """Global pooling and one fully connected layer.

    Args:
        settings: The system's settings.
        supervision: None: it predicts the category alone.
        inputs: What to build on.
    """
    del supervision
    pooled = load(POOLINGS[settings.pooling])("pool")(inputs.features)
    category = output_layer("category", inputs.classes)(pooled)
    model = keras.Model(inputs.input, {"category": category}, name="ropanet_baseline")
    return BuiltModel(model, inputs.features, Supervision())
