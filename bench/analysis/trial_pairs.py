"""A study's trials in two stores, matched by arm and seed: the same numbers, and from the same?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.arms import Arm
from bench.store.agreement import compare
from bench.store.studies import StudyRecord

ONLY_A, ONLY_B = "only in A", "only in B"


@dataclass(frozen=True)
class TrialReplication:
    """An arm's trial at a seed, in two stores.

    Args:
        arm: The arm.
        seed: The seed.
        a: Identity in the first store.
        b: Identity in the second.
        verdict: `identical`, `within tolerance`, `different`, `only in A` or `only in B`.
        deviation: Largest difference of a probability; NaN where none was compared.
        where: Where that is; of a trial that only one has, what became of it in the other.
        changed: Inputs that differ, the first suspects first: name -> (in A, in B).
    """

    arm: str
    seed: int
    a: str | None
    b: str | None
    verdict: str
    deviation: float
    where: str
    changed: dict[str, tuple[Any, Any]]

    def to_json(self) -> dict[str, Any]:
        """The comparison as `--json` prints it."""
        return {
            "arm": self.arm,
            "seed": self.seed,
            "trial_in_a": self.a,
            "trial_in_b": self.b,
            "verdict": self.verdict,
            "largest_difference_of_a_probability": self.deviation,
            "where": self.where,
            "changed": {name: list(pair) for name, pair in self.changed.items()},
        }


def trial_replications(
    a: tuple[StudyRecord, Sequence[Arm]], b: tuple[StudyRecord, Sequence[Arm]], tolerance: float
) -> Iterator[TrialReplication]:
    """Every finished trial of either store beside that of the other.

    Args:
        a: The study's record in the first store, and its arms as measured.
        b: The same of the second.
        tolerance: Largest difference of a probability that counts as rounding.

    Raises:
        BenchError: A trial cannot be read.
    """
    (one, mine), (other, theirs) = ((_identities(study), _by_name(arms)) for study, arms in (a, b))
    nothing: dict[int, str] = {}
    for name in dict.fromkeys([*mine, *theirs]):
        first, second = mine.get(name), theirs.get(name)
        in_a, in_b = (arm.trials if arm is not None else {} for arm in (first, second))
        for seed in sorted(in_a.keys() | in_b.keys()):
            id_a = one.get(name, nothing)[seed] if seed in in_a else None
            id_b = other.get(name, nothing)[seed] if seed in in_b else None
            if id_a is not None and id_b is not None:
                found = compare(in_a[seed].read(), in_b[seed].read(), tolerance)
                verdict, deviation = str(found.verdict), found.deviation
                where, changed = found.where, found.changed
            else:
                verdict, lacks = (ONLY_A, second) if id_b is None else (ONLY_B, first)
                deviation, where, changed = float("nan"), _end_of(lacks, seed), {}
            yield TrialReplication(name, seed, id_a, id_b, verdict, deviation, where, changed)


def _identities(study: StudyRecord) -> dict[str, dict[int, str]]:
    return {arm.name: arm.trials for arm in study.arms}


def _by_name(arms: Sequence[Arm]) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms}


def _end_of(arm: Arm | None, seed: int) -> str:
    """What became of a trial in the store that lacks it."""
    failed = arm.failed.get(seed) if arm is not None else None
    return f"{failed.kind} in the other: {failed.error}" if failed is not None else ""
