"""The tables of a comparison's inside, made from a store of finished trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis.arms import Arm
from bench.analysis.load import load_arms
from bench.analysis.mcnemar import image_effects
from bench.analysis.tails import tail_effects
from bench.report.drawing import draw
from bench.report.figures.gains import class_gains
from bench.report.tables.comparisons import images_table, tails_table
from bench.store.record import Landmarks, Predictions, TrialRecord
from bench.store.trials import Store
from tests.store.recorded import recorded

COUNTS = [50, 30, 12, 5, 3]
NAMES = ["tee", "dress", "skirt", "kaf|tan", "never tested"]
TESTED = np.repeat([0, 1, 2, 3], [40, 24, 10, 6])
SEEDS = 6


def record(identity: str, skills: list[float], seed: int, prefix: str = "") -> TrialRecord:
    """A trial that is right on about a share of each class's images."""
    rng = np.random.default_rng([seed, int(1000 * sum(skills))])
    n = len(TESTED)
    right = np.random.default_rng(0).random(n) < np.array(skills)[TESTED] + rng.normal(0, 0.02)
    said = np.where(right, TESTED, (TESTED + 1) % len(COUNTS))
    probabilities = 0.8 * np.eye(len(COUNTS), dtype="f4")[said] + 0.04
    images = np.array([f"{prefix}{i}.jpg" for i in range(n)], dtype=object)
    places = rng.random((n, 8, 2)).astype("f4")
    error = np.float32(0.1 - 0.05 * sum(skills) / len(skills))
    return TrialRecord(
        id=identity,
        spec={},
        data={"train_counts": COUNTS, "class_names": NAMES, "images": {"train": 100, "test": n}},
        metrics={},
        history=[(1, "train", "loss", 1.0)],
        predictions=Predictions(images, TESTED, probabilities),
        landmarks=Landmarks(images, np.zeros((n, 8), "i1"), places, places + error),
    )


@pytest.fixture
def arms(tmp_path: Path) -> list[Arm]:
    """A control, an arm better on rare classes, and one tested on other images."""
    store = Store(tmp_path / "results")
    plain: dict[str, dict[str, str]] = {}
    for name, skills, prefix in (
        ("gate=sigmoid", [0.7, 0.6, 0.5, 0.2], ""),
        ("gate=none", [0.9, 0.8, 0.6, 0.9], ""),
        ("other | images", [0.7, 0.6, 0.5, 0.2], "x/"),
    ):
        trials = {str(seed): f"{len(plain)}{seed}" for seed in range(SEEDS)}
        for seed, identity in trials.items():
            store.write(record(identity, skills, int(seed), prefix))
        plain[name] = trials
    return load_arms(store, recorded("gates", plain))


def test_a_row_a_group_with_recall_of_both_arms_and_their_difference(arms: list[Arm]) -> None:
    table = tails_table("gates.tails", arms, "gate=sigmoid")
    assert table is not None
    raw = table.raw()
    assert raw["kind of class"].tolist() == ["head", "middle", "tail"]
    assert raw["classes"].tolist() == [1, 2, 1] and raw["not tested"].tolist() == [0, 0, 1]
    assert raw["training images"].tolist() == [50, 42, 8]
    assert raw["test images"].tolist() == [40, 34, 6]
    difference = raw["recall % (macro) mean"] - raw["recall % of the control mean"]
    assert raw["difference (points) mean"].tolist() == pytest.approx(difference.tolist())
    found = tail_effects(arms, "gate=sigmoid")
    assert raw["p (Holm)"].tolist() == pytest.approx([effect.p_holm for effect in found])
    assert "left out: never tested." in table.note
    assert "not compared by them: other | images." in table.note


def test_images_and_seeds_stand_side_by_side(arms: list[Arm]) -> None:
    table = images_table("gates.images", arms, "gate=sigmoid")
    assert table is not None
    raw = table.raw().set_index(["arm", "metric"])
    row = raw.loc[("gate=none", "top-1")]
    (effect,) = image_effects(arms, "gate=sigmoid")
    assert row["only arm right"] == effect.arm_only > row["only control right"]
    assert row["gained"] == effect.gained and row["lost"] == effect.lost
    assert row["seeds with p < 0.05"] == sum(seed.p < 0.05 for seed in effect.by_seed)
    assert row["seeds won % mean"] == 100 and row["seeds won % low"] == pytest.approx(
        54.07, abs=0.01
    )
    # Landmark error is no matter of right or wrong, and lower is better.
    landmarks = raw.loc[("gate=none", "NE")]
    assert pd.isna(landmarks["only arm right"]) and landmarks["seeds won % mean"] == 100
    # Other images: seeds can be compared, images cannot.
    elsewhere = raw.loc[("other | images", "top-1")]
    assert pd.isna(elsewhere["gained"]) and elsewhere["paired seeds"] == SEEDS
    assert "100.0 [54.1, 100.0]" in table.shown()[0]


def test_gains_by_class_leave_out_what_was_not_tested(arms: list[Arm], tmp_path: Path) -> None:
    study = recorded("gates", {arm.name: {} for arm in arms})
    (figure,) = draw(class_gains, study, arms)
    found = figure.data.set_index(["arm", "class"])
    assert arms[2].name not in found.index.get_level_values("arm")  # tested on other images
    of_first = found.loc[arms[1].name]
    assert of_first.index.tolist() == [name for name in NAMES if name != "never tested"]
    assert of_first.loc["kaf|tan", "difference"] > 30
    figure.write(tmp_path)
    assert "kaf|tan" in (tmp_path / "gates.class_gains.svg").read_text()
    assert not list(draw(class_gains, study, arms[:1]))


def test_tables_are_written_escaped_with_words_to_the_left(arms: list[Arm], tmp_path: Path) -> None:
    for table in (
        tails_table("tails", arms, "gate=sigmoid"),
        images_table("images", arms, "gate=sigmoid"),
    ):
        assert table is not None
        _, markdown, latex, compact = (path.read_text() for path in table.write(tmp_path))
        assert "\\toprule" in latex and "\\toprule" in compact
        assert "other | images" not in markdown and "kaf|tan" not in markdown
        words = {c for c, wordy in zip(table.columns, table.wordy(), strict=True) if wordy}
        assert words <= {"arm", "row", "metric", "kind of class"}


def test_without_anything_to_compare_there_is_no_table(arms: list[Arm]) -> None:
    assert tails_table("t", arms[:1], "gate=sigmoid") is None
    assert tails_table("t", [arms[0], arms[2]], "gate=sigmoid") is None
    assert images_table("i", arms, "no such arm") is None
