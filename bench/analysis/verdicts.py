"""Whether a measured figure is the published one: equivalence within a margin, or cannot tell.

A published figure is one run on one test set, so it varies as a single seed does and as a share of
its own test images does. The interval of the difference counts both beside the measurement's own
variance, and is taken at a level that is shared out over all cells judged (Bonferroni).

- *reproduced*: the interval lies within the margin on both sides of 0 (Schuirmann 1987).
- *not reproduced*: the interval lies beyond the margin.
- *cannot tell*: anything else, too few seeds included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.intervals import LEVEL, Estimate, reach
from bench.study.study import FEWEST_SEEDS

REPRODUCED, NOT_REPRODUCED, CANNOT_TELL = "reproduced", "not reproduced", "cannot tell"


@dataclass(frozen=True)
class Judgement:
    """A cell's verdict.

    Args:
        verdict: `reproduced`, `not reproduced` or `cannot tell`.
        difference: Measured minus published.
        low: Lower end of the difference's corrected interval; NaN below three seeds.
        high: Upper end.
    """

    verdict: str
    difference: float
    low: float
    high: float


def judge(
    measured: Estimate, published: float, published_variance: float, margin: float, cells: int
) -> Judgement:
    """Hold a measured figure against a published one.

    Args:
        measured: Mean and variances over seeds and test images.
        published: The published figure, in the same unit.
        published_variance: Its variance by the choice of its test images.
        margin: Largest difference that counts as the same, in the same unit.
        cells: Cells judged together.
    """
    difference = measured.mean - published
    nan = float("nan")
    if measured.seeds < FEWEST_SEEDS or not np.isfinite(measured.seed_variance):
        return Judgement(CANNOT_TELL, difference, nan, nan)
    # 1 + 1/S: the mean of S seeds against the single run that was published.
    of_seeds = measured.seed_variance * (1 + 1 / measured.seeds)
    of_images = measured.image_variance + published_variance
    half = float(reach((1 - LEVEL) / cells, measured.seeds, of_seeds, of_images))
    low, high = difference - half, difference + half
    if -margin <= low and high <= margin:
        verdict = REPRODUCED
    elif low > margin or high < -margin:
        verdict = NOT_REPRODUCED
    else:
        verdict = CANNOT_TELL
    return Judgement(verdict, difference, low, high)


def share_variance(share: float, images: float) -> float:
    """Variance of a share of independent images."""
    return share * (1 - share) / images if images else 0.0


def batch_distribution(hits: Sequence[np.ndarray] | np.ndarray, batch: int) -> np.ndarray:
    """How often a batch has each possible number of hits, over all whole batches in order.

    Args:
        hits: `(images,)` of 0 and 1, of each seed.
        batch: Images a batch.

    Returns:
        `(batch + 1,)` shares of batches with 0, 1, ... `batch` hits; NaN without a whole batch.
    """
    whole = [row[: len(row) // batch * batch].reshape(-1, batch) for row in hits]
    counts = np.concatenate([row.sum(axis=1) for row in whole]).astype(int)
    if not len(counts):
        return np.full(batch + 1, np.nan)
    return np.bincount(counts, minlength=batch + 1) / len(counts)
