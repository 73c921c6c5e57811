"""Intervals and corrections against SciPy, simulation and hand calculations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.analysis.intervals import (
    Estimate,
    holm,
    over_seeds,
    over_seeds_and_images,
    over_seeds_and_other_images,
    wilson,
)
from bench.analysis.power import seeds_wanted


def test_over_seeds_is_the_t_interval_of_scipy() -> None:
    values = [0.4, 0.45, 0.38, 0.5]
    mine = over_seeds([*values, float("nan")])
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (mine.low, mine.high, mine.seeds) == (pytest.approx(low), pytest.approx(high), 4)
    assert mine.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_one_seed_has_no_interval() -> None:
    mine = over_seeds_and_images(np.array([[1.0, 0.0, 1.0]]))
    assert mine.mean == pytest.approx(2 / 3)
    assert np.isnan(mine.low) and np.isnan(mine.p)


def test_no_spread_at_all_is_no_evidence_of_a_difference() -> None:
    same = over_seeds_and_images(np.full((3, 10), 0.25))
    assert same.mean == 0.25 and np.isnan([same.low, same.high, same.p]).all()
    assert over_seeds_and_images(np.zeros((3, 10))).p == 1.0


def test_images_without_a_value_are_left_out() -> None:
    matrix = np.array([[0.1, np.nan, 0.3], [0.2, np.nan, 0.4]])
    assert over_seeds_and_images(matrix).images == 2
    assert over_seeds_and_images(matrix).mean == pytest.approx(0.25)


STUDIES = [
    (seeds, of_seed, images)
    for seeds in (3, 5, 10)
    for of_seed in (0.01, 0.03, 0.06)
    for images in (200, 1200)
]


def simulated(seeds: int, of_seed: float, images: int, shift: float = 0.0) -> list[Any]:
    """600 paired differences like ours: seeds, images and what is neither vary."""
    rng = np.random.default_rng([seeds, int(100 * of_seed), images])
    return [
        over_seeds_and_images(
            shift
            + rng.normal(0, of_seed, (seeds, 1))
            + rng.normal(0, 0.2, (1, images))
            + rng.normal(0, 0.4, (seeds, images))
        )
        for _ in range(600)
    ]


def test_intervals_hold_the_truth_and_equal_arms_are_called_different_as_often_as_said() -> None:
    held, called = [], []
    for study in STUDIES:
        found = simulated(*study)
        held.append(np.mean([e.low <= 0 <= e.high for e in found]))
        called.append(np.mean([e.p < 0.05 for e in found]))
        assert held[-1] >= 0.93, study
        assert called[-1] == pytest.approx(1 - held[-1], abs=1e-9)
    assert 0.93 <= np.mean(held) <= 0.97 and np.mean(called) <= 0.05


def test_a_planted_difference_is_found_at_the_power_that_the_advice_states() -> None:
    for seeds, of_seed, images in STUDIES[1::3]:
        size = 3.5 * np.sqrt(of_seed**2 / seeds + 0.04 / images + 0.16 / (seeds * images))
        truth = Estimate(size, 0, 0, seeds, images, 0, of_seed**2 + 0.16 / images, 0.04 / images)
        wanted = int(seeds_wanted(truth))
        found, fewer = (
            np.mean([e.p < 0.05 for e in simulated(n, of_seed, images, size)])
            for n in (wanted, wanted - 1)
        )
        assert found >= 0.75 and fewer <= 0.85, (seeds, of_seed, images, wanted)


def test_other_images_widen_a_difference_by_their_own_number() -> None:
    few = np.tile([1.0, 0.0, 0.0, 0.0], (3, 1))
    many = np.tile(np.arange(400) % 4 == 0, (3, 1)).astype(float)
    estimate = over_seeds_and_other_images(few, many)
    assert estimate.mean == 0 and (estimate.seeds, estimate.images) == (3, 4)
    error = np.sqrt(0.25 / 4 + many[0].var(ddof=1) / 400)  # no seed varies
    assert estimate.high == pytest.approx(stats.norm.ppf(0.975) * error, rel=1e-6)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    corrected = holm([0.5, float("nan"), 0.01])
    assert corrected[2] == pytest.approx(0.03) and np.isnan(corrected[1]) and corrected[0] == 1.0


def test_at_the_seeds_wanted_a_difference_of_that_size_shows_in_four_of_five_studies() -> None:
    seen = over_seeds([0.01, 0.04, 0.0, 0.05, 0.02])
    wanted = int(seeds_wanted(seen))
    rng = np.random.default_rng(0)
    studies = rng.normal(seen.mean, np.sqrt(seen.seed_variance), (4000, wanted))
    power = (stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.05).mean()
    fewer = (stats.ttest_1samp(studies[:, 1:], 0, axis=1).pvalue < 0.05).mean()
    assert power >= 0.78 and fewer < 0.82
    assert seeds_wanted(seen, comparisons=5) > wanted
    images, rest = rng.normal(0.05, 1, (1, 20)), rng.normal(0, 0.1, (4, 20))
    noisy = over_seeds_and_images(images + rest)
    assert np.isinf(seeds_wanted(noisy))  # the test images alone leave too much doubt


def test_wilson_is_wilsons_score_interval_by_hand() -> None:
    z, share, n = 1.959964, 7 / 20, 20
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert wilson(7, 20) == pytest.approx((middle - half, middle + half), abs=1e-6)
