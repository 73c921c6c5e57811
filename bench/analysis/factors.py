"""Main effects and two-way interactions of a grid, as contrasts between its arms' means.

An effect is a weighted sum of the arms' results, with weights from least squares on the cells, so
that a factor's effect is that of its level averaged over the other factors; in a full factorial
it is the plain difference of marginal means. The weights are applied to each seed's and image's
results, so that an effect has the same kind of interval as a difference between two arms.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.arms import ALPHA, EQUIVALENT, Arm, direction
from bench.analysis.intervals import Estimate, holm, over_results
from bench.study.study import FEWEST_SEEDS

MOST_TERMS = 60
"""Interactions are left out where there would be more contrasts than this."""


@dataclass(frozen=True)
class Contrast:
    """A main effect or an interaction.

    Args:
        name: Such as `gate: none against sigmoid`, or two of them joined by `x`.
        factors: The axis of a main effect, the two axes of an interaction.
        difference: Its size: for an interaction, how much the second factor's effect changes
            with the first factor's level.
        p_holm: p-value, corrected over the contrasts of its order.
        verdict: `better`, `worse`, `equivalent`, `cannot tell`, or why it cannot be estimated.
    """

    name: str
    factors: tuple[str, ...]
    difference: Estimate | None
    p_holm: float
    verdict: str

    @property
    def order(self) -> int:
        """1 for a main effect, 2 for an interaction."""
        return len(self.factors)


@dataclass(frozen=True)
class _Term:
    """Levels set against first levels: one for a main effect, two for an interaction."""

    parts: tuple[tuple[str, str, str], ...]

    @property
    def name(self) -> str:
        return " x ".join(f"{axis}: {level} against {first}" for axis, level, first in self.parts)

    def column(self, arms: Sequence[Arm]) -> np.ndarray:
        """Product of the parts' indicators over the arms."""
        return np.prod(
            [[arm.levels.get(axis) == level for arm in arms] for axis, level, _ in self.parts],
            axis=0,
            dtype=np.float64,
        )


@dataclass(frozen=True)
class _Results:
    """`(arms, images)` results of each seed, and the names of its images."""

    by_seed: list[np.ndarray]
    images: list[tuple[str, ...]]


def factor_effects(
    arms: Sequence[Arm],
    axes: Mapping[str, Sequence[str]],
    control: Mapping[str, str],
    metric: str,
    margin: float | None = None,
) -> list[Contrast]:
    """Main effects and two-way interactions of a crossed design.

    Args:
        arms: The arms; those without a finished trial are left out.
        axes: Axis -> labels of its levels.
        control: Axis -> the level that the others are set against.
        metric: Metric name.
        margin: Largest effect that does not matter; without one none is equivalent.

    Returns:
        Main effects, then interactions; empty for fewer than two axes, or where the arms share
        no seed.
    """
    arms = [arm for arm in arms if arm.trials]
    seeds = sorted(set.intersection(*(set(arm.trials) for arm in arms))) if arms else []
    if len(axes) < 2 or not seeds:
        return []
    results = _results(arms, metric, seeds)
    if results is None:
        return []
    mains = [
        _Term(((axis, level, control[axis]),))
        for axis, levels in axes.items()
        for level in levels
        if level != control[axis]
    ]
    pairs = [
        _Term((*one.parts, *other.parts))
        for one, other in itertools.combinations(mains, 2)
        if one.parts[0][0] != other.parts[0][0]
    ]
    found = _estimated(mains, [], arms, results)
    if len(mains) + len(pairs) <= MOST_TERMS:
        found += _estimated(pairs, mains, arms, results)
    return [_judged(found, term, estimate, metric, margin) for term, estimate in found]


def _estimated(
    terms: list[_Term], others: list[_Term], arms: Sequence[Arm], results: _Results
) -> list[tuple[_Term, Estimate | None]]:
    """Each term's contrast; None where the cells run do not tell it from another."""
    base = [np.ones(len(arms)), *(_centred(term.column(arms)) for term in others)]
    columns = [_interaction(term, arms) for term in terms]
    matrix = np.stack([*base, *columns], axis=1)
    inverse = np.linalg.pinv(matrix)
    # A term is estimable where its coefficient does not change along what the cells leave open.
    open_ = np.eye(matrix.shape[1]) - inverse @ matrix
    estimates: list[tuple[_Term, Estimate | None]] = []
    for index, term in enumerate(terms, start=len(base)):
        if np.abs(open_[index]).max() > 1e-6:
            estimates.append((term, None))
            continue
        contrast = [inverse[index] @ of_seed for of_seed in results.by_seed]
        estimates.append((term, over_results(contrast, results.images)))
    return estimates


def _interaction(term: _Term, arms: Sequence[Arm]) -> np.ndarray:
    """Indicators, centred before they are multiplied, so that main effects stay averages."""
    parts = [_centred(_Term((part,)).column(arms)) for part in term.parts]
    return np.prod(parts, axis=0) if len(parts) > 1 else parts[0]


def _centred(column: np.ndarray) -> np.ndarray:
    return column - column.mean()


def _results(arms: Sequence[Arm], metric: str, seeds: list[int]) -> _Results | None:
    """The arms' results at each seed; as means where not all were tested on the same images."""
    images = [arms[0].trials[seed].images for seed in seeds]
    of_arms = [arm.by_seed(metric, seeds) for arm in arms]
    there = [results for results in of_arms if results is not None]
    shared = all([arm.trials[seed].images for seed in seeds] == images for arm in arms)
    if shared and len(there) == len(arms):
        return _Results([np.stack(rows) for rows in zip(*there, strict=True)], images)
    values = [[arm.trials[s].metrics.get(metric, np.nan) for s in seeds] for arm in arms]
    table = np.array(values, np.float64)
    if not np.isfinite(table).all():
        return None
    return _Results([column[:, None] for column in table.T], [("all",)] * len(seeds))


def _judged(
    found: list[tuple[_Term, Estimate | None]],
    term: _Term,
    estimate: Estimate | None,
    metric: str,
    margin: float | None,
) -> Contrast:
    factors = tuple(axis for axis, _, _ in term.parts)
    family = [e for t, e in found if len(t.parts) == len(factors) and e is not None]
    if estimate is None:
        verdict = "confounded with others in the cells that were run"
        return Contrast(term.name, factors, None, float("nan"), verdict)
    place = [e is estimate for e in family].index(True)
    p = holm([e.p for e in family])[place]
    if estimate.seeds < FEWEST_SEEDS:
        verdict = f"too few seeds to tell ({estimate.seeds} of at least {FEWEST_SEEDS})"
    elif margin is not None and holm([e.beyond(margin) for e in family])[place] < ALPHA:
        verdict = EQUIVALENT
    elif np.isfinite(p) and p < ALPHA:
        verdict = direction(metric, estimate.mean)
    else:
        verdict = f"cannot tell at {estimate.seeds} seeds"
    return Contrast(term.name, factors, estimate, p, verdict)
