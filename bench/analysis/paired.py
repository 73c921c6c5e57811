"""Two arms side by side: which seeds they share, and their results on the same test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.arms import Arm, shared_seeds


@dataclass(frozen=True)
class PairedResults:
    """An arm's and its control's results on the same images at the same seeds.

    Args:
        seeds: The seeds that both finished, ascending.
        images: Each seed's test images, which need not be another seed's.
        mine: `(images,)` results of the arm at each seed.
        theirs: `(images,)` results of the control at each seed.
    """

    seeds: tuple[int, ...]
    images: tuple[tuple[str, ...], ...]
    mine: tuple[np.ndarray, ...]
    theirs: tuple[np.ndarray, ...]

    @property
    def differences(self) -> tuple[np.ndarray, ...]:
        """`(images,)` arm minus control at each seed."""
        return tuple(a - b for a, b in zip(self.mine, self.theirs, strict=True))


def compared(arms: Sequence[Arm], control: str) -> list[tuple[Arm, Arm]]:
    """Each arm that is compared with a control, and the control.

    Args:
        arms: All arms of a study.
        control: Name of the arm that others are compared with.

    Returns:
        Pairs of arm and control, in the arms' order; empty where no arm has the control's name.
    """
    baseline = next((arm for arm in arms if arm.name == control), None)
    if baseline is None:
        return []
    return [(arm, baseline) for arm in arms if arm.against == control]


def paired_results(arm: Arm, control: Arm, metric: str) -> PairedResults | None:
    """Two arms' results by seed and image.

    Args:
        arm: The arm.
        control: What it is compared with.
        metric: A metric that is a mean over images, such as `accuracy`.

    Returns:
        None where they share no finished seed, were at some seed not tested on the same images in
        the same order, or the metric is not a mean over images.
    """
    seeds = shared_seeds(arm, control)
    images = tuple(arm.trials[seed].images for seed in seeds)
    if not seeds or images != tuple(control.trials[seed].images for seed in seeds):
        return None
    mine, theirs = arm.by_seed(metric, seeds), control.by_seed(metric, seeds)
    if mine is None or theirs is None:
        return None
    return PairedResults(tuple(seeds), images, tuple(mine), tuple(theirs))
