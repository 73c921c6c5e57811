"""Intervals, differences and corrections: arrays in, numbers out.

A measurement varies with the seed and with the images it is tested on, so the functions take a
matrix `(seeds, images)`. With the same images for every seed, the variance of the grand mean is
var_seed / S + var_image / N + var_rest / (S N); the variances of the row means and of the column
means each hold the last term once, so adding them counts it twice: the intervals are a little
wide, never narrow. Degrees of freedom by Welch and Satterthwaite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Args:
        mean: The mean.
        low: Lower end of the 95 % interval; NaN where it cannot be told (one seed).
        high: Upper end; NaN likewise.
        seeds: Number of seeds.
        images: Number of test images; 0 where the interval counts seeds alone.
        p: Two-sided p-value of the mean being 0; NaN where it cannot be told.
        seed_variance: Variance of a single seed's mean.
        image_variance: Variance that the choice of test images adds to the mean.
    """

    mean: float
    low: float
    high: float
    seeds: int
    images: int
    p: float
    seed_variance: float
    image_variance: float

    @property
    def half_width(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


def over_seeds(values: Sequence[float] | np.ndarray) -> Estimate:
    """Mean and 95 % t-interval over seeds alone, for metrics that are not means over images.

    Args:
        values: `(seeds,)`; NaN entries are left out.
    """
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        nan = float("nan")
        return Estimate(nan, nan, nan, 0, 0, nan, nan, nan)
    seed_variance = float(kept.var(ddof=1)) if len(kept) > 1 else float("nan")
    return _estimate(float(kept.mean()), len(kept), 0, seed_variance, 0.0)


def over_seeds_and_images(matrix: np.ndarray) -> Estimate:
    """Mean and 95 % interval that counts seeds and test images both.

    For a paired comparison, pass the matrix of differences.

    Args:
        matrix: `(seeds, images)`, such as 1 where the model was right; columns that are NaN for
            every seed are left out.
    """
    kept = matrix[:, np.isfinite(matrix).all(axis=0)].astype(np.float64)
    seeds, images = kept.shape
    if not images or not seeds:
        return over_seeds([])
    seed_variance = float(kept.mean(axis=1).var(ddof=1)) if seeds > 1 else float("nan")
    image_variance = float(kept.mean(axis=0).var(ddof=1)) / images if images > 1 else 0.0
    return _estimate(float(kept.mean()), seeds, images, seed_variance, image_variance)


def _estimate(
    mean: float, seeds: int, images: int, seed_variance: float, image_variance: float
) -> Estimate:
    of_seeds = seed_variance / seeds
    error = float(np.sqrt(of_seeds + image_variance))
    if not np.isfinite(error):
        nan = float("nan")
        return Estimate(mean, nan, nan, seeds, images, nan, seed_variance, image_variance)
    if error == 0.0:
        # Every seed and image says the same: there is no spread to judge a difference by.
        p = 1.0 if mean == 0.0 else float("nan")
        return Estimate(mean, mean, mean, seeds, images, p, seed_variance, image_variance)
    spread = of_seeds**2 / (seeds - 1)
    if images > 1:
        spread += image_variance**2 / (images - 1)
    freedom = error**4 / spread
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Estimate(
        mean, mean - reach, mean + reach, seeds, images, p, seed_variance, image_variance
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979); NaN stays NaN and counts in the family.

    Args:
        p_values: One a comparison.
    """
    order = sorted(range(len(p_values)), key=lambda i: (np.isnan(p_values[i]), p_values[i]))
    corrected = [float("nan")] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        if np.isnan(p_values[index]):
            continue
        highest = max(highest, min(p_values[index] * (len(p_values) - rank), 1.0))
        corrected[index] = highest
    return corrected


def seeds_wanted(estimate: Estimate) -> float:
    """Seeds at which a difference of this size would show, with 80 % power at the 5 % level.

    Normal approximation, without the correction for several arms. Infinite where the test images
    alone leave too much doubt: more seeds would not help, more images would.

    Args:
        estimate: A paired difference over at least two seeds.
    """
    reach = float(stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER))
    room = (estimate.mean / reach) ** 2 - estimate.image_variance
    if not np.isfinite(room) or room <= 0:
        return float("inf")
    return max(float(np.ceil(estimate.seed_variance / room)), 2.0)
