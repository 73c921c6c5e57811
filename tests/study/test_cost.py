"""The planned operations are those of the networks that are built."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from bench.models.network import ModelInputs
from bench.study.cost import head_flops, trial_flops, weights_bytes
from bench.study.settings.training import TrainSpec
from bench.study.trial import TrialSpec
from bench.systems.baseline.settings import RopaNetBaseline
from bench.systems.fashionnet.settings import FashionNet, PoseSpec
from bench.systems.registry import load
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet, UpsamplingStage
from bench.systems.settings import BackboneSettings

SMALL = BackboneSettings(name="efficientnet_lite0_stage5", weights="none", input_size=64)
STAGES = (UpsamplingStage(filters=6, kernel=3, stride=1), UpsamplingStage(filters=8))


def spec(model: Any) -> TrialSpec:
    needed = {"landmarks": LandmarkSpec(), "pose": PoseSpec()}
    supervision = {name: spec for name, spec in needed.items() if name == model.supervision}
    return TrialSpec(model=model, train=TrainSpec(epochs=3), **supervision)


def built(model: Any, classes: int) -> Any:
    features = keras.Input((4, 4, 112))
    supervision = spec(model).supervision
    inputs = ModelInputs(features, features, classes)
    return load(model.network)(model, supervision, inputs).model


def counted(network: Any) -> int:
    """Operations of every layer with a kernel, from the shapes of the network built."""
    total = 0
    for layer in network.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            continue
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        shape = (layer.input if transposed else layer.output).shape[1:-1]
        total += 2 * int(np.prod(shape, dtype=int)) * int(np.prod(kernel.shape))
    return total


MODELS = {
    "baseline": RopaNetBaseline(backbone=SMALL),
    "ropanet": RopaNet(backbone=SMALL, upsampling=STAGES, global_filters=9),
    "random gate": RopaNet(backbone=SMALL, upsampling=STAGES, gate="random"),
    "deep": RopaNet(
        backbone=SMALL, upsampling=STAGES, gate_depth=2, local_depth=2, local_filters=7,
        global_depth=2, branch_units=11, global_filters=20,
    ),
    "points": RopaNet(
        backbone=SMALL, upsampling=STAGES, local="landmark_pooling", global_filters=9
    ),
    "fashionnet": FashionNet(backbone=SMALL, conv5_filters=20, global_units=30),
    "masked fashionnet": FashionNet(
        backbone=SMALL, local="gate", branch_pooling=3, conv5_depth=2, conv5_filters=20,
        pose_units=9, local_units=7, global_units=11, fusion_units=13,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_heads_operations_and_weights_are_counted_as_it_is_built(name: str) -> None:
    network = built(MODELS[name], 50)
    assert head_flops(MODELS[name], 50) == counted(network)
    assert weights_bytes(spec(MODELS[name]), 50) == 4 * network.count_params()


def test_at_paper_scale_a_step_costs_what_was_measured_of_it() -> None:
    step = 3 * head_flops(RopaNet(), 50)
    assert 36e9 < step < 56e9  # forward and both gradients; forward and weights alone: 36 GFLOP
    parameters = 5 * 5 * 2048 * 2048
    assert 2 * 64 * parameters < head_flops(RopaNet(), 50)  # ledger row 7: 104.9 M weights


def test_a_trial_is_its_epochs_and_its_test() -> None:
    images = {"train": 10, "val": 4, "test": 6}
    forward = head_flops(MODELS["baseline"], 50)
    assert trial_flops(spec(MODELS["baseline"]), images, 50) == forward * (3 * (3 * 10 + 4) + 6)
