"""The released method's step trains what it should, and operations are counted as they are."""

from __future__ import annotations

import keras
import layer_profile
import numpy as np
import released_step

from bench.models.efficientnet_lite import efficientnet_lite0_stage5
from bench.models.network import ModelInputs
from bench.study.cost import head_flops
from bench.study.settings.training import TrainSpec
from bench.study.trial import TrialSpec
from bench.systems.registry import load
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet, UpsamplingStage
from bench.systems.settings import BackboneSettings

CLASSES = 50
SPEC = TrialSpec(
    model=RopaNet(
        backbone=BackboneSettings(name="efficientnet_lite0_stage5", weights="none", input_size=64),
        upsampling=(UpsamplingStage(filters=16), UpsamplingStage(filters=8)),
        global_filters=8,
    ),
    landmarks=LandmarkSpec(),
    train=TrainSpec(),
)


def test_the_released_step_trains_the_landmark_branch_on_each_batch_and_the_rest_on_each_second():
    keras.utils.set_random_seed(0)
    training = released_step.released_training(SPEC, efficientnet_lite0_stage5(64, None), CLASSES)
    rng = np.random.default_rng(0)
    images = rng.random((4, 64, 64, 3), dtype=np.float32)
    batch = (images, np.arange(4), rng.integers(0, 16 * 16, (4, 8)))

    moved, losses = [], []
    for _ in range(20):
        before = {group.name: _copy(group.variables) for group in training.network.groups}
        losses.append(training.step(*batch))
        moved.append([name for name, group in before.items() if _differ(training, name, group)])

    assert moved == [["landmark", "head", "global", "local"], ["landmark"]] * 10
    assert losses[-1][0] < losses[0][0] and losses[-1][1] < losses[0][1]
    # One count for every step: the landmark branch's two a batch, the others' on each second.
    assert int(training.optimiser.iterations) == 20 * 2 + 10 * 3


def test_layers_are_counted_as_the_plan_counts_them():
    features = keras.Input((4, 4, 112))
    inputs = ModelInputs(features, features, CLASSES)
    network = load(SPEC.model.network)(SPEC.model, SPEC.supervision, inputs)

    counted = sum(layer_profile.layer_flop(layer) for layer in network.model.layers)

    assert counted == head_flops(SPEC.model, CLASSES)


def _copy(group: tuple) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in group]


def _differ(training: released_step.ReleasedTraining, name: str, before: list[np.ndarray]) -> bool:
    (group,) = (group for group in training.network.groups if group.name == name)
    after = _copy(group.variables)
    return any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))
