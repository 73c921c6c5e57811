"""RopaNet-Baseline (§4.3): what the features give without landmarks, masks or branches."""

from __future__ import annotations

import keras

from bench.models.network import BuiltModel, ModelInputs, output_layer
from bench.study.trial import TrialSpec
from bench.systems.registry import POOLINGS, load
from bench.systems.settings import RopaNetBaseline


def build(spec: TrialSpec, inputs: ModelInputs, classes: int) -> BuiltModel:
    """Global pooling and one fully connected layer.

    Args:
        spec: The trial.
        inputs: What to build on.
        classes: Number of categories.
    """
    settings = spec.model
    assert isinstance(settings, RopaNetBaseline)
    pooled = load(POOLINGS[settings.pooling])("pool")(inputs.features)
    category = output_layer("category", classes)(pooled)
    model = keras.Model(inputs.input, {"category": category}, name="ropanet_baseline")
    return BuiltModel(model, inputs.features)
