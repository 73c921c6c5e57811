"""Which cells of a grid a design takes, one at a time: nothing here holds a whole grid."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from bench.errors import BenchError
from bench.study.axes import Axis, Level

Cell = tuple[Level, ...]
"""A level of each axis, in the axes' order."""


def all_cells(axes: Sequence[Axis]) -> Iterator[Cell]:
    """The full factorial."""
    return itertools.product(*(axis.levels for axis in axes))


def one_at_a_time(axes: Sequence[Axis], control: Cell) -> Iterator[Cell]:
    """The control, then every other level of each axis alone."""
    yield control
    for index, axis in enumerate(axes):
        for level in axis.levels:
            if level is not control[index]:
                yield (*control[:index], level, *control[index + 1 :])


def one_left_out(axes: Sequence[Axis]) -> Iterator[Cell]:
    """The complete model, each component left out alone, and all of them."""
    complete = tuple(axis.levels[0] for axis in axes)
    yield from one_at_a_time(axes, complete)
    if len(axes) > 1:
        yield tuple(axis.levels[1] for axis in axes)


def ledger_cells(axes: Sequence[Axis], unverified: frozenset[str]) -> Iterator[tuple[Cell, bool]]:
    """As published, each row alone as released; as released, each row alone as published.

    Args:
        axes: The ledger's axes, each from as published to as released.
        unverified: Names of the axes that are no part of as released: each is taken alone.

    Yields:
        A cell, and whether it is compared with as released.
    """
    published = tuple(axis.levels[0] for axis in axes)
    released = tuple(axis.levels[axis.name not in unverified] for axis in axes)
    for cell in one_at_a_time(axes, published):
        yield cell, False
    yield released, False
    for index, axis in enumerate(axes):
        changed = axis.levels[axis.name in unverified]
        yield (*released[:index], changed, *released[index + 1 :]), True


@dataclass(frozen=True)
class Fraction:
    """A two-level fractional factorial design.

    Args:
        base: How many of the axes are crossed in full.
        generators: For each further axis, the base axes whose product gives its level.
        resolution: Length of the shortest word of the defining relation: at 3 a main effect is
            confounded with two-way interactions, at 4 only with three-way ones.
    """

    base: int
    generators: tuple[frozenset[int], ...]
    resolution: int


def fraction(factors: int, runs: int) -> Fraction:
    """Generators of a two-level design with a high resolution.

    Generators are added one after another, each the one that leaves the highest resolution; once
    from all products and once from products of odd length alone, which keep resolution 4 wherever
    it can be had. The better of the two stands.

    Args:
        factors: How many axes.
        runs: How many arms, a power of two below 2 ^ factors.

    Raises:
        ValueError: Too few runs for so many factors.
    """
    base = runs.bit_length() - 1
    words = [
        frozenset(chosen)
        for length in range(base, 1, -1)
        for chosen in itertools.combinations(range(base), length)
    ]
    if factors - base > len(words):
        raise ValueError(f"{runs} runs carry at most {base + len(words)} factors")
    odd = [word for word in words if len(word) % 2]
    tried = [_added(words, base, factors)]
    if factors - base <= len(odd):
        tried.append(_added(odd, base, factors))
    return max(tried, key=lambda plan: plan.resolution)


def _added(words: Sequence[frozenset[int]], base: int, factors: int) -> Fraction:
    generators: list[frozenset[int]] = []
    relation = {frozenset[int]()}
    for factor in range(base, factors):
        free = [word for word in words if word not in generators]
        grown = [relation | {w ^ word ^ {factor} for w in relation} for word in free]
        best = max(range(len(free)), key=lambda i: _quality(grown[i]))
        generators.append(free[best])
        relation = grown[best]
    return Fraction(base, tuple(generators), _quality(relation)[0])


def _quality(relation: set[frozenset[int]]) -> tuple[int, int]:
    """Length of the shortest word, and minus how many are so short."""
    lengths = [len(word) for word in relation if word]
    shortest = min(lengths, default=99)
    return shortest, -lengths.count(shortest)


def fractional_cells(axes: Sequence[Axis], plan: Fraction) -> Iterator[Cell]:
    """The cells of a fractional design; the one with every first level is among them."""
    for bits in itertools.product((0, 1), repeat=plan.base):
        # A product of signs is a sum modulo 2 of level numbers; from 0, all first levels meet.
        rest = [sum(bits[i] for i in word) % 2 for word in plan.generators]
        yield tuple(axis.levels[bit] for axis, bit in zip(axes, (*bits, *rest), strict=True))


def random_cells(axes: Sequence[Axis], control: Cell, seed: int) -> Iterator[Cell]:
    """The control, then every other cell in a random order, without a list of them."""
    yield control
    sizes = [len(axis.levels) for axis in axes]
    total = prod(sizes)
    for number in _permuted(total, seed):
        cell, rest = [], number
        for axis, size in zip(axes, sizes, strict=True):
            rest, index = divmod(rest, size)
            cell.append(axis.levels[index])
        if tuple(cell) != control:
            yield tuple(cell)


def _permuted(total: int, seed: int) -> Iterator[int]:
    """The numbers below `total` in a random order: Fisher and Yates, keeping only what moved."""
    rng = random.Random(seed)
    moved: dict[int, int] = {}
    for position in range(total):
        other = rng.randrange(position, total)
        yield moved.get(other, other)
        moved[other] = moved.pop(position, position)


def two_levels(axes: Sequence[Axis], design: str, where: str) -> None:
    """Make sure that every axis has two levels.

    Raises:
        BenchError: One has more or fewer.
    """
    for axis in axes:
        if len(axis.levels) != 2:
            raise BenchError(
                f"a {design} design has two levels an axis; `{axis.name}` has {len(axis.levels)}",
                where=where,
                fix="name two levels, or take the design factorial or one_factor",
            )
    if not axes:
        raise BenchError(f"a {design} design needs axes", where=where)
