"""What a study that goes on until it is settled may expect: by simulation, before it is run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.analysis.intervals import LEVEL, reach
from bench.analysis.sequential import Looks

SIZES_OF_INTEREST = (0.0, 0.5, 1.0, 2.0, 4.0)
"""True differences that a plan shows, in margins."""
STUDIES = 2000
"""Studies simulated; a share is then known to about one point in a hundred."""


@dataclass(frozen=True)
class Settled:
    """How simulated studies ended.

    Args:
        verdicts: `(studies, arms)`: 1 or -1 for a difference above or below 0, 2 for equivalence, 0
            for an arm that stayed open.
        seeds: `(studies, arms)` seeds of each arm at its end.
    """

    verdicts: np.ndarray
    seeds: np.ndarray


def settle(results: np.ndarray, looks: Looks, margin: float, of_images: float = 0.0) -> Settled:
    """Run many studies at once through their looks, as `bench.analysis.arms.effects` judges one.

    Args:
        results: `(studies, 1 + arms, seeds)`, the control first, as many seeds as the last look.
        looks: The looks.
        margin: Largest difference that does not matter.
        of_images: Variance of a difference by the choice of test images.
    """
    studies, arms = len(results), results.shape[1] - 1
    verdicts, seeds = np.zeros((studies, arms), int), np.zeros((studies, arms), int)
    differs, matters_not = (np.zeros((studies, arms), bool) for _ in range(2))
    for now in looks.seeds:
        open_ = verdicts == 0
        seeds[open_] = now
        differences = results[:, 1:, :now] - results[:, :1, :now]
        size = np.abs(differences.mean(axis=2))
        of_seeds = differences.var(axis=2, ddof=1) / now
        levels = np.array([looks.level(now, (1 - LEVEL) / (arms - done)) for done in range(arms)])
        for _ in range(arms):  # each arm told leaves Holm's correction of the others smaller
            half, half_within = (
                reach(
                    levels[np.minimum(told.sum(axis=1), arms - 1)][:, None],
                    now,
                    of_seeds,
                    of_images,
                )
                for told in (differs, matters_not)
            )
            differs |= open_ & (size > half)
            matters_not |= open_ & (size + half_within < margin)
        sign = np.sign(differences.mean(axis=2)).astype(int)
        verdicts = np.where(open_ & differs, sign, verdicts)
        verdicts = np.where(open_ & matters_not, 2, verdicts)
    return Settled(verdicts, seeds)


@dataclass(frozen=True)
class Expectation:
    """What to expect of an arm whose true difference is known.

    Args:
        difference: The true difference of each arm, in the unit of the margin.
        settled: Share of the arms that end with a verdict.
        seeds: Mean of the seeds that it takes, the last look's for those that stay open.
    """

    difference: float
    settled: float
    seeds: float


def expectation(
    difference: float,
    looks: Looks,
    *,
    arms: int,
    margin: float,
    seed_variance: float,
    of_images: float,
) -> Expectation:
    """What to expect where every arm differs from the control by the same amount.

    Args:
        difference: That amount.
        looks: The looks.
        arms: Arms beside the control.
        margin: Largest difference that does not matter.
        seed_variance: Variance of a paired difference at one seed.
        of_images: Its variance by the choice of test images.
    """
    found = simulate(
        np.full(arms, difference),
        looks,
        margin=margin,
        seed_variance=seed_variance,
        of_images=of_images,
    )
    return Expectation(difference, float((found.verdicts != 0).mean()), float(found.seeds.mean()))


def simulate(
    differences: np.ndarray,
    looks: Looks,
    *,
    margin: float,
    seed_variance: float,
    of_images: float,
) -> Settled:
    """Studies whose arms' true differences from the control are known, run through their looks.

    Args:
        differences: `(arms,)` those differences.
        looks: The looks; one of them for a fixed number of seeds.
        margin: Largest difference that does not matter.
        seed_variance: Variance of a paired difference at one seed.
        of_images: Its variance by the choice of test images.
    """
    draw, arms = np.random.default_rng(0), len(differences)
    noise = np.sqrt(seed_variance / 2)
    results = noise * draw.standard_normal((STUDIES, arms + 1, looks.most), dtype=np.float32)
    shift = np.sqrt(of_images) * draw.standard_normal((STUDIES, arms, 1), dtype=np.float32)
    results[:, 1:] += differences[:, None] + shift
    return settle(results, looks, margin, of_images)
