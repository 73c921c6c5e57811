"""How often an arm beats its control when both are trained with the same seed.

The probability of superiority P(arm > control) + P(tie) / 2 is what Bouthillier et al. 2021
(*Accounting for Variance in Machine Learning Benchmarks*) compare methods by, on paired runs. They
take a percentile bootstrap over the pairs, which for a handful of pairs is degenerate: an arm that
wins all of 5 gets the interval [1, 1]. Comparing all S x S unpaired runs (Brunner and Munzel 2000)
breaks down in the same place, for its variance is 0 where the two samples do not overlap, and it
takes runs that share a seed as independent. The share of pairs won is a binomial proportion, for
which Clopper and Pearson's interval (1934) holds at any number of seeds: wide for few, as it
should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from bench.analysis.arms import Arm, shared_seeds
from bench.analysis.intervals import LEVEL, Estimate
from bench.analysis.paired import compared
from bench.metrics.catalogue import lower_is_better


@dataclass(frozen=True)
class Superiority:
    """How often an arm beats its control at the same seed.

    Args:
        arm: The arm.
        metric: The metric.
        won: Seeds at which the arm is better.
        tied: Seeds at which both are the same.
        lost: Seeds at which the control is better.
        share: Probability of superiority, in [0, 1], with its 95 % interval over the seeds; the
            test images are held fixed. Its p-value and variances are NaN.
    """

    arm: str
    metric: str
    won: int
    tied: int
    lost: int
    share: Estimate


def superiority(arms: Sequence[Arm], control: str, metric: str) -> list[Superiority]:
    """Each arm's probability of beating its control, paired by seed.

    Args:
        arms: All arms of a study.
        control: Name of the arm that others are compared with.
        metric: Metric name; the catalogue says whether the lower value wins.

    Returns:
        One for each arm that has the metric at a seed at which the control has it.
    """
    sign = -1.0 if lower_is_better(metric) else 1.0
    found = []
    for arm, baseline in compared(arms, control):
        mine, theirs = (
            np.array([a.trials[s].metrics.get(metric, np.nan) for s in shared_seeds(arm, baseline)])
            for a in (arm, baseline)
        )
        ahead = sign * (mine - theirs)
        ahead = ahead[np.isfinite(ahead)]
        if len(ahead):
            won, tied = int((ahead > 0).sum()), int((ahead == 0).sum())
            lost = len(ahead) - won - tied
            share = share_won(won, tied, lost)
            found.append(Superiority(arm.name, metric, won, tied, lost, share))
    return found


@cache
def share_won(won: int, tied: int, lost: int) -> Estimate:
    """The share of pairs won, ties counting half, with a 95 % interval.

    The lower end is Clopper and Pearson's for the pairs won alone, the upper end theirs for those
    not lost: with P(win) <= P(win) + P(tie) / 2 <= P(win) + P(tie), it holds the truth at least as
    often as it says whatever the ties. Without ties it is their interval. It takes 6 pairs, all
    won, for it to lie above one half.

    Args:
        won: Pairs won.
        tied: Pairs tied.
        lost: Pairs lost; at least one pair in all.

    Returns:
        Share in [0, 1]; `seeds` is the number of pairs.

    Raises:
        ValueError: There is no pair.
    """
    pairs = won + tied + lost
    if not pairs:
        raise ValueError("pairs: expected at least 1, found none")
    low = stats.binomtest(won, pairs).proportion_ci(LEVEL, method="exact").low
    high = stats.binomtest(won + tied, pairs).proportion_ci(LEVEL, method="exact").high
    nan = float("nan")
    return Estimate((won + tied / 2) / pairs, float(low), float(high), pairs, 0, nan, nan, nan)
