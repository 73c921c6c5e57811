"""How many seeds would do: for a difference to show, or to be known not to matter."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import stats

from bench.analysis.intervals import DUST, LEVEL, Estimate, reach

POWER = 0.8
MOST_SEEDS = 100
"""Larger numbers of seeds are not worked out: nobody would run them."""


@cache
def seeds_for_equivalence(estimate: Estimate, margin: float, comparisons: int = 1) -> float:
    """Seeds at which 80 of 100 studies like this one would end within the margin.

    As `seeds_wanted`, by a normal approximation of where the mean then lies; NaN where there is no
    spread to go by.

    Args:
        estimate: A paired difference over at least two seeds.
        margin: Largest difference that does not matter.
        comparisons: How many comparisons the p-value is corrected for.
    """
    noise, of_images = estimate.seed_variance, estimate.image_variance
    if not np.isfinite(noise) or noise + of_images < DUST**2:
        return float("nan")
    level, moves = (1 - LEVEL) / comparisons, float(stats.norm.ppf((1 + POWER) / 2))
    room = margin - abs(estimate.mean)
    seeds = np.arange(2, MOST_SEEDS + 1)
    error = np.sqrt(noise / seeds + of_images)
    enough = seeds[reach(level, seeds, noise / seeds, of_images) + moves * error <= room]
    if len(enough):
        return float(enough[0])
    least = (float(stats.norm.isf(level / 2)) + moves) * np.sqrt(of_images)
    return float("inf") if room <= least else MOST_SEEDS + 1.0


def beyond_seeds(estimate: Estimate, margin: float | None, comparisons: int = 1) -> bool:
    """Whether no number of seeds would settle a difference: the test images alone leave the doubt.

    True only where it holds for every difference within the interval, so that a few seeds' noise
    ends no study.

    Args:
        estimate: A paired difference.
        margin: Largest difference that does not matter, if known.
        comparisons: How many comparisons the p-value is corrected for.
    """
    if not np.isfinite(estimate.half_width):
        return False
    least = _least_told(estimate.image_variance, (1 - LEVEL) / comparisons)
    largest = max(-estimate.low, estimate.high)
    smallest = max(estimate.low, -estimate.high, 0.0)
    within = margin is not None and margin - smallest > least
    return bool(largest < least and not within)


@cache
def seeds_wanted(estimate: Estimate, comparisons: int = 1) -> float:
    """Seeds at which a difference of this size would show in 80 of 100 studies like this one.

    Power of the two-sided t-test by the noncentral t distribution, at the 5 % level shared out
    equally over the comparisons (Bonferroni: Holm's first step, so never too few). Takes the
    difference and the variances as seen, so it is a rough guide.

    Args:
        estimate: A paired difference over at least two seeds.
        comparisons: How many comparisons the p-value is corrected for.

    Returns:
        Seeds, at least 2; `MOST_SEEDS` + 1 where more would be needed; infinite where the test
        images alone leave too much doubt, so that more seeds would not help; NaN where there is
        no spread to go by.
    """
    noise, of_images = estimate.seed_variance, estimate.image_variance
    if not np.isfinite(noise) or noise + of_images < DUST**2:
        return float("nan")
    level = (1 - LEVEL) / comparisons
    seeds = np.arange(2, MOST_SEEDS + 1)
    error = np.sqrt(noise / seeds + of_images)
    freedom = error**4 / (
        (noise / seeds) ** 2 / (seeds - 1) + of_images**2 / max(estimate.images - 1, 1)
    )
    wanted = reach(level, seeds, noise / seeds, of_images) / error
    power = stats.nct.sf(wanted, freedom, abs(estimate.mean) / error)
    enough = seeds[power >= POWER]
    if len(enough):
        return float(enough[0])
    return float("inf") if abs(estimate.mean) < _least_told(of_images, level) else MOST_SEEDS + 1.0


def _least_told(of_images: float, level: float) -> float:
    """Smallest difference that seeds without end would show: only the images' variance is left.

    By a normal approximation.
    """
    return float((stats.norm.isf(level / 2) + stats.norm.ppf(POWER)) * np.sqrt(of_images))
