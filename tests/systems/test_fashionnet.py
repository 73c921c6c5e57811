"""FashionNet: what it says, where its local branch looks, and where its gradients go."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.models.losses import (
    NO_PLACE,
    NO_STATE,
    AttributeLoss,
    LocationLoss,
    VisibilityLoss,
)
from bench.models.network import ModelInputs
from bench.study.settings.training import TrainSpec
from bench.study.trial import TrialSpec
from bench.systems.fashionnet.settings import FashionNet, PoseSpec
from bench.systems.registry import load
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet, UpsamplingStage

CLASSES, ATTRIBUTES, CELLS = 7, 5, 8
FEATURES = np.random.default_rng(0).random((3, CELLS, CELLS, 10)).astype("f4")


def fashionnet(**settings: Any) -> Any:
    small = {
        "conv5_depth": 1, "conv5_filters": 6, "pose_units": 9, "local_units": 8,
        "global_units": 8, "fusion_units": 8, "dropout": 0.0,
    }  # fmt: skip
    spec = TrialSpec(
        model=FashionNet(**small | settings), pose=PoseSpec(), train=TrainSpec(), landmarks=None
    )
    return build(spec)


def build(spec: TrialSpec) -> Any:
    keras.utils.set_random_seed(1)
    features = keras.Input(FEATURES.shape[1:])
    counts = np.ones((2, ATTRIBUTES), int)
    inputs = ModelInputs(features, features, CLASSES, counts)
    return load(spec.model.network)(spec.model, spec.supervision, inputs)


def reached(network: Any, output: str) -> set[str]:
    """The first word of the names of all layers that a gradient of an output reaches."""
    variables = network.model.trainable_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.square(network.model(FEATURES)[output]))
    gradients = tape.gradient(total, [variable.value for variable in variables])
    return {
        variable.path.split("/")[-2].split("_")[0]
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is not None and np.abs(gradient.numpy()).max() > 0
    }


def local_input(network: Any) -> np.ndarray:
    """What the local branch's fully connected layer sees, `(n, 8, channels)`."""
    seen = keras.Model(network.model.input, network.model.get_layer("local_units").input)
    return seen(FEATURES).numpy().reshape(len(FEATURES), 8, -1)


def say(network: Any, layer: str, answer: np.ndarray) -> None:
    """Make a head answer the same for every image."""
    head = network.model.get_layer(layer)
    head.kernel.assign(np.zeros(head.kernel.shape))
    head.bias.assign(answer.ravel())


def put_landmarks(network: Any, places: np.ndarray) -> None:
    say(network, "pose_points", np.log(places / (1 - places)))


def make_visible(network: Any, visible: np.ndarray) -> None:
    states = np.zeros((8, 3))
    states[:, 0] = np.where(visible, 30.0, -30.0)
    say(network, "pose_visibility", states)


def test_it_says_category_places_visibility_and_attributes() -> None:
    said = fashionnet().model(FEATURES)
    shapes = {name: tuple(value.shape) for name, value in said.items()}
    assert shapes == {"category": (3, 7), "points": (3, 8, 2), "visibility": (3, 8, 3),
                      "attributes": (3, 5)}  # fmt: skip
    places = said["points"].numpy()
    assert (places > 0).all() and (places < 1).all()
    assert "attributes" not in fashionnet(attributes="none").model(FEATURES)


def test_moving_a_landmark_moves_what_is_pooled_at_it_and_nothing_else() -> None:
    network = fashionnet(local_window=1)
    make_visible(network, np.ones(8, bool))
    places = (np.random.default_rng(1).integers(0, CELLS, (8, 2)) + 0.5) / CELLS
    put_landmarks(network, places)
    before = local_input(network)
    column, row = (places * CELLS).astype(int).T
    np.testing.assert_allclose(before, FEATURES[:, row, column], atol=1e-3)

    places[3] = [(6 + 0.5) / CELLS, (1 + 0.5) / CELLS]
    put_landmarks(network, places)
    after = local_input(network)
    np.testing.assert_allclose(after[:, 3], FEATURES[:, 1, 6], atol=1e-3)
    others = np.arange(8) != 3
    np.testing.assert_array_equal(after[:, others], before[:, others])


@pytest.mark.parametrize("gated", ["probability", "likeliest"])
def test_what_is_predicted_invisible_is_gated_out(gated: str) -> None:
    network = fashionnet(local_visibility=gated)
    visible = np.arange(8) % 2 == 0
    make_visible(network, visible)
    seen = local_input(network)
    assert np.abs(seen[:, ~visible]).max() < 1e-6 < seen[:, visible].min()
    whole = fashionnet(local_visibility="ignored")
    make_visible(whole, visible)
    assert local_input(whole).min() > 0


