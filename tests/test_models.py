"""The networks: shapes, gates, gradients and the landmark loss."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.models.losses import NO_PIXEL, LandmarkLoss
from bench.models.registry import BACKBONES, GATES, load
from bench.models.ropanet import build
from bench.models.settings import PAPER_UPSAMPLING, RopaNet, UpsamplingStage

STAGES = (UpsamplingStage(filters=6), UpsamplingStage(filters=8))
FEATURES = np.random.default_rng(0).random((3, 4, 4, 10)).astype("f4")


def ropanet(gate: str, **settings: Any) -> Any:
    keras.utils.set_random_seed(1)
    small = {"upsampling": STAGES, "global_filters": 5, "global_kernel": 3} | settings
    return build(RopaNet(gate=gate, **small), FEATURES.shape[1:], 7)


def mask_gradient(network: Any, output: str) -> np.ndarray | None:
    """Gradient of an output in the landmark branch's 1x1 convolution."""
    kernel = network.model.get_layer("landmark_mask").kernel
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network.model(FEATURES)[output] ** 2)
    gradient = tape.gradient(total, kernel.value)
    return None if gradient is None else gradient.numpy()


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_gives_category_and_landmark_logits(gate: str) -> None:
    said = ropanet(gate).model(FEATURES)
    assert said["category"].shape == (3, 7)
    assert said["landmarks"].shape == (3, 8, 16 * 16)
    assert all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in said.values())


def test_the_papers_upsampling_ends_at_300_pixels() -> None:
    narrow = tuple(
        stage.model_copy(update={"filters": 8 if i == 5 else 1})
        for i, stage in enumerate(PAPER_UPSAMPLING)
    )
    settings = RopaNet(upsampling=narrow, global_filters=1)
    assert build(settings, (8, 8, 4), 5).landmark_side == 300


@pytest.mark.parametrize(("gate", "reached"), [("sigmoid", True), ("residual", True),
                                               ("spatial", True), ("detached", False),
                                               ("none", False), ("random", False)])  # fmt: skip
def test_the_classification_trains_the_mask_only_where_the_gate_lets_it(
    gate: str, reached: bool
) -> None:
    gradient = mask_gradient(ropanet(gate, branch_activation="linear"), "category")
    assert (gradient is not None and bool(np.abs(gradient).max() > 0)) == reached
    assert np.abs(mask_gradient(ropanet(gate), "landmarks")).max() > 0


def test_what_each_gate_multiplies_with() -> None:
    def value(gate: str) -> np.ndarray:
        network = ropanet(gate)
        outputs = {"gate": network.gate, "mask": network.model.get_layer("landmark_mask").output}
        return keras.Model(network.model.inputs, outputs).predict(FEATURES, verbose=0)

    assert ropanet("none").gate is None
    said = value("sigmoid")
    np.testing.assert_array_equal(said["gate"], said["mask"])
    said = value("residual")
    np.testing.assert_allclose(said["gate"], 1 + said["mask"], rtol=1e-6)
    said = value("spatial")
    np.testing.assert_allclose(said["gate"], said["mask"].mean(-1, keepdims=True), rtol=1e-5)
    said = value("random")
    assert said["gate"].shape == FEATURES.shape and not np.allclose(said["gate"], said["mask"])


def test_a_random_gate_is_frozen() -> None:
    network = ropanet("random")
    assert not network.model.get_layer("random_mask").trainable_variables


def test_the_landmark_group_is_the_mask_and_the_transpose_convolutions() -> None:
    names = {variable.path.split("/")[-2] for variable in ropanet("sigmoid").landmark_variables}
    assert names == {"landmark_mask", "landmark_up_1", "landmark_up_2"}


def test_the_landmark_loss_is_the_cross_entropy_of_a_dense_one_hot_map() -> None:
    rng = np.random.default_rng(0)
    logits, pixel = rng.normal(size=(5, 8, 36)).astype("f4"), rng.integers(0, 36, (5, 8))
    dense = keras.losses.CategoricalCrossentropy(from_logits=True)(np.eye(36)[pixel], logits)
    assert float(LandmarkLoss()(pixel, logits)) == pytest.approx(float(dense), rel=1e-5)


def test_absent_landmarks_have_no_loss_and_no_gradient() -> None:
    logits = tf.constant(np.random.default_rng(0).normal(size=(2, 8, 9)).astype("f4"))
    pixel = np.full((2, 8), NO_PIXEL)
    pixel[0, 3] = 4
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = LandmarkLoss()(pixel, logits)
    gradient = tf.convert_to_tensor(tape.gradient(loss, logits)).numpy().copy()
    assert np.abs(gradient[0, 3]).max() > 0
    gradient[0, 3] = 0
    assert not gradient.any()
    surprise = -tf.nn.log_softmax(logits[0, 3])[4]
    assert float(loss) == pytest.approx(float(surprise) / 2, rel=1e-5)


def test_a_planned_feature_map_has_the_size_of_the_real_one() -> None:
    for name, sides in (("small", (96, 64)), ("inception_v3", (139,))):
        entry = BACKBONES[name]
        for side in sides:
            shape = load(entry.build)(side, None).output_shape
            assert shape[1:] == (entry.map_side(side), entry.map_side(side), entry.channels)
    assert BACKBONES["inception_v3"].map_side(299) == 8  # PAPER §4.3: 8 x 8 x 2048
