"""Expected best against budget by hand and by simulation; importances on known functions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.analysis.tuning import best_so_far, coordinate, expected_best, importances

SPACE = {
    "train.learning_rate": {"kind": "float", "low": 1e-4, "high": 1e-1, "scale": "log"},
    "train.batch_size": {"kind": "int", "low": 8, "high": 24, "scale": "linear"},
    "model.gate": {"kind": "choice", "values": ["sigmoid", "none"]},
}


def test_the_expected_best_is_the_mean_over_every_draw() -> None:
    scores = [0.2, 0.5, 0.5, 0.9]
    curve = expected_best(scores, "max")
    for n in (1, 2, 3):
        draws = [max(draw) for draw in itertools.product(scores, repeat=n)]
        assert curve.expected[n - 1] == pytest.approx(np.mean(draws))
    assert curve.budget.tolist() == [1, 2, 3, 4]
    assert curve.expected[0] == pytest.approx(np.mean(scores))
    assert (np.diff(curve.expected) > 0).all()


def test_ninety_of_a_hundred_searches_end_within_the_band() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=40)
    curve = expected_best(scores.tolist(), "max")
    for n in (3, 10, 30):
        best = rng.choice(scores, (4000, n)).max(axis=1)
        inside = (curve.low[n - 1] <= best) & (best <= curve.high[n - 1])
        assert 0.88 <= inside.mean() <= 1.0
        assert (best < curve.low[n - 1]).mean() <= 0.06


def test_where_less_is_better_the_curve_is_the_mirror_image() -> None:
    scores = [0.3, 1.2, 0.7]
    up, down = expected_best([-s for s in scores], "max"), expected_best(scores, "min")
    assert down.expected.tolist() == pytest.approx((-up.expected).tolist())
    assert (down.low <= down.expected).all() and (down.expected <= down.high).all()
    assert down.low.tolist() == pytest.approx((-up.high).tolist())


def test_a_proposal_that_failed_counts_as_the_worst() -> None:
    nan = float("nan")
    assert expected_best([0.1, nan, 0.4], "max").expected[0] == pytest.approx(0.2)
    assert expected_best([0.1, nan, 0.4], "min").expected[0] == pytest.approx(0.3)
    assert len(expected_best([nan, nan], "max").budget) == 0
    assert best_so_far([nan, 0.4, 0.1], "max").tolist()[1:] == [0.4, 0.4]
    assert best_so_far([nan, 0.4, 0.1], "min").tolist()[1:] == [0.4, 0.1]


def test_the_setting_that_decides_the_score_is_the_important_one() -> None:
    rng = np.random.default_rng(0)
    points = [
        {
            "train.learning_rate": float(10 ** rng.uniform(-4, -1)),
            "train.batch_size": int(rng.integers(8, 25)),
            "model.gate": str(rng.choice(["sigmoid", "none"])),
        }
        for _ in range(40)
    ]
    scores = [-((np.log10(p["train.learning_rate"]) + 2) ** 2) for p in points]
    found = importances(points, scores, SPACE)
    assert found[0].path == "train.learning_rate" and found[0].explained > 0.8
    assert found[0].mean > 20 * max(importance.mean for importance in found[1:])
    assert importances(points[:7], scores[:7], SPACE) == []
    assert importances(points, [0.5] * 40, SPACE) == []


def test_a_value_has_its_place_along_its_dimension() -> None:
    rate = SPACE["train.learning_rate"]
    assert coordinate(rate, 1e-4) == 0 and coordinate(rate, 1e-1) == pytest.approx(1)
    assert coordinate(rate, 1e-2) == pytest.approx(2 / 3)
    assert coordinate(SPACE["train.batch_size"], 16) == 0.5
    assert [coordinate(SPACE["model.gate"], v) for v in ("sigmoid", "none", None)] == [0, 1, -1]
