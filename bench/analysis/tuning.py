"""What a search says beside its winner: how good the best would be at another budget, and which
settings matter. Arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BAND = (0.05, 0.95)
"""Quantiles between which the best of a search falls in 90 of 100 searches."""

FEWEST_PROPOSALS = 8
"""Below this, importances are not worked out: a forest has nothing to learn from."""

TREES, SHUFFLES = 300, 30


@dataclass(frozen=True)
class BestByBudget:
    """The best of n proposals, for n = 1, 2, ...

    Args:
        budget: `(n,)` numbers of proposals.
        expected: `(n,)` expected best score.
        low: `(n,)` 5 % quantile of the best score.
        high: `(n,)` 95 % quantile.
    """

    budget: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray


def expected_best(scores: Sequence[float], direction: str) -> BestByBudget:
    """Expected best validation score against the number of proposals (Dodge et al. 2019, eq. 1).

    With the scores' empirical distribution F, the best of n independent proposals has F^n; its
    mean and its quantiles are exact, without simulation. Proposals of another algorithm than
    random search are not independent: the curve is then about the same proposals in any order.

    Args:
        scores: `(n,)` validation scores, NaN for a proposal that failed: it counts as the worst.
        direction: `max` or `min`: which way is better.

    Returns:
        Empty arrays where no proposal has a score.
    """
    sign = 1.0 if direction == "max" else -1.0
    known = np.asarray(scores, np.float64)
    if not np.isfinite(known).any():
        return BestByBudget(*(np.zeros(0) for _ in range(4)))
    known = np.where(np.isfinite(known), known, sign * np.nanmin(sign * known))
    ranked = np.sort(sign * known)
    budget = np.arange(1, len(ranked) + 1)
    # Row n: chance that the best of n is at most the i-th score.
    below = (budget / len(ranked))[None, :] ** budget[:, None]
    chance = np.diff(below, axis=1, prepend=0.0)
    ends = [ranked[(below >= q - 1e-12).argmax(axis=1)] for q in BAND]
    low, high = ends if sign > 0 else reversed(ends)
    return BestByBudget(budget, sign * chance @ ranked, sign * low, sign * high)


def best_so_far(scores: Sequence[float], direction: str) -> np.ndarray:
    """The best score after each proposal, in the order of proposing; NaN before the first one."""
    known = np.asarray(scores, np.float64)
    return np.fmax.accumulate(known) if direction == "max" else np.fmin.accumulate(known)


@dataclass(frozen=True)
class Importance:
    """How much of the scores' variance a forest explains by a setting.

    Args:
        path: The setting.
        mean: Loss of R² when the setting's values are shuffled among the proposals.
        spread: Standard deviation over the shuffles.
        explained: R² of the forest on proposals that it has not seen (out of bag); at or below 0
            it has learned nothing, and the importances mean nothing.
    """

    path: str
    mean: float
    spread: float
    explained: float


def importances(
    points: Sequence[Mapping[str, Any]],
    scores: Sequence[float],
    space: Mapping[str, Mapping[str, Any]],
) -> list[Importance]:
    """Permutation importance of each setting (Breiman 2001; scikit-learn's), the largest first.

    Args:
        points: Settings of each proposal; those that do not exist in it are left out.
        scores: `(n,)` validation scores; proposals without one are left out.
        space: Setting -> its dimension, as a study's record keeps it.

    Returns:
        Nothing where fewer than `FEWEST_PROPOSALS` have a score, or all have the same.
    """
    kept = [
        (point, score) for point, score in zip(points, scores, strict=True) if np.isfinite(score)
    ]
    if len(kept) < FEWEST_PROPOSALS or np.ptp([score for _, score in kept]) == 0:
        return []
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    there = [path for path in space if any(path in point for point, _ in kept)]
    inputs = np.array(
        [[coordinate(space[path], point.get(path)) for path in there] for point, _ in kept]
    )
    target = np.array([score for _, score in kept])
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0).fit(inputs, target)
    found = permutation_importance(forest, inputs, target, n_repeats=SHUFFLES, random_state=0)
    rows = zip(there, found.importances_mean, found.importances_std, strict=True)
    measured = [
        Importance(path, float(mean), float(spread), float(forest.oob_score_))
        for path, mean, spread in rows
    ]
    return sorted(measured, key=lambda importance: -importance.mean)


def coordinate(dimension: Mapping[str, Any], value: Any) -> float:
    """A setting's place in [0, 1] along its dimension; -1 where it does not exist.

    Args:
        dimension: The dimension, as a study's record keeps it.
        value: The value; None where it does not exist.
    """
    if dimension["kind"] == "choice":
        values = dimension["values"]
        return values.index(value) / (len(values) - 1) if value in values else -1.0
    if value is None:
        return -1.0
    low, high = float(dimension["low"]), float(dimension["high"])
    if dimension["scale"] == "log":
        return float(np.log(value / low) / np.log(high / low))
    return (float(value) - low) / (high - low)
