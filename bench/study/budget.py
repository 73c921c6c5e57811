"""What tuning an arm costs: proposals and epochs, the same for every arm, known beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.study.space import grid_size, space_of
from bench.study.trial import TrialSpec
from bench.study.tuning import EPOCHS, Tuning


@dataclass(frozen=True)
class Budget:
    """What an arm's search may spend; every proposal counts once, whatever the tuning seeds.

    Args:
        proposals: Most proposals; None where only the epochs are bounded.
        epochs: Most epochs; None where only the proposals are bounded.
        passes: Passes of hyperband, 0 for another algorithm.
    """

    proposals: int | None
    epochs: int | None
    passes: int = 0

    def to_json(self) -> dict[str, int | None]:
        """Its part of a record, and of what identifies a search."""
        return {"proposals": self.proposals, "epochs": self.epochs, "passes": self.passes}


Rung = tuple[int, int]


def rungs(most: int, factor: int) -> list[list[Rung]]:
    """One pass of hyperband: brackets of rungs of (proposals, epochs), as KerasTuner lays them.

    A proposal that climbs is trained anew at each rung, from its first epoch: each rung's trial is
    then one that any study would share, and none depends on what ran before it.

    Args:
        most: Epochs of the last rung.
        factor: By how much the epochs grow from rung to rung.
    """
    brackets = 0
    epochs = float(most)
    while epochs >= 1:
        epochs, brackets = epochs / factor, brackets + 1
    last = math.ceil(1 + math.log(most, factor))
    return [
        [
            (
                math.ceil(last / (bracket + 1) * factor ** (bracket - rung)),
                math.ceil(most / factor ** (bracket - rung)),
            )
            for rung in range(bracket + 1)
        ]
        for bracket in reversed(range(brackets))
    ]


def budget_of(tuning: Tuning, spec: TrialSpec) -> Budget:
    """What an arm's search may spend.

    Args:
        tuning: The study's tuning.
        spec: The arm's trial.

    Returns:
        The budget; with 0 proposals where it does not reach for one pass of hyperband.
    """
    if tuning.algorithm == "grid":
        return Budget(grid_size(space_of(tuning, spec)), None)
    if tuning.algorithm != "hyperband":
        if tuning.epochs is not None and EPOCHS not in tuning.space:
            return Budget(tuning.epochs // epochs_of(spec), tuning.epochs)
        return Budget(tuning.trials, tuning.epochs)
    one = [rung for bracket in rungs(epochs_of(spec), tuning.rung_factor) for rung in bracket]
    proposals = sum(count for count, _ in one)
    epochs = sum(count * each for count, each in one)
    passes = (tuning.trials or 0) // proposals if tuning.trials else (tuning.epochs or 0) // epochs
    return Budget(passes * proposals, passes * epochs, passes)


def epochs_of(spec: TrialSpec) -> int:
    """Epochs that a trial is trained at most; 0 for one that is not trained."""
    return spec.train.epochs if spec.train is not None else 0
