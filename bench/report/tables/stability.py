"""The table of stability: what an arm's seeds have to do with its result."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.arms import Arm
from bench.analysis.stability import COLLAPSED, stability
from bench.report.cells import Measured, Table


def stability_table(name: str, arms: Sequence[Arm]) -> Table | None:
    """Spread between seeds and collapsed seeds of each arm; None before a trial is finished.

    Args:
        name: Name of the study.
        arms: Its arms as measured.
    """
    found = [stability(arm) for arm in arms if arm.trials]
    if not found:
        return None
    rows = [
        {
            "arm": one.arm,
            "seeds": len(one.values),
            "spread between seeds (points)": Measured(one.spread, True),
            "lowest seed %": 100 * min(one.values.values()),
            "highest seed %": 100 * max(one.values.values()),
            "commonest class %": 100 * one.commonest,
            "seeds collapsed": len(one.collapsed),
        }
        for one in found
    ]
    return Table(
        f"{name}.stability",
        "Stability: what the seed does",
        "Top-1 accuracy. Spread: standard deviation between seeds, with a 95 % interval for seeds "
        f"that are normally distributed. Collapsed: {COLLAPSED:.0%} of the test images or more are "
        "given one and the same class. Commonest class: what answering it always would score.",
        tuple(rows[0]),
        tuple(rows),
    )