def test_gradients_reach_where_they_should_and_nowhere_else() -> None:
    network = fashionnet()
    assert reached(network, "points") == {"pose"} == reached(network, "visibility")
    shared = {"pose", "local", "global", "fusion"}
    assert reached(network, "category") == shared | {"category"}
    assert reached(network, "attributes") == shared | {"attributes"}
    stopped = fashionnet(local_gradient="stopped")
    assert reached(stopped, "category") == {"local", "global", "fusion", "category"}
    assert reached(stopped, "points") == {"pose"}


@pytest.mark.parametrize("gated", ["probability", "likeliest"])
def test_the_classification_moves_places_but_visibility_only_where_it_is_a_probability(
    gated: str,
) -> None:
    network = fashionnet(local_visibility=gated)
    make_visible(network, np.ones(8, bool))
    say(network, "pose_visibility", np.array([[0.5, 0, 0]] * 8))
    heads = [network.model.get_layer(name).bias for name in ("pose_points", "pose_visibility")]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.square(network.model(FEATURES)["category"]))
    places, visibility = tape.gradient(total, [head.value for head in heads])
    assert np.abs(places.numpy()).max() > 0
    assert (visibility is not None and np.abs(visibility.numpy()).max() > 0) == (
        gated == "probability"
    )


def test_a_mask_takes_the_place_of_points() -> None:
    network = fashionnet(local="gate")
    assert network.gate.shape[1:] == (CELLS, CELLS, 10)
    assert network.model.get_layer("local_units").kernel.shape[0] == 10
    assert reached(network, "category") >= {"pose", "local"}
    variables = network.model.get_layer("pose_points").trainable_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network.model(FEATURES)["category"])
    assert tape.gradient(total, [v.value for v in variables]) == [None, None]


def ropanet(**settings: Any) -> Any:
    stages = (UpsamplingStage(filters=6), UpsamplingStage(filters=8))
    model = RopaNet(local="landmark_pooling", upsampling=stages, global_filters=5,
                    branch_activation="linear", local_window=1)  # fmt: skip
    return build(TrialSpec(model=model, landmarks=LandmarkSpec(**settings), train=TrainSpec()))


@pytest.mark.parametrize("axis_order", ["yx", "xy"])
def test_points_take_the_place_of_ropanets_mask(axis_order: str) -> None:
    network = ropanet(axis_order=axis_order)
    assert network.gate is None and not network.shadows
    assert reached(network, "landmarks") == {"landmark"}
    assert reached(network, "category") == {"landmark", "local", "global", "category"}

    # One pixel far above the rest: row 20, column 9 of 32, or the other way round.
    maps = network.model.get_layer("landmarks").output
    logits = np.zeros((3, 8, 32 * 32), np.float32)
    logits[:, :, 20 * 32 + 9] = 100.0
    seen = keras.Model([network.model.inputs[0], maps],
                       network.model.get_layer("local_units").input)  # fmt: skip
    row, column = (20, 9) if axis_order == "yx" else (9, 20)
    found = seen([FEATURES, logits]).numpy().reshape(3, 8, -1)
    y, x = (row + 0.5) / 4 - 0.5, (column + 0.5) / 4 - 0.5
    (top, left), (down, right) = (int(y), int(x)), (y % 1, x % 1)
    cells = FEATURES[:, top : top + 2, left : left + 2]
    expected = np.einsum("i,j,nijc->nc", [1 - down, down], [1 - right, right], cells)
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 8, axis=1), rtol=1e-4)


def test_places_have_a_squared_distance_on_trained_landmarks_only() -> None:
    true = np.full((2, 8, 2), NO_PLACE, np.float32)
    true[0, 0], true[0, 1] = [0.1, 0.2], [0.5, 0.5]
    said = tf.Variable(np.full((2, 8, 2), 0.5, np.float32))
    with tf.GradientTape() as tape:
        loss = LocationLoss()(true, said)
    assert float(loss) == pytest.approx((0.4**2 + 0.3**2 + 0) / 2 / 2)  # landmarks, then images
    gradient = tape.gradient(loss, said).numpy()
    assert np.abs(gradient[0, 0]).min() > 0 and not gradient[0, 2:].any() and not gradient[1].any()


def test_visibility_is_a_softmax_over_states_that_count() -> None:
    logits = np.random.default_rng(0).normal(size=(1, 8, 3)).astype("f4")
    states = np.array([[0, 1, 2, *[NO_STATE] * 5]])
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(VisibilityLoss()(states, logits)) == pytest.approx(
        float(expected(states[0, :3], logits[0, :3])), rel=1e-5
    )


def test_attributes_are_weighted_and_the_unknown_left_out() -> None:
    logits = np.array([[2.0, -1.0, 0.5]], np.float32)
    answers = np.array([[1, -1, 0]], np.int8)
    weights = np.array([[9.0, 0.5, 9.0], [3.0, 9.0, 9.0]], np.float32)
    yes = -np.log(1 / (1 + np.exp(-2.0)))
    no = -np.log(1 - 1 / (1 + np.exp(1.0)))
    loss = float(AttributeLoss(weights)(answers, logits))
    assert loss == pytest.approx((3.0 * yes + 0.5 * no) / 2, rel=1e-5)
