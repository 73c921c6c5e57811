"""How much each arm depends on its seed."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.analysis.stability import stability
from bench.report.drawing import (
    MOST_DRAWN,
    Figure,
    colours_of,
    draw_interval,
    foremost,
    left_out,
    literal,
)
from bench.store.studies import StudyRecord


def seed_stability(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Every seed's accuracy beside the commonest class' share, and the spread between seeds."""
    measured = [arm for arm in arms if len(arm.trials) > 1]
    if not measured:
        return None
    drawn = foremost(measured, MOST_DRAWN)
    found = [stability(arm) for arm in drawn]
    figure, (seeds, spread) = plt.subplots(
        1, 2, figsize=(11, 0.45 * len(found) + 1.5), sharey=True, width_ratios=(2, 1)
    )
    places, colours = np.arange(len(found))[::-1], colours_of(arms)
    for place, one in zip(places, found, strict=True):
        for seed, value in one.values.items():
            mark = "X" if seed in one.collapsed else "o"
            seeds.plot([100 * value], [place], mark, color=colours[one.arm], alpha=0.6, ms=7)
        draw_interval(spread, place, one.spread, 100, colours[one.arm])
    commonest = 100 * found[0].commonest
    seeds.axvline(commonest, color="0.3", lw=1, ls="--")
    seeds.set_yticks(places, [literal(one.arm, 60) for one in found])
    seeds.set_ylim(-0.6, len(found) - 0.4)
    seeds.set_xlabel("top-1 accuracy of each seed (%)")
    spread.set_xlim(left=0)
    spread.set_xlabel("standard deviation between seeds (points)")
    figure.tight_layout()
    return Figure(
        f"{study.name}.stability",
        "What the seed does",
        "Left: one mark a seed, a cross where it has collapsed onto one class; the dashed line is "
        f"the commonest class' share of the test images, {commonest:.1f} %. Right: the spread "
        f"between seeds with its 95 % interval. {left_out(len(found), len(measured))}",
        figure,
        pd.DataFrame(
            {"arm": one.arm, "seed": seed, "accuracy": value, "collapsed": seed in one.collapsed}
            for one in found
            for seed, value in one.values.items()
        ),
    )
