"""What the seed does: the spread between seeds with its interval, and seeds that collapsed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.analysis.arms import Arm
from bench.analysis.stability import stability
from bench.report.tables.backbones import backbones_table
from bench.report.tables.stability import stability_table
from tests.analysis.made import trial


def seed(right: int, answered: list[int]) -> object:
    """A seed that has so many of ten images right, and answers them with these classes."""
    made = trial(
        np.array([0] * right + [1] * (10 - right)),
        {"accuracy": right / 10},
        labels=[0] * 4 + [1] * 3 + [2] * 3,
    )
    return replace(made, outcomes=replace(made.outcomes, predicted=np.array(answered)))


def arm(name: str, *seeds: object, against: str | None = None) -> Arm:
    return Arm(name, {}, against, dict(enumerate(seeds)), len(seeds), {})  # type: ignore[arg-type]


VARIED = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_the_spread_has_a_chi_squared_interval_and_a_collapsed_seed_is_named() -> None:
    found = stability(arm("a", seed(8, VARIED), seed(4, [0] * 10), seed(6, VARIED)))
    assert found.spread.mean == pytest.approx(0.2)
    low, high = 0.2 * np.sqrt(2 / stats.chi2.isf([0.025, 0.975], 2))
    assert (found.spread.low, found.spread.high) == pytest.approx((low, high))
    assert found.collapsed == (1,) and found.commonest == 0.4


def test_the_interval_of_the_spread_holds_the_truth() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        made = [replace(seed(5, VARIED), metrics={"accuracy": v})  # type: ignore[type-var]
                for v in rng.normal(0.7, 0.02, 6)]  # fmt: skip
        spread = stability(arm("a", *made)).spread
        held += spread.low <= 0.02 <= spread.high
    assert 0.92 <= held / 400 <= 0.98


def test_one_seed_has_no_spread_and_no_arm_no_table() -> None:
    assert np.isnan(stability(arm("a", seed(8, VARIED))).spread.mean)
    assert stability_table("s", [arm("a")]) is None
    table = stability_table("s", [arm("a", seed(8, VARIED), seed(4, [0] * 10))])
    assert table is not None and table.rows[0]["seeds collapsed"] == 1
    assert (table.rows[0]["lowest seed %"], table.rows[0]["commonest class %"]) == (40.0, 40.0)


def test_backbones_are_compared_in_cost_where_arms_differ_in_them() -> None:
    def on(name: str, **settings: object) -> Arm:
        backbone = {"name": name, "weights": "imagenet", "input_size": None} | settings
        about = {"spec": {"model": {"backbone": backbone}}, "timings": {}, "data": {},
                 "environment": {"backbone_images_per_second": 10.0}}  # fmt: skip
        return arm(name, replace(seed(8, VARIED), about=about))  # type: ignore[type-var]

    one, half = on("efficientnet_lite0"), on("efficientnet_lite0", input_size=112)
    assert backbones_table("s", [one, one]) is None
    table = backbones_table("s", [one, half, on("a plug-in's that is gone")])
    assert table is not None
    assert [row["side"] for row in table.rows] == [224, 112, None]
    assert table.rows[0]["operations"] == "767.8 MFLOP" and table.rows[0]["size"] == "13.4 MB"
    assert table.rows[0]["parameters"] == 3_350_000 and table.rows[2]["parameters"] is None
