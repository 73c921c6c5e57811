"""Match R-CNN's network: what each loss trains, and a trial from its data to its record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.analysis.arms import Arm
from bench.analysis.load import load_arms
from bench.data.deepfashion2.phantom import generate_deepfashion2
from bench.data.sources import open_source
from bench.data.split import split_of
from bench.errors import BenchError
from bench.metrics.precision import average_precision
from bench.metrics.retrieval import chance, ranks
from bench.models.network import BuiltModel, ModelInputs
from bench.report.figures.detections import detected, precision_by_recall
from bench.report.tables.detections import detection_tables, subsets_table
from bench.store.outcomes import stored_outcomes
from bench.store.record import TrialRecord
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from bench.study.config_errors import known_settings
from bench.systems.ledger import decisions
from bench.systems.match_rcnn.network import build
from bench.systems.match_rcnn.settings import MatchRCNN
from bench.train.loop import TrialContext, run_trial
from tests.report.test_report import study
from tests.specs import spec_of
from tests.train.smoke import prepare

STREAMS = {
    "proposals": ("proposal_",),
    "boxes": ("box_",),
    "masks": ("mask_convolution", "mask_up", "masks_out"),
    "landmarks": ("landmark_convolution", "landmarks_out"),
    "matching": ("match_",),
    "pyramid": ("lateral_", "level_"),
}
"""Part of the network -> how its layers' names begin."""

TRAINED_BY = {
    "objectness": {"proposals", "pyramid"},
    "proposal_boxes": {"proposals", "pyramid"},
    "classes": {"boxes", "pyramid"},
    "boxes": {"boxes", "pyramid"},
    "masks": {"masks", "pyramid"},
    "landmarks": {"landmarks", "pyramid"},
    "pairs": {"matching", "masks", "pyramid"},  # the mask stream feeds the match network
}
"""Loss -> the parts that it trains."""


LEARNS: dict[str, Any] = {
    "model__backbone__input_size": 96, "model__channels": 32, "model__box_units": 64,
    "model__proposals_before": 50, "model__proposals": 30, "model__regions": 16,
    "model__candidates": 50, "model__detections": 5, "model__mask_filters": 16,
    "model__match_features": ("class",), "model__match_filters": 32,
    "model__match_last_filters": 64, "model__match_units": 32,
    "train__epochs": 14, "train__batch_size": 16, "train__learning_rate": 3e-3,
}  # fmt: skip
"""The least that finds garments in their images and in shops, in three quarters of a minute."""


@pytest.fixture(scope="module")
def phantom2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deepfashion2") / "phantom"
    return generate_deepfashion2(root, images=480, seed=0, workers=1)


