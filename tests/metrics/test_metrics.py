"""Metrics against hand calculations and Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from bench.data.manifest import Manifest
from bench.metrics.catalogue import classification, scored
from bench.metrics.classification import ranks, scored_rows
from bench.metrics.gates import GateStatistics
from bench.metrics.landmarks import mean_position_error, normalised_error


def random_answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (200, 9))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities.astype("f4"), rng.integers(0, 9, 200)


def test_metrics_equal_those_of_keras() -> None:
    probabilities, labels = random_answers()
    scores = classification(probabilities, labels)
    one_hot = np.eye(9)[labels]
    for name, metric, truth in (
        ("top_3", keras.metrics.SparseTopKCategoricalAccuracy(3), labels),
        ("top_5", keras.metrics.SparseTopKCategoricalAccuracy(5), labels),
        ("accuracy", keras.metrics.SparseCategoricalAccuracy(), labels),
        ("precision_pooled", keras.metrics.Precision(), one_hot),
        ("recall_pooled", keras.metrics.Recall(), one_hot),
        ("loss", keras.metrics.SparseCategoricalCrossentropy(), labels),
    ):
        metric.update_state(truth, probabilities)
        assert scores[name] == pytest.approx(float(metric.result()), rel=1e-5), name


def test_macro_averages_by_hand() -> None:
    answers = np.array([0, 0, 1, 1, 2])
    labels = np.array([0, 1, 1, 1, 0])  # class 2 does not occur, class 0 is right 1 of 2
    scores = classification(np.eye(3)[answers], labels)
    assert scores["precision_macro"] == pytest.approx((1 / 2 + 2 / 2) / 2)
    assert scores["recall_macro"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_ties_are_broken_by_class_order_and_gain_nothing() -> None:
    assert ranks(np.full((2, 4), 0.25), np.array([0, 3])).tolist() == [0, 3]


def test_precision_is_not_a_number_where_nothing_is_answered() -> None:
    assert np.isnan(classification(np.full((2, 4), 0.25), np.array([0, 3]))["precision_pooled"])


def test_the_landmark_error_counts_visible_landmarks_only() -> None:
    true = np.full((2, 8, 2), np.nan)
    true[:, 0] = [0.5, 0.5]
    true[0, 1] = [0.1, 0.1]
    visibility = np.full((2, 8), -1)
    visibility[:, 0] = 0
    visibility[0, 1] = 1  # occluded
    predicted = np.zeros((2, 8, 2))
    predicted[0, 0], predicted[1, 0] = [0.8, 0.9], [0.5, 0.5]
    assert normalised_error(predicted, true, visibility) == pytest.approx(0.25)
    train = np.full((3, 8, 2), np.nan)
    train[:, 0] = [[0.5, 0.1], [0.5, 0.3], [0.5, 0.5]]
    seen = np.where(np.isfinite(train[..., 0]), 0, -1)
    assert mean_position_error(train, seen, true, visibility) == pytest.approx(0.2)


def test_the_last_batch_is_what_is_left_over_or_a_whole_one() -> None:
    assert scored_rows(10, "last_batch", 4) == slice(8, 10)
    assert scored_rows(8, "last_batch", 4) == slice(4, 8)
    assert scored_rows(10, "whole_split", 4) == slice(0, 10)
    right = np.eye(3)[[0, 0, 0, 0, 1]]
    labels = np.array([0, 0, 0, 1, 1])
    evaluation = {"protocol": "last_batch", "precision_recall": "pooled"}
    last = scored(right, labels, evaluation, 2)
    assert last["accuracy"] == 1.0 and scored(right, labels, {}, 2)["accuracy"] == 0.8
    assert "recall_pooled" in last and "recall_macro" not in last


def test_gate_statistics_by_hand_whatever_the_batches() -> None:
    mask = np.array([0.05, 0.5, 0.95, 1.0]).reshape(4, 1, 1, 1)
    features = np.array([2.0, 2.0, 0.0, 1.0]).reshape(4, 1, 1, 1)
    whole, halves = GateStatistics(), GateStatistics()
    whole.add(mask, features)
    halves.add(mask[:1], features[:1])
    halves.add(mask[1:], features[1:])
    said = whole.result()
    assert said == pytest.approx(halves.result())
    assert said["gate_mean"] == pytest.approx(0.625)
    assert (said["gate_below_0.1"], said["gate_above_0.9"]) == (0.25, 0.5)
    assert said["gate_energy"] == pytest.approx((0.1**2 + 1 + 0 + 1) / 9)


def test_a_manifest_knows_whether_it_has_landmarks() -> None:
    nothing = np.full((1, 8), -1, np.int8)
    fields = {name: np.zeros(1) for name in ("paths", "category", "clothes_type", "product")}
    manifest = Manifest("folder", None, **fields, landmarks=np.zeros((1, 8, 2)), visibility=nothing,  # type: ignore[arg-type]
                        image_size=np.zeros((1, 2)), partition=np.array([-1]),
                        class_names=("a",), fingerprint="")  # fmt: skip
    assert not manifest.has_landmarks and not manifest.has_partition
