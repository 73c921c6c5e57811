"""The share of seeds won against hand calculation, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.arms import Arm
from bench.analysis.superiority import share_won, superiority
from tests.analysis.made import trial


def arm(name: str, metric: str, values: dict[int, float], against: str | None = "control") -> Arm:
    trials = {seed: trial(np.array([0]), {metric: value}) for seed, value in values.items()}
    return Arm(name, {}, against, trials, len(trials), {})


def test_seeds_are_paired_and_ties_count_half() -> None:
    control = arm("control", "accuracy", {0: 0.5, 1: 0.6, 2: 0.7, 3: 0.8}, None)
    other = arm("other", "accuracy", {3: 0.9, 2: 0.7, 1: 0.5, 7: 0.0})
    (found,) = superiority([control, other], "control", "accuracy")
    assert (found.won, found.tied, found.lost) == (1, 1, 1)
    assert found.share.mean == 0.5 and found.share.seeds == 3


@pytest.mark.parametrize("metric", ["landmark_ne", "loss", "landmark_loss"])
def test_where_lower_is_better_the_lower_wins(metric: str) -> None:
    control = arm("control", metric, {0: 0.5, 1: 0.6}, None)
    (found,) = superiority([control, arm("other", metric, {0: 0.4, 1: 0.1})], "control", metric)
    assert (found.won, found.lost, found.share.mean) == (2, 0, 1.0)


def test_an_arm_that_always_wins_has_the_interval_of_the_closed_form() -> None:
    for seeds in (1, 3, 5, 6, 10):
        share = share_won(seeds, 0, 0)
        # p^S = 0.025 for the lower end (Clopper and Pearson 1934); never the bootstrap's [1, 1].
        assert share.low == pytest.approx(0.025 ** (1 / seeds)) and share.high == 1.0
    assert share_won(5, 0, 0).low < 0.5 < share_won(6, 0, 0).low


def test_losing_is_the_mirror_of_winning_and_ties_widen() -> None:
    one, other = share_won(4, 1, 2), share_won(2, 1, 4)
    assert one.mean == pytest.approx(1 - other.mean)
    assert (one.low, one.high) == (pytest.approx(1 - other.high), pytest.approx(1 - other.low))
    tied = share_won(0, 5, 0)
    assert tied.mean == 0.5 and (tied.low, tied.high) == (0.0, 1.0)


def test_without_ties_the_ends_are_beta_quantiles() -> None:
    share = share_won(7, 0, 3)
    assert share.low == pytest.approx(stats.beta.ppf(0.025, 7, 4))
    assert share.high == pytest.approx(stats.beta.ppf(0.975, 8, 3))


@pytest.mark.parametrize("chances", [(0.5, 0.0), (0.8, 0.0), (0.3, 0.4), (0.6, 0.1), (0.95, 0.05)])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_hold_the_truth_at_least_as_often_as_said(
    chances: tuple[float, float], seeds: int
) -> None:
    won, tied = chances
    truth = won + tied / 2
    law = stats.multinomial(seeds, [won, tied, 1 - won - tied])
    # Every outcome with its chance: no simulation needed.
    held = sum(
        law.pmf([w, t, seeds - w - t])
        for w in range(seeds + 1)
        for t in range(seeds + 1 - w)
        if share_won(w, t, seeds - w - t).low <= truth <= share_won(w, t, seeds - w - t).high
    )
    assert held >= 0.95


def test_what_cannot_be_compared_is_left_out() -> None:
    nan = float("nan")
    control = arm("control", "accuracy", {0: 0.5, 1: 0.5}, None)
    arms = [control, arm("half", "accuracy", {0: nan, 1: 0.6}), arm("lost", "accuracy", {0: nan}),
            arm("late", "accuracy", {9: 0.9}), arm("of another", "accuracy", {0: 0.9}, "half"),
            arm("other metric", "loss", {0: 0.1})]  # fmt: skip
    found = superiority(arms, "control", "accuracy")
    assert [(each.arm, each.share.seeds) for each in found] == [("half", 1)]
    assert superiority(arms[1:], "control", "accuracy") == []
    with pytest.raises(ValueError, match="at least 1"):
        share_won(0, 0, 0)
