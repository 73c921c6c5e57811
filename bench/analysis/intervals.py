"""Intervals, differences and corrections: arrays in, numbers out.

A measurement varies with the seed and with the images it is tested on, so the functions take a
matrix `(seeds, images)`. With the same images for every seed, the variance of the grand mean is

    var_seed / S  +  var_rest / (S N)  +  var_image / N

where the variance of the seeds' means estimates the first two terms, and that of the images' means,
less the rest, the third. The interval adds the two parts in squares, each at its own quantile (t
with S - 1 degrees of freedom for the seeds, normal for the many images), so that seeds that happen
to agree do not make it narrow (the idea of MOVER, Donner and Zou 2012). By simulation it holds the
truth in 94 to 98 of 100 studies of 3 to 10 seeds, where Welch and Satterthwaite's degrees of
freedom fall to 92; tests repeat that. Where each seed draws its own test images
(`vary: [sampling, ...]`), the seeds' variance holds that of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from bench.analysis.sequential import Looks

LEVEL = 0.95
DUST = 1e-12
"""Below this, a mean or its error is the rounding of sums that are zero."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Args:
        mean: The mean.
        low: Lower end of the 95 % interval; NaN where it cannot be told (one seed, or no spread
            at all between seeds and images).
        high: Upper end; NaN likewise.
        seeds: Number of seeds.
        images: Number of test images; 0 where the interval counts seeds alone.
        p: Two-sided p-value of the mean being 0; NaN where it cannot be told.
        seed_variance: Variance of a single seed's mean.
        image_variance: Variance that the choice of test images adds to the mean, whatever the
            number of seeds.
        looks: The looks of a study that goes on until it is settled: the interval and the p-value
            then hold over all of them. None for a number of seeds that was fixed.
    """

    mean: float
    low: float
    high: float
    seeds: int
    images: int
    p: float
    seed_variance: float
    image_variance: float
    looks: Looks | None = None

    @property
    def half_width(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2

    def beyond(self, margin: float) -> float:
        """p-value of the mean being at least `margin` from 0, on either side.

        The level at which the interval just lies within the margin: two one-sided tests, each at
        half of it (Schuirmann 1987), so that "equivalent" at 5 % is a 95 % interval within. NaN
        where there is no spread to judge by.
        """
        if not np.isfinite(self.half_width):
            return float("nan")
        room = margin - abs(self.mean)
        if room <= 0:
            return 1.0
        of_seeds = self.seed_variance / self.seeds
        return _over_looks(
            self.looks, _least_level(room, self.seeds, of_seeds, self.image_variance), self.seeds
        )


def over_seeds(values: Sequence[float] | np.ndarray, looks: Looks | None = None) -> Estimate:
    """Mean and 95 % t-interval over seeds alone, for metrics that are not means over images.

    Args:
        values: `(seeds,)`; NaN entries are left out.
        looks: The looks that the interval is to hold over; None for one.
    """
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        nan = float("nan")
        return Estimate(nan, nan, nan, 0, 0, nan, nan, nan)
    seed_variance = float(kept.var(ddof=1)) if len(kept) > 1 else float("nan")
    return _estimate(float(kept.mean()), len(kept), 0, seed_variance, 0.0, looks)


def over_seeds_and_images(matrix: np.ndarray, looks: Looks | None = None) -> Estimate:
    """Mean and 95 % interval that counts seeds and test images both.

    For a paired comparison, pass the matrix of differences.

    Args:
        matrix: `(seeds, images)`, such as 1 where the model was right; columns that are NaN for
            every seed are left out.
        looks: The looks that the interval is to hold over; None for one.
    """
    kept = matrix[:, np.isfinite(matrix).all(axis=0)].astype(np.float64)
    seeds, images = kept.shape
    if not images or not seeds:
        return over_seeds([])
    seed_variance = float(kept.mean(axis=1).var(ddof=1)) if seeds > 1 else float("nan")
    return _estimate(float(kept.mean()), seeds, images, seed_variance, _of_images(kept), looks)


def over_seeds_and_other_images(
    mine: np.ndarray, theirs: np.ndarray, looks: Looks | None = None
) -> Estimate:
    """Difference of two arms at the same seeds that were tested on different images.

    The seeds are paired; the two sets of images count as drawn apart, each with a variance of its
    own, so that a test set of few images is not taken for a precise one.

    Args:
        mine: `(seeds, images)`.
        theirs: `(seeds, other images)`.
        looks: The looks that the interval is to hold over; None for one.
    """
    one, other = (m[:, np.isfinite(m).all(axis=0)].astype(np.float64) for m in (mine, theirs))
    images = min(one.shape[1], other.shape[1])
    if not images:
        return over_seeds([])
    by_seed = one.mean(axis=1) - other.mean(axis=1)
    seeds = len(by_seed)
    seed_variance = float(by_seed.var(ddof=1)) if seeds > 1 else float("nan")
    of_images = _of_images(one) + _of_images(other)
    return _estimate(float(by_seed.mean()), seeds, images, seed_variance, of_images, looks)


def over_unpaired_seeds(mine: np.ndarray, theirs: np.ndarray, *, same_images: bool) -> Estimate:
    """Difference of two groups of trainings that have no seeds in common.

    The seeds' part has Welch's variance, with his degrees of freedom rounded down (Welch 1947).
    The images' part is that of the differences on the same images, or of each test set apart.

    Args:
        mine: `(seeds, images)`; one column for a metric that is no mean over images.
        theirs: `(other seeds, images)`.
        same_images: Whether the columns are the same images.

    Returns:
        Its `seeds` are those that paired differences with as many degrees of freedom would have.
    """
    whole = [np.isfinite(matrix).all(axis=0) for matrix in (mine, theirs)]
    if same_images:
        whole = [whole[0] & whole[1]] * 2
    one, other = mine[:, whole[0]].astype(float), theirs[:, whole[1]].astype(float)
    if not one.size or not other.size:
        return over_seeds([])
    mean, images = float(one.mean() - other.mean()), min(one.shape[1], other.shape[1])
    images = images if images > 1 else 0
    if min(len(one), len(other)) < 2:
        return _estimate(mean, 1, images, float("nan"), 0.0)
    parts = [float(m.mean(axis=1).var(ddof=1)) / len(m) for m in (one, other)]
    of_seeds = sum(parts)
    freedom = min(len(one), len(other)) - 1
    if of_seeds > 0:
        shares = [part**2 / (len(m) - 1) for part, m in zip(parts, (one, other), strict=True)]
        freedom = max(freedom, int(of_seeds**2 / sum(shares) + DUST))
    if same_images and images:
        by_image = one.mean(axis=0) - other.mean(axis=0)
        of_rest = _of_rest(one) + _of_rest(other)
        of_images = max(float(by_image.var(ddof=1)) / images - of_rest, 0.0)
    else:
        of_images = _of_images(one) + _of_images(other)
    return _estimate(mean, freedom + 1, images, of_seeds * (freedom + 1), of_images)


def over_seeds_of_own_images(
    results: Sequence[np.ndarray],
    images: Sequence[Sequence[str]],
    looks: Looks | None = None,
) -> Estimate:
    """Mean and interval where each seed was tested on images of its own.

    The spread between seeds then holds that of the images. Where draws from one pool overlap, two
    seeds' means are alike by the images that both were tested on: their mean covariance, which no
    number of seeds takes away, is added as the images' part. It is 0 where no image comes twice,
    and the interval is then `over_seeds`' own.

    Args:
        results: `(images,)` of each seed; NaN is left out.
        images: Names of each seed's images.
        looks: The looks that the interval is to hold over; None for one.
    """
    kept = [np.isfinite(row) for row in results]
    rows = [row[there].astype(np.float64) for row, there in zip(results, kept, strict=True)]
    if not rows or not all(map(len, rows)):
        return over_seeds([])
    means, seeds = np.array([row.mean() for row in rows]), len(rows)
    names = [np.asarray(own, dtype=object)[there] for own, there in zip(images, kept, strict=True)]
    _, image = np.unique(np.concatenate(names).astype(np.str_), return_inverse=True)
    parts = np.concatenate([(row - row.mean()) / len(row) for row in rows])
    covariance = 0.0
    if seeds > 1 and image.max() + 1 < len(image):
        # Of every pair of seeds, the products of an image's two parts: (sum)^2 less the squares.
        shared = np.square(np.bincount(image, parts)).sum() - np.square(parts).sum()
        covariance = max(float(shared) / (seeds * (seeds - 1)), 0.0)
    seed_variance = float(means.var(ddof=1)) if seeds > 1 else float("nan")
    smallest = min(map(len, rows))
    return _estimate(float(means.mean()), seeds, smallest, seed_variance, covariance, looks)


def over_results(
    results: Sequence[np.ndarray], images: Sequence[Sequence[str]], looks: Looks | None = None
) -> Estimate:
    """Mean and interval of each seed's results on its test images, whether seeds share them or not.

    Args:
        results: `(images,)` of each seed.
        images: Names of each seed's images, in the results' order.
        looks: The looks that the interval is to hold over; None for one.
    """
    if not images:
        return over_seeds([])
    if all(own is images[0] or tuple(own) == tuple(images[0]) for own in images):
        return over_seeds_and_images(np.stack(results), looks)
    return over_seeds_of_own_images(results, images, looks)


def _of_images(matrix: np.ndarray) -> float:
    """What the choice of images adds to the variance of the grand mean (two-way ANOVA)."""
    images = matrix.shape[1]
    if images < 2:
        return 0.0
    found = float(matrix.mean(axis=0).var(ddof=1)) / images
    return max(found - _of_rest(matrix), 0.0)


def _of_rest(matrix: np.ndarray) -> float:
    """What neither seeds nor images alone add to it; 0 for one seed, which cannot tell it apart."""
    seeds, images = matrix.shape
    if seeds < 2:
        return 0.0
    rest = matrix - matrix.mean(axis=0) - matrix.mean(axis=1, keepdims=True) + matrix.mean()
    return float(np.square(rest).sum()) / ((seeds - 1) * (images - 1)) / matrix.size


def _estimate(
    mean: float,
    seeds: int,
    images: int,
    seed_variance: float,
    image_variance: float,
    looks: Looks | None = None,
) -> Estimate:
    mean = 0.0 if abs(mean) < DUST else mean
    of_seeds = seed_variance / seeds
    error = float(np.sqrt(of_seeds + image_variance))
    variances = (seed_variance, image_variance, looks)
    nan = float("nan")
    if not np.isfinite(error):
        return Estimate(mean, nan, nan, seeds, images, nan, *variances)
    if error < DUST:
        # Every seed and image says the same: there is no spread to judge a difference by, and an
        # interval of no width would claim a certainty that nobody has.
        return Estimate(mean, nan, nan, seeds, images, 1.0 if mean == 0.0 else nan, *variances)

    level = 1 - LEVEL if looks is None else looks.level(seeds, 1 - LEVEL)
    half = float(reach(level, seeds, of_seeds, image_variance))
    p = _over_looks(looks, _least_level(abs(mean), seeds, of_seeds, image_variance), seeds)
    return Estimate(mean, mean - half, mean + half, seeds, images, p, *variances)


def _over_looks(looks: Looks | None, p: float, seeds: int) -> float:
    return p if looks is None else looks.overall(p, seeds)


def reach(level: float, seeds: Any, of_seeds: Any, of_images: float) -> Any:
    """Half the width of the interval that misses the truth with probability `level`.

    Args:
        level: 0.05 for a 95 % interval.
        seeds: Seeds that `of_seeds` was estimated from, a number or an array.
        of_seeds: Variance of the mean by its seeds, likewise.
        of_images: Variance of the mean by its images.
    """
    # The distributions' own functions: `stats.t.isf` gives the same a hundred times slower.
    t, z = special.stdtrit(seeds - 1, level / 2), special.ndtri(level / 2)
    return np.sqrt(t**2 * of_seeds + z**2 * of_images)


def _least_level(size: float, seeds: int, of_seeds: float, of_images: float) -> float:
    """The p-value: the level at which the interval just reaches 0."""

    def beyond(log_level: float) -> float:
        return float(reach(np.exp(log_level), seeds, of_seeds, of_images)) - size

    least = -80.0
    if beyond(least) < 0:
        return float(np.exp(least))
    if beyond(0.0) >= 0:
        return 1.0
    return float(np.exp(optimize.brentq(beyond, least, 0.0)))


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


def wilson(hits: int, images: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion (Wilson 1927), for one fixed model.

    Counts the finite set of test images alone: for a prediction that no seed changes, such as the
    training frequencies.

    Args:
        hits: Images predicted right.
        images: Test images, at least 1.

    Returns:
        Lower and upper end, within [0, 1].
    """
    found = stats.binomtest(hits, images).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)
