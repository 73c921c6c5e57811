"""The networks: shapes, gates, gradients and the landmark loss."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.models.losses import NO_PIXEL, LandmarkLoss
from bench.models.network import ModelInputs, seed_layers
from bench.systems.registry import GATES
from bench.systems.ropanet.network import build
from bench.systems.ropanet.settings import PAPER_UPSAMPLING, LandmarkSpec, RopaNet, UpsamplingStage

STAGES = (UpsamplingStage(filters=6), UpsamplingStage(filters=8))
FEATURES = np.random.default_rng(0).random((3, 4, 4, 10)).astype("f4")


def ropanet(gate: str = "sigmoid", supervision: Any = None, **settings: Any) -> Any:
    keras.utils.set_random_seed(1)
    small = {"upsampling": STAGES, "global_filters": 5, "global_kernel": 3} | settings
    return network(RopaNet(gate=gate, **small), FEATURES.shape[1:], 7, supervision)


def network(model: RopaNet, shape: tuple[int, ...], classes: int, supervision: Any = None) -> Any:
    features = keras.Input(shape)
    inputs = ModelInputs(features, features, classes)
    return build(model, supervision or LandmarkSpec(), inputs)


def groups_of(network: Any) -> dict[str, Any]:
    """Variables by the name of their group."""
    return {group.name: group.variables for group in network.groups}


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
    assert network(settings, (8, 8, 4), 5).supervision.side == 300


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
    groups = groups_of(ropanet("sigmoid"))
    names = {variable.path.split("/")[-2] for variable in groups["landmark"]}
    assert names == {"landmark_mask", "landmark_up_1", "landmark_up_2"}


def test_the_landmark_loss_is_the_cross_entropy_of_a_dense_one_hot_map() -> None:
    rng = np.random.default_rng(0)
    logits, pixel = rng.normal(size=(5, 8, 36)).astype("f4"), rng.integers(0, 36, (5, 8))
    dense = keras.losses.CategoricalCrossentropy(from_logits=True)(np.eye(36)[pixel], logits)
    assert float(LandmarkLoss()(pixel, logits)) == pytest.approx(float(dense), rel=1e-5)


def test_its_gradient_is_that_of_the_dense_loss() -> None:
    rng = np.random.default_rng(0)
    logits = tf.constant(3 * rng.normal(size=(5, 8, 36)).astype("f4"))
    pixel = rng.integers(0, 36, (5, 8))

    def gradient(loss: keras.losses.Loss, target: np.ndarray) -> np.ndarray:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = 2.0 * loss(target, logits)
        return np.asarray(tf.convert_to_tensor(tape.gradient(value, logits)))

    dense = gradient(keras.losses.CategoricalCrossentropy(from_logits=True), np.eye(36)[pixel])
    np.testing.assert_allclose(gradient(LandmarkLoss(), pixel), dense, rtol=1e-5, atol=1e-8)


def test_a_landmark_loss_is_exact_where_the_share_of_the_true_pixel_is_none() -> None:
    logits = np.zeros((1, 8, 9), "f4")
    logits[..., 4] = 1000.0
    assert float(LandmarkLoss()(np.full((1, 8), 2), logits)) == 1000.0
    assert np.isnan(float(LandmarkLoss()(np.full((1, 8), 2), logits * np.nan)))


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


def test_every_trainable_variable_is_in_one_group() -> None:
    said = ropanet()
    grouped = [id(v) for variables in groups_of(said).values() for v in variables]
    assert sorted(grouped) == sorted(id(v) for v in said.model.trainable_variables)
    assert list(groups_of(said)) == ["landmark", "head", "global", "local"]


@pytest.mark.parametrize(
    ("supervision", "landmark", "rest"),
    [
        ({"update_ratio": 2}, [1, 2, 3, 4, 5, 6, 7], [2, 4, 6]),
        ({"update_ratio": 2, "interleaving": "next_batch"}, [1, 2, 4, 5, 7], [3, 6]),
        ({"update_ratio": 1}, [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]),
        ({"update_ratio": 0}, None, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_landmark_update_ratio_says_at_which_batches_a_group_is_updated(
    supervision: dict[str, Any], landmark: list[int] | None, rest: list[int]
) -> None:
    groups = ropanet(supervision=LandmarkSpec(**supervision)).groups
    due = {group.name: [b for b in range(1, 8) if group.is_due(b)] for group in groups}
    assert due.pop("landmark", None) == landmark
    assert due == dict.fromkeys(("head", "global", "local"), rest)


def kernels(said: Any, prefix: str) -> list[tuple[int, ...]]:
    """Kernel shapes of the layers whose names open so, in order."""
    return [
        tuple(layer.kernel.shape) for layer in said.model.layers if layer.name.startswith(prefix)
    ]


def test_branch_depth_is_the_number_of_convolutions_before_the_pooling() -> None:
    assert kernels(ropanet(), "local_conv") == [] and len(kernels(ropanet(), "global_conv")) == 1
    deep = ropanet(local_depth=2, local_filters=6, local_kernel=1, global_depth=3)
    assert kernels(deep, "local_conv") == [(1, 1, 10, 6), (1, 1, 6, 6)]
    assert kernels(deep, "global_conv") == [(3, 3, 10, 5), (3, 3, 5, 5), (3, 3, 5, 5)]
    assert kernels(ropanet(local_depth=1), "local_conv") == [(3, 3, 10, 10)]
    wide = ropanet(branch_units=9, branch_activation="linear", branch_bias="he_normal")
    units = wide.model.get_layer("local_units")
    assert tuple(units.kernel.shape) == (10, 9) and units.activation is keras.activations.linear
    assert (
        np.abs(units.bias.numpy()).max()
        > 0
        == np.abs(ropanet().model.get_layer("local_units").bias.numpy()).max()
    )


def test_the_gates_depth_and_initial_bias_shape_the_mask() -> None:
    def mask_of(**settings: Any) -> np.ndarray:
        model = ropanet(**settings).model
        return keras.Model(model.inputs, model.get_layer("landmark_mask").output)(FEATURES).numpy()

    deep = ropanet(gate_depth=2)
    assert kernels(deep, "landmark_conv") == [(3, 3, 10, 10)] * 2
    names = {v.path.split("/")[-2] for v in groups_of(deep)["landmark"]}
    assert {"landmark_conv_1", "landmark_conv_2", "landmark_mask"} <= names
    assert (
        mask_of(gate_bias=4.0).mean()
        > 0.9
        > mask_of().mean()
        > 0.1
        > mask_of(gate_bias=-4.0).mean()
    )


def test_the_sparsity_penalty_is_the_weighted_mean_of_the_mask() -> None:
    said = ropanet(gate_sparsity=0.5)
    said.model(FEATURES)
    mask = keras.Model(said.model.inputs, said.model.get_layer("landmark_mask").output)(FEATURES)
    assert float(said.model.losses[0]) == pytest.approx(0.5 * mask.numpy().mean(), rel=1e-5)
    assert not ropanet().model.losses


def test_relu_before_the_pixel_softmax_cuts_negative_logits_and_their_gradient() -> None:
    linear, cut = (ropanet(landmark_activation=a).model for a in ("linear", "relu"))
    logits = linear(FEATURES)["landmarks"].numpy()
    assert (logits < 0).any()
    np.testing.assert_allclose(cut(FEATURES)["landmarks"].numpy(), np.maximum(logits, 0), rtol=1e-5)


def test_separate_steps_give_each_loss_a_gradient_of_its_own_in_the_mask() -> None:
    said = ropanet(supervision=LandmarkSpec(steps="separate"), branch_activation="linear")
    (mask, shadow), _ = said.shadows
    np.testing.assert_array_equal(mask.numpy(), shadow.numpy())
    for output, reached in (("category", shadow), ("landmarks", mask)):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(said.model(FEATURES)[output] ** 2)
        gradients = tape.gradient(total, [mask.value, shadow.value])
        found = [g is not None and float(tf.reduce_max(tf.abs(g))) > 0 for g in gradients]
        assert found == [reached is mask, reached is shadow]


def test_without_landmark_training_the_branch_is_frozen() -> None:
    said = ropanet(supervision=LandmarkSpec(update_ratio=0))
    assert "landmark" not in groups_of(said)
    assert not any("landmark" in v.path for v in said.model.trainable_variables)


def test_arms_begin_with_the_same_weights_wherever_they_have_the_same_layers() -> None:
    def begun(seed: int, **settings: Any) -> dict[str, np.ndarray]:
        said = ropanet(**settings)
        seed_layers(said.model.layers, seed)
        return {"/".join(v.path.split("/")[-2:]): v.numpy() for v in said.model.weights}

    plain, other = begun(3), begun(3, gate="random", global_depth=2)
    shared = plain.keys() & other.keys()
    assert any("landmark_up_2" in name for name in shared) and len(shared) == len(plain)
    for name in shared:
        np.testing.assert_array_equal(plain[name], other[name])
    changed = begun(4)
    assert all((plain[n] != changed[n]).any() for n in plain if n.endswith("kernel"))
    kernels_of = [v.ravel()[:4].tolist() for n, v in plain.items() if n.endswith("kernel")]
    assert len({tuple(values) for values in kernels_of}) == len(kernels_of)
