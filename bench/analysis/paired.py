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
        images: The test images, in the columns' order.
        mine: `(seeds, images)` results of the arm.
        theirs: `(seeds, images)` results of the control.
    """

    seeds: tuple[int, ...]
    images: tuple[str, ...]
    mine: np.ndarray
    theirs: np.ndarray


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
        None where they share no finished seed, were not tested on the same images in the same
        order, or the metric is not a mean over images.
    """
    seeds = shared_seeds(arm, control)
    if not seeds or arm.trials[seeds[0]].images != control.trials[seeds[0]].images:
        return None
    mine, theirs = arm.matrix(metric, seeds), control.matrix(metric, seeds)
    if mine is None or theirs is None:
        return None
    return PairedResults(tuple(seeds), arm.trials[seeds[0]].images, mine, theirs)
