"""Equivalent: a difference that is shown not to matter, at the error that is promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.arms import Arm, effects
from bench.analysis.intervals import over_seeds
from bench.analysis.power import seeds_for_equivalence
from tests.analysis.made import trial


def test_it_is_equivalent_at_5_percent_where_the_95_percent_interval_lies_within() -> None:
    estimate = over_seeds([0.01, 0.012, 0.006, 0.011, 0.009])
    edge = max(abs(estimate.low), abs(estimate.high))
    assert estimate.beyond(edge) == pytest.approx(0.05)
    assert estimate.beyond(1.01 * edge) < 0.05 < estimate.beyond(0.99 * edge)
    assert estimate.beyond(abs(estimate.mean) / 2) == 1.0
    # Over seeds alone it is twice the larger of Schuirmann's two one-sided t-tests.
    error = np.sqrt(estimate.seed_variance / 5)
    larger = stats.t.sf((0.02 - estimate.mean) / error, 4)
    assert estimate.beyond(0.02) == pytest.approx(2 * larger, rel=1e-6)


def test_without_spread_nothing_is_equivalent() -> None:
    assert np.isnan(over_seeds([0.0, 0.0, 0.0]).beyond(1.0))
    assert np.isnan(over_seeds([0.1]).beyond(1.0))


@pytest.mark.parametrize("skewed", [False, True])
def test_a_difference_at_the_margin_is_rarely_called_equivalent(skewed: bool) -> None:
    rng, wrong, studies = np.random.default_rng(0), 0, 600
    for _ in range(studies):
        one, other = (rng.exponential(0.02, 6) if skewed else rng.normal(0, 0.02, 6) for _ in "ab")
        wrong += over_seeds(0.02 + one - other).beyond(0.02) < 0.05
    assert wrong / studies <= 0.05


def test_arms_that_are_the_same_are_settled_and_not_by_a_difference() -> None:
    rng = np.random.default_rng(1)

    def arm(name: str, hard: np.ndarray) -> Arm:
        shares = 0.7 + rng.normal(0, 0.01, 12)
        trials = {seed: trial((hard > share).astype(int)) for seed, share in enumerate(shares)}
        return Arm(name, {}, None if name == "a" else "a", trials, 12, {})

    found = []
    for _ in range(60):
        hard = rng.random(1200)
        arms = [arm(name, hard) for name in "abcd"]
        found += [effect.verdict for effect in effects(arms, "a", "accuracy", 0.03)]
    assert np.mean([verdict == "equivalent" for verdict in found]) > 0.8
    assert np.mean([verdict in ("better", "worse") for verdict in found]) <= 0.05


def test_the_seeds_that_would_do_do() -> None:
    rng, deviation = np.random.default_rng(2), 0.028
    pilot = over_seeds(deviation * np.sqrt(0.995) * np.tile([1.0, -1.0], 100))
    wanted = int(seeds_for_equivalence(pilot, 0.02))
    assert 10 < wanted < 60
    settled = [over_seeds(rng.normal(0, deviation, wanted)).beyond(0.02) < 0.05 for _ in range(400)]
    assert 0.75 < np.mean(settled) < 0.95
    assert seeds_for_equivalence(pilot, 0.0) == np.inf
