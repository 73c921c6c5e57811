"""One arm measured twice: its difference, paired wherever seeds and images can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.arms import Arm
from bench.analysis.intervals import (
    DUST,
    Estimate,
    over_seeds,
    over_seeds_and_images,
    over_seeds_and_other_images,
    over_unpaired_seeds,
)
from bench.study.study import FEWEST_SEEDS


@dataclass(frozen=True)
class Difference:
    """An arm's metric in two measurements, and the second minus the first.

    Args:
        mean: Second minus first, with its interval.
        seeds: The fewest seeds on either side that it was estimated from.
        paired: Whether its seeds were paired.
        same_images: Whether both were tested on the same images.
        identical: Whether they are the same at every paired seed, on every image.
    """

    mean: Estimate
    seeds: int
    paired: bool
    same_images: bool
    identical: bool


def difference_of(a: Arm, b: Arm, metric: str, *, same_data: bool) -> Difference:
    """One arm measured twice: the second less the first.

    Seeds that both have are paired. Where they share fewer than `FEWEST_SEEDS`, and each has as
    many, all of each are taken, unpaired.

    Args:
        a: The first measurement, with a finished trial.
        b: The second, likewise.
        metric: Metric name.
        same_data: Whether images of the same name are the same image.
    """
    shared = sorted(a.trials.keys() & b.trials.keys())
    fewest = min(len(a.trials), len(b.trials))
    paired = len(shared) >= FEWEST_SEEDS or (bool(shared) and fewest < FEWEST_SEEDS)
    mine, theirs = (shared, shared) if paired else (sorted(a.trials), sorted(b.trials))
    first, second = a.matrix(metric, mine), b.matrix(metric, theirs)
    by_image = first is not None and second is not None
    same = same_data and all(
        a.trials[one].images == b.trials[other].images
        for one, other in zip(mine, theirs, strict=False)
    )
    if first is None or second is None:
        first, second = (_values(arm, metric, kept) for arm, kept in ((a, mine), (b, theirs)))
    if not paired:
        if not by_image:
            first, second = (m[np.isfinite(m).all(axis=1)] for m in (first, second))
        estimate = over_unpaired_seeds(second, first, same_images=same and by_image)
    elif not by_image:
        estimate = over_seeds((second - first)[:, 0])
    elif same:
        estimate = over_seeds_and_images(second - first)
    else:
        estimate = over_seeds_and_other_images(second, first)
    identical = paired and same and np.allclose(second, first, rtol=0.0, atol=DUST, equal_nan=True)
    seeds = estimate.seeds if paired else min(len(first), len(second))
    return Difference(estimate, seeds, paired, same, identical)


def _values(arm: Arm, metric: str, seeds: Sequence[int]) -> np.ndarray:
    """`(seeds, 1)` values of a metric that is no mean over shared images."""
    values = [[arm.trials[seed].metrics.get(metric, np.nan)] for seed in seeds]
    return np.array(values, np.float64)
