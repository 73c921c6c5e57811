"""Networks and batches as a trial has them, for scripts that measure a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from bench.data.ground_truth import GroundTruth
from bench.models.backbones import train_last
from bench.models.network import BuiltModel, ModelInputs
from bench.study.overlays import base_overlays, put, stacked
from bench.study.trial import TrialSpec
from bench.systems.registry import BACKBONES, load
from bench.train.balance import Balance
from bench.train.fitting import compile_network

CLASSES = 46


def spec_of(preset: str, profile: str, settings: Mapping[str, Any]) -> TrialSpec:
    """A preset under a profile, in native arithmetic, with settings by dotted path."""
    plain = stacked(base_overlays(preset, profile, None))
    for path, value in {"train.arithmetic": "native", **settings}.items():
        put(plain, path, value)
    return TrialSpec.model_validate(plain)


def network_of(spec: TrialSpec) -> BuiltModel:
    """A trial's network, compiled in Keras' sense, over maps or over its backbone."""
    backbone = spec.model.feature_extractor
    assert backbone is not None and spec.train is not None, "every case is trained on a backbone"
    entry = BACKBONES[backbone.name]
    if backbone.frozen:
        side = entry.map_side(backbone.side)
        given = features = keras.Input((side, side, entry.channels))
    else:
        model = load(entry.build)(backbone.side, None)
        train_last(model, backbone.trainable)
        given, features = model.input, model.output
    inputs = ModelInputs(given, features, CLASSES)
    built: BuiltModel = load(spec.model.network)(spec.model, spec.supervision, inputs)
    compile_network(built, spec.train, Balance(), CLASSES)
    built.model.optimizer.build(built.model.trainable_variables)
    return built


def batch_of(network: BuiltModel, images: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A batch of garments with every landmark; what its numbers are makes no difference."""
    truth = GroundTruth(
        landmarks=np.full((images, 8, 2), 0.5, np.float32),
        visibility=np.zeros((images, 8), np.int8),
        clothes_type=np.full(images, 3, np.int8),
        image_size=np.full((images, 2), 300, np.int32),
    )
    targets = {"category": np.zeros(images, np.int32), **network.supervision.targets(truth)}
    return np.zeros((images, *network.model.input.shape[1:]), np.float32), targets
