"""What each setting of a trial changes in its batches, its weights and its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.sources import open_source
from bench.data.split import split_of
from bench.store.features import FeatureStore, feature_key
from bench.store.record import TrialRecord
from bench.study.trial import TrialSpec, trial_id
from bench.systems.registry import BALANCING, load
from bench.systems.ropanet.supervision import LandmarkSupervision
from bench.train.batches import Examples, Source, TrainingBatches
from bench.train.loop import TrialContext, run_trial
from tests.train.smoke import prepare, same, smoke_spec


@pytest.fixture(scope="module")
def context(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    return TrialContext(open_source(phantom), tmp_path_factory.mktemp("loop"))


def spec(preset: str = "ropanet", **settings: Any) -> TrialSpec:
    return smoke_spec(preset, epochs=1, **settings)


def trained(context: TrialContext, trial: TrialSpec) -> TrialRecord:
    prepare(context, trial)
    return run_trial(trial, context)


def history(record: TrialRecord, metric: str, split: str = "train") -> list[float]:
    return [v for _, s, m, v in record.history if (s, m) == (split, metric)]


def test_the_same_trial_gives_the_same_bytes(context: TrialContext) -> None:
    one, other = (trained(context, spec()) for _ in range(2))
    np.testing.assert_equal(one.metrics, other.metrics)  # NaN equals NaN here
    assert one.history == other.history
    np.testing.assert_array_equal(one.predictions.probabilities, other.predictions.probabilities)
    another = trained(context, spec(seed=1))
    assert another.id != one.id and another.metrics != one.metrics
    np.testing.assert_array_equal(another.predictions.images, one.predictions.images)


def test_a_seed_changes_what_vary_names_and_nothing_else(context: TrialContext) -> None:
    def beginning(**settings: Any) -> np.ndarray:
        return trained(context, spec(**slow, **settings)).predictions.probabilities

    # So slow that the predictions are still those of the initial weights.
    slow = {"preset": "ropanet_baseline", "train__learning_rate": 1e-9}
    first = beginning()
    np.testing.assert_allclose(beginning(vary=["order"], seed=1), first, atol=1e-5)
    for vary in (["weights"], ["weights", "order"]):
        assert np.abs(beginning(vary=vary, seed=1) - first).max() > 1e-3
    fast = {"preset": "ropanet_baseline", "seed": 1}
    lost = {
        history(trained(context, spec(**fast, vary=vary)), "loss")[0]
        for vary in (["weights"], ["order"], ["weights", "order"])
    }
    assert (
        len(lost) == 3
    )  # a seed that keeps the order, or the weights, is another than one of both


def test_with_sampling_each_seed_has_images_of_its_own_and_arms_share_them(
    context: TrialContext,
) -> None:
    drawn = {"preset": "ropanet_baseline", "vary": ["sampling"], "data__train_size": 48,
             "data__test_size": 24}  # fmt: skip
    records = [trained(context, spec(**drawn, seed=seed)) for seed in (0, 1)]
    images = [set(record.predictions.images.tolist()) for record in records]
    assert images[0] != images[1] and len(images[0]) == len(images[1]) == 24
    other = trained(context, spec(**drawn, seed=1, train__learning_rate=0.01))
    np.testing.assert_array_equal(other.predictions.images, records[1].predictions.images)
    usual = trained(context, spec(**(drawn | {"vary": ["weights", "order"]})))
    same(usual, records[0])  # seed 0 is seed 0, whatever varies


def test_without_landmark_training_there_is_no_landmark_loss_and_no_step(
    context: TrialContext,
) -> None:
    without = trained(context, spec(landmarks__update_ratio=0))
    assert history(without, "landmarks_loss") == [] and without.landmarks is not None
    unweighted = trained(context, spec(landmarks__weight=0.0))
    assert len(history(unweighted, "landmarks_loss")) == 1
    assert without.id != unweighted.id and without.metrics != unweighted.metrics


def test_every_setting_of_the_supervision_changes_what_is_learnt(
    context: TrialContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Answered a batch at a time, the loss is a mean of several float32: it shows less of a change.
    monkeypatch.setattr("bench.train.batches.ANSWERED_BYTES", 0)
    changes = {
        "landmarks__update_ratio": 3, "landmarks__interleaving": "next_batch",
        "landmarks__weight": 0.1, "landmarks__steps": "separate", "landmarks__counters": "shared",
        "landmarks__trained_channels": 4, "landmarks__trained_visibility": "every",
        "landmarks__absent": "origin", "landmarks__channels": "position",
        "landmarks__axis_order": "xy", "landmarks__rescaling": "none",
        "landmarks__target": "first_pixel", "model__landmark_activation": "relu",
        "model__branch_bias": "he_normal", "model__gate_sparsity": 1.0, "train__batch_size": 4,
    }  # fmt: skip
    control = trained(context, spec())
    lost = {control.metrics["landmark_loss"]: "control"}
    for name, value in changes.items():
        record = trained(context, spec(**{name: value}))
        found = record.metrics["landmark_loss"]
        assert found not in lost, f"{name} does what {lost[found]} does"
        lost[found] = name


@pytest.mark.parametrize("rule", [name for name in BALANCING if name != "none"])
def test_every_balancing_rule_changes_what_is_learnt(context: TrialContext, rule: str) -> None:
    plain = trained(context, spec("ropanet_baseline"))
    balanced = trained(context, spec("ropanet_baseline", train__balancing=rule))
    assert balanced.metrics["loss"] != plain.metrics["loss"]
    assert len(history(balanced, "cross_entropy", "val")) == 1
    other = spec("ropanet_baseline", train__balancing=rule, train__balancing_strength=0.25)
    assert trained(context, other).metrics["loss"] != balanced.metrics["loss"]
    usual = spec(
        "ropanet_baseline",
        train__balancing=rule,
        train__balancing_strength=BALANCING[rule].strength,
    )
    assert trial_id(usual, "f") == balanced_id(rule)


def balanced_id(rule: str) -> str:
    return trial_id(spec("ropanet_baseline", train__balancing=rule), "f")


def batches_of(context: TrialContext, trial: TrialSpec) -> TrainingBatches:
    prepare(context, trial)
    assert trial.train is not None and trial.landmarks is not None
    backbone, arithmetic = trial.model.feature_extractor, trial.train.arithmetic
    assert backbone is not None
    key = feature_key(backbone, context.manifest.fingerprint, arithmetic)
    rows = split_of(trial, context.manifest).train
    counts = np.bincount(context.manifest.category[rows], minlength=50)
    balance = load(BALANCING[trial.train.balancing].build)(counts, trial.train.strength)
    source = Source(FeatureStore(context.cache, key).reader())
    supervision = LandmarkSupervision(trial.landmarks, 16)
    examples = Examples(source, context.manifest, trial.train.batch_size, supervision)
    return TrainingBatches(examples, rows, seed=0, balance=balance, augmentation=None)


def test_weights_go_to_the_classification_alone_and_sampling_changes_the_batches(
    context: TrialContext,
) -> None:
    _, targets, weights = batches_of(context, spec(train__balancing="class_weights"))[0]
    assert (weights["landmarks"] == 1).all() and len(np.unique(weights["category"])) > 1
    rarest = weights["category"].argmax()
    commonest = np.bincount(targets["category"]).argmax()
    assert targets["category"][rarest] != commonest

    def shares(rule: str) -> np.ndarray:
        batches = batches_of(context, spec(train__balancing=rule))
        labels = np.concatenate([batches[i][1]["category"] for i in range(batches.num_batches)])
        return np.bincount(labels, minlength=50) / len(labels)

    plain, sampled = shares("none"), shares("over_sampling")
    assert sampled.max() < plain.max() and (sampled > 0).sum() <= (plain > 0).sum()


def test_an_epoch_takes_every_image_once_in_a_new_order(context: TrialContext) -> None:
    batches = batches_of(context, spec())
    assert sorted(batches._order.tolist()) == list(range(96))
    first = batches._order.tolist()
    batches.on_epoch_end()
    assert batches._order.tolist() != first


def test_a_trained_backbone_learns_from_augmented_pixels(context: TrialContext) -> None:
    trainable = {"train__learning_rate": 1e-3, "train__augmentation": {"flip": True, "crop": 0.2}}
    whole = trained(context, spec(model__backbone__trainable="all", **trainable))
    part = trained(context, spec(model__backbone__trainable=2, **trainable))
    plain = trained(context, spec(model__backbone__trainable="all", train__learning_rate=1e-3))
    losses = {record.metrics["loss"] for record in (whole, part, plain)}
    assert len(losses) == 3
    assert whole.environment["parameters"] > trained(context, spec()).environment["parameters"]
    assert whole.landmarks is not None and np.isfinite(whole.metrics["gate_energy"])


def test_the_best_epochs_weights_are_those_of_the_lowest_validation_loss(
    context: TrialContext,
) -> None:
    common = {"train__epochs": 4, "train__learning_rate": 0.5, "train__optimizer": "sgd"}
    last = trained(context, spec("ropanet_baseline", **common))
    best = trained(context, spec("ropanet_baseline", train__selection="best", **common))
    losses = history(last, "loss", "val")
    assert history(best, "loss", "val") == losses
    lowest = int(np.argmin(losses)) + 1
    shorter = trained(context, spec("ropanet_baseline", **common | {"train__epochs": lowest}))
    np.testing.assert_array_equal(best.predictions.probabilities, shorter.predictions.probabilities)


def test_the_last_batch_protocol_scores_the_last_images_alone(context: TrialContext) -> None:
    record = trained(context, spec("ropanet_baseline", eval__protocol="last_batch"))
    said = record.predictions
    assert len(said.labels) == 64
    last = said.probabilities[32:].argmax(axis=1) == said.labels[32:]
    assert record.metrics["accuracy"] == pytest.approx(last.mean())