@pytest.fixture(scope="module")
def context(phantom2: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    return TrialContext(open_source(phantom2), tmp_path_factory.mktemp("match_rcnn"))


@pytest.fixture(scope="module")
def record(context: TrialContext) -> TrialRecord:
    trial = spec_of("match_rcnn", **LEARNS)
    prepare(context, trial)
    return run_trial(trial, context)


@pytest.fixture(scope="module")
def network() -> BuiltModel:
    keras.utils.set_random_seed(0)
    settings = spec_of("match_rcnn").model
    assert isinstance(settings, MatchRCNN)
    maps = keras.Input((2, 2, 1408), name="features")
    return build(settings, None, ModelInputs(maps, maps, 13))


def batch() -> dict[str, np.ndarray]:
    """A user's and a shop's image of the same vest, in the network's pixels."""
    rng = np.random.default_rng(0)
    masks, points = np.zeros((2, 3, 32, 32), np.float32), np.zeros((2, 3, 25, 3), np.float32)
    masks[:, 0, 5:28, 5:28] = 1
    points[:, 0, :15] = (32, 32, 2)
    return {
        "features": rng.normal(size=(2, 2, 2, 1408)).astype(np.float32),
        "boxes": np.tile(np.float32([[10, 10, 56, 56], [0] * 4, [0] * 4]), (2, 1, 1)),
        "category": np.tile(np.int32([4, -1, -1]), (2, 1)),
        "masks": masks,
        "points": points,
        "identity": np.tile(np.int32([7, -1, -1]), (2, 1)),
        "domain": np.int32([0, 1]),
    }


def parts_of(gradients: Any, variables: Any) -> Iterator[str]:
    """The parts of the network that some gradients reach."""
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is not None and np.abs(np.asarray(gradient)).max() > 0:
            (part,) = (part for part, begins in STREAMS.items() if variable.path.startswith(begins))
            yield part


def test_each_loss_trains_its_stream_and_the_pyramid_and_nothing_else(network: BuiltModel) -> None:
    model = network.model
    variables = model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        losses = {name: loss[0] for name, loss in model(batch(), training=True).items()}
    assert set(losses) == set(TRAINED_BY) == set(network.supervision.losses())
    for name, loss in losses.items():
        assert np.isfinite(loss) and loss > 0, name
        found = tape.gradient(loss, [v.value for v in variables])
        assert set(parts_of(found, variables)) == TRAINED_BY[name], name


def test_a_step_trains_every_variable(network: BuiltModel) -> None:
    model = network.model
    before = [np.array(v) for v in model.trainable_variables]
    model.compile(
        keras.optimizers.SGD(0.1), loss={n: f for n, (f, _) in network.supervision.losses().items()}
    )
    model.run_eagerly = True
    model.train_on_batch(batch(), {name: np.zeros(2, np.float32) for name in TRAINED_BY})
    still = [
        variable.path
        for variable, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(np.array(variable), old)
    ]
    assert not still


def test_a_trial_detects_and_its_record_says_what_it_scores(
    record: TrialRecord, context: TrialContext, tmp_path: Path
) -> None:
    found = record.detections
    assert found is not None and len(found.truth) == len(found.images) == 144
    assert record.data["images"] == {"train": 288, "val": 144, "test": 144}
    garments = sum(map(len, found.truth))
    assert len(record.predictions.labels) == garments
    assert sum(record.data["train_counts"]) > 288  # garments, not images
    for kind in ("box", "mask", "landmark", "landmark_all"):
        precision = average_precision(found, kind)  # type: ignore[arg-type]
        assert {f"{kind}_{at}": value for at, value in precision.items()} == {
            f"{kind}_{at}": record.metrics[f"{kind}_{at}"] for at in precision
        }
    there = found.scores > 0
    assert there.any() and (found.boxes[there] >= 0).all()
    assert (found.boxes[there].max(axis=0) <= np.tile(found.sizes.max(axis=0), 2)).all()
    losses = {name for _, split, name, _ in record.history if split == "train"}
    assert {f"{name}_loss" for name in TRAINED_BY} <= losses

    Store(tmp_path).write(record)
    again = Store(tmp_path).read(record.id)
    assert again.detections is not None and again.detections.truth == found.truth
    for name in ("boxes", "scores", "category", "masks", "points", "vectors", "rank_weights"):
        np.testing.assert_array_equal(getattr(again.detections, name), getattr(found, name))
    np.testing.assert_array_equal(ranks(again.detections), stored_outcomes(again).retrieval_ranks)


def test_garments_are_found_and_found_again_beyond_chance(record: TrialRecord) -> None:
    assert record.metrics["box_ap50"] > 0.4 and record.metrics["mask_ap50"] > 0.3
    assert record.detections is not None
    by_chance = chance(record.detections, ranks(record.detections), 5)
    assert record.metrics["retrieval_top_5"] > 2 * by_chance > 0


@pytest.fixture(scope="module")
def measured(
    record: TrialRecord, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StudyRecord, list[Arm]]:
    """A study of that trial, and its arm as read from a store."""
    store = Store(tmp_path_factory.mktemp("store"))
    store.write(record)
    shown = study("detected", {"mask": {"0": record.id}})
    return shown, load_arms(store, shown)


def test_the_report_has_what_is_stored_beside_chance_and_quoted_figures(
    record: TrialRecord, measured: tuple[StudyRecord, list[Arm]]
) -> None:
    shown, arms = measured
    assert all(
        arms[0].trials[0].metrics[k] == pytest.approx(v, nan_ok=True)
        for k, v in record.metrics.items()
    )
    detections, retrieval = detection_tables(shown, arms)
    here, released, whole = detections.rows
    assert here["box AP50 %"].estimate.mean == pytest.approx(record.metrics["box_ap50"], rel=1e-12)
    assert (released["box AP %"].value, whole["box AP %"].value) == (63.8, 66.7)
    assert released["source"].startswith("quoted: Ge et al.")
    assert (
        retrieval.rows[0]["chance of top-20 %"].estimate.mean
        == record.metrics["retrieval_chance_20"]
    )
    by_grade = subsets_table(shown, arms)
    assert by_grade is not None
    scales = [row["garments"] for row in by_grade.rows if row["row"].startswith("scale")]
    assert sum(scales) == len(record.predictions.labels)


def test_figures_show_what_was_detected_and_found_again(
    record: TrialRecord, measured: tuple[StudyRecord, list[Arm]]
) -> None:
    shown, arms = measured
    curves = precision_by_recall(shown, arms)
    assert curves is not None
    area = curves.data.groupby("of")["precision"].mean()
    assert area["boxes"] == pytest.approx(record.metrics["box_ap50"])
    assert area["visible landmarks"] == pytest.approx(record.metrics["landmark_ap50"])

    images, again = detected(shown, arms)
    assert set(images.data["shown as"]) <= {"right", "wrong", "missed"}
    assert "right" in set(images.data["shown as"]) and images.data["image"].nunique() <= 8
    first = again.data[again.data["shown as"] == "right"].groupby("asked")["rank"].min()
    ranks_of = again.data.groupby("asked")["rank of first right"].first()
    assert len(ranks_of) == 4 and (first == ranks_of[first.index]).all()
    assert (ranks_of[ranks_of.index.difference(first.index)] > 5).all()


def test_the_figures_preset_has_the_figures_match_network_at_every_scale() -> None:
    for profile in ("smoke", "laptop", "paper"):
        drawn, usual = (
            spec_of(f"match_rcnn{end}", profile).model for end in ("_ropanet_figure", "")
        )
        assert isinstance(drawn, MatchRCNN) and isinstance(usual, MatchRCNN)
        assert (drawn.match_convolutions, drawn.match_score) == (2, "distance")
        same = {"match_convolutions": 4, "match_score": "learned_from_distance"}
        assert drawn.model_copy(update=same) == usual
    # Unless it is set, the network has the published widths.
    published = spec_of("match_rcnn", "paper").model
    assert isinstance(published, MatchRCNN) and sum(published.landmark_counts) == 294
    assert (published.channels, published.landmark_filters, published.regions) == (256, 512, 512)


def test_every_open_decision_names_real_settings() -> None:
    known = known_settings()
    rows = decisions()["match_rcnn"]
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
    assert {setting for row in rows for setting in row.settings} <= known


def test_systems_of_garments_and_of_images_need_their_own_data(
    context: TrialContext, phantom: Path
) -> None:
    with pytest.raises(BenchError, match="trained on one category an image, and this data has sev"):
        split_of(spec_of("ropanet_baseline"), context.manifest)
    with pytest.raises(BenchError, match="trained on several garments an image, and this data has"):
        split_of(spec_of("match_rcnn"), open_source(phantom))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model__backbone__name": "efficientnet_lite0"}, "maps of three strides or more"),
        ({"model__backbone__input_size": 80}, "multiple of 32"),
        ({"model__regions": 13}, "no more than model.proposals"),
        ({"model__match_features": ["mask", "mask"]}, "names one twice"),
        ({"train__balancing": "focal"}, "would ignore train.balancing"),
        ({"eval__protocol": "last_batch"}, "would ignore eval.protocol"),
    ],
)
def test_what_cannot_be_or_would_be_ignored_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spec_of("match_rcnn", **changes)
