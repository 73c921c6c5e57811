"""How much an arm depends on its seed: the spread between seeds, and seeds that learnt nothing.

A narrow layer of rectifiers can die, and its head then gives every image the same answer: a mean
over seeds hides that, so it is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.analysis.arms import Arm
from bench.analysis.intervals import LEVEL, Estimate
from bench.metrics.catalogue import ACCURACY

COLLAPSED = 0.95
"""A seed that gives at least this share of the test images one and the same class has collapsed."""


@dataclass(frozen=True)
class Stability:
    """An arm's seeds beside each other, in top-1 accuracy.

    Args:
        arm: Its name.
        values: Seed -> accuracy.
        spread: Standard deviation between seeds with its 95 % interval, which holds for seeds that
            are normally distributed (chi-squared); NaN below two seeds.
        collapsed: Seeds that give nearly every test image the same class.
        commonest: Share of the test images that are of the commonest class.
    """

    arm: str
    values: dict[int, float]
    spread: Estimate
    collapsed: tuple[int, ...]
    commonest: float


def stability(arm: Arm) -> Stability:
    """How much an arm that has finished trials depends on its seed."""
    trials = dict(sorted(arm.trials.items()))
    values = {seed: trial.metrics[ACCURACY.name] for seed, trial in trials.items()}
    labels = np.concatenate([trial.outcomes.labels for trial in trials.values()])
    return Stability(
        arm.name,
        values,
        _spread(list(values.values())),
        tuple(
            seed
            for seed, trial in trials.items()
            if _largest_share(trial.outcomes.predicted) >= COLLAPSED
        ),
        _largest_share(labels),
    )


def _largest_share(classes: np.ndarray) -> float:
    return float(np.max(np.bincount(classes))) / len(classes)


def _spread(values: list[float]) -> Estimate:
    seeds, nan = len(values), float("nan")
    if seeds < 2:
        return Estimate(nan, nan, nan, seeds, 0, nan, nan, nan)
    deviation = float(np.std(values, ddof=1))
    tails = np.array([(1 + LEVEL) / 2, (1 - LEVEL) / 2])
    low, high = deviation * np.sqrt((seeds - 1) / stats.chi2.ppf(tails, seeds - 1))
    return Estimate(deviation, float(low), float(high), seeds, 0, nan, nan, nan)
