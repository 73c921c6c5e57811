"""Looks at growing numbers of seeds: how sure each must be, so that all of them err in 5 % at most.

A study that is looked at again and again, and stops when it likes what it sees, finds differences
that are not there. So each look has a stricter level of its own: the error is spent over the looks
by a spending function (Lan and DeMets 1983), here theirs that is like Pocock's,
`alpha ln(1 + (e - 1) t)` at a share `t` of the most seeds. It spends early, which suits seeds that
cost minutes and effects that may be large. The levels are those of a Gaussian random walk, by the
recursion of Armitage, McPherson and Rowe (1969) as in Jennison and Turnbull (2000), ch. 19; the
t-test at each look is held to them (their ch. 3.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special

GROWTH = 1.5
"""Each look has about so many times the seeds of the one before."""
NODES, TINY = 160, 1e-300
LEAST, MOST, KNOTS = 1e-14, 0.9999, 57
"""Overall levels between which a look's own level is interpolated, and how many are worked out."""


@dataclass(frozen=True)
class Looks:
    """At which numbers of seeds a study is looked at.

    Args:
        seeds: Seeds of each arm at each look, ascending.
    """

    seeds: tuple[int, ...]

    @property
    def most(self) -> int:
        """Seeds at the last look."""
        return self.seeds[-1]

    def number(self, seeds: int) -> int:
        """Which look, from 0, is the one of an arm that has so many seeds."""
        return min(int(np.searchsorted(self.seeds, seeds)), len(self.seeds) - 1)

    def level(self, seeds: int, overall: float) -> float:
        """A look's own two-sided level.

        Args:
            seeds: Seeds that the arm has.
            overall: Level that all looks together are to keep, such as 0.05.
        """
        overalls, own = _table(self.seeds)
        found = np.interp(np.log(overall), np.log(overalls), np.log(own[:, self.number(seeds)]))
        return float(np.exp(found))

    def overall(self, p: float, seeds: int) -> float:
        """The p-value over all looks: the overall level whose level at this look is `p`.

        Args:
            p: The look's own p-value; NaN stays NaN.
            seeds: Seeds that the arm has.
        """
        overalls, own = _table(self.seeds)
        log_own = np.log(own[:, self.number(seeds)])
        if p >= MOST:
            return 1.0
        return float(np.exp(np.interp(np.log(max(p, TINY)), log_own, np.log(overalls))))


def growing(first: int, most: int) -> Looks:
    """Looks from `first` to `most` seeds, each about half as many again as the one before.

    Args:
        first: Seeds at the first look.
        most: Seeds at the last.
    """
    seeds = [first]
    while seeds[-1] < most:
        seeds.append(min(max(round(seeds[-1] * GROWTH), seeds[-1] + 1), most))
    return Looks(tuple(seeds))


def pocock_like(overall: float, share: np.ndarray) -> np.ndarray:
    """Error spent at a share of the most seeds (Lan and DeMets 1983)."""
    return overall * np.log(1 + (np.e - 1) * share)


def boundaries(seeds: Sequence[int], spent: np.ndarray) -> np.ndarray:
    """Two-sided boundaries of the looks' standard normal statistics.

    Args:
        seeds: Seeds at each look, ascending; a look's information is in proportion to them.
        spent: Error spent up to each look.

    Returns:
        `(looks,)`, such that a mean that is 0 crosses one for the first time at a look with the
        probability that is spent there.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    # Where a sum over seeds may be that has crossed nothing yet, and how likely.
    at, mass = np.zeros(1), np.ones(1)
    edges = []
    for before, now, here in zip((0, *seeds), seeds, np.diff(spent, prepend=0.0), strict=False):
        step = np.sqrt(now - before)
        edges.append(_edge(at, mass, step, np.sqrt(now), here))
        inside = edges[-1] * np.sqrt(now)
        points = inside * nodes
        steps = (points[:, None] - at) / step
        density = np.exp(-np.square(steps) / 2) @ mass / (step * np.sqrt(2 * np.pi))
        at, mass = points, density * weights * inside
    return np.array(edges)


def _edge(at: np.ndarray, mass: np.ndarray, step: float, scale: float, spend: float) -> float:
    """The boundary beyond which the next step leads with a given probability."""

    def beyond(edge: float) -> float:
        out = edge * scale
        tails = special.ndtr((at - out) / step) + special.ndtr((-at - out) / step)
        return float(np.log(max(mass @ tails, TINY)) - np.log(spend))

    return float(optimize.brentq(beyond, 0.0, 40.0)) if beyond(0.0) > 0 else 0.0


@cache
def _table(seeds: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Overall levels, and each look's own level at each of them, `(levels, looks)`."""
    share = np.array(seeds) / seeds[-1]
    overalls = np.geomspace(LEAST, MOST, KNOTS)
    own = [2 * special.ndtr(-boundaries(seeds, pocock_like(a, share))) for a in overalls]
    return overalls, np.array(own)
