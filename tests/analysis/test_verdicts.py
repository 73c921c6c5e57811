"""Verdicts on published figures: what is the same, what is not, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.intervals import over_seeds_and_images
from bench.analysis.verdicts import batch_distribution, judge, share_variance


def measured(mean: float, of_seed: float, seeds: int = 10, images: int = 5000, rng_seed: int = 0):
    rng = np.random.default_rng(rng_seed)
    share = mean + rng.normal(0, of_seed, (seeds, 1))
    hardness = rng.random((1, images))
    return over_seeds_and_images((hardness < share).astype(float))


def test_within_the_margin_beyond_it_and_neither() -> None:
    variance = share_variance(0.8, 5000)
    steady = measured(0.80, 0.002)
    assert judge(steady, 0.80, variance, 0.05, 1).verdict == "reproduced"
    assert judge(steady, 0.60, variance, 0.05, 1).verdict == "not reproduced"
    assert judge(steady, 0.75, variance, 0.05, 1).verdict == "cannot tell"
    assert judge(measured(0.80, 0.08), 0.80, variance, 0.05, 1).verdict == "cannot tell"
    few = judge(measured(0.80, 0.002, seeds=2), 0.80, variance, 0.05, 1)
    assert few.verdict == "cannot tell" and np.isnan(few.low)


def test_the_interval_counts_the_published_runs_own_seed_and_images() -> None:
    estimate, variance = measured(0.7, 0.01, seeds=6), share_variance(0.7, 100)
    found = judge(estimate, 0.7, variance, 0.05, 1)
    of_seeds = estimate.seed_variance * (1 + 1 / 6)
    half = np.sqrt(
        stats.t.ppf(0.975, 5) ** 2 * of_seeds
        + stats.norm.ppf(0.975) ** 2 * (estimate.image_variance + 0.7 * 0.3 / 100)
    )
    assert (found.high - found.low) / 2 == pytest.approx(half)
    corrected = judge(estimate, 0.7, variance, 0.05, 10)
    assert corrected.high - corrected.low > found.high - found.low


def test_a_true_reproduction_is_rarely_called_not_reproduced() -> None:
    rng, wrong = np.random.default_rng(0), 0
    for study in range(300):
        # The published figure is one more seed of the same system, on 400 images of its own.
        published = (rng.random(400) < 0.7 + rng.normal(0, 0.03)).mean()
        estimate = measured(0.7, 0.03, seeds=5, images=400, rng_seed=study)
        found = judge(estimate, published, share_variance(published, 400), 0.001, 1)
        wrong += found.verdict == "not reproduced"
    assert wrong / 300 <= 0.05


def test_batches_of_four_by_hand() -> None:
    hits = np.array([[1, 1, 1, 1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 1, 1, 0, 0, 1]], float)
    assert batch_distribution(hits, 4) == pytest.approx([0.25, 0.25, 0.25, 0, 0.25])
    assert np.isnan(batch_distribution(hits[:, :3], 4)).all()
