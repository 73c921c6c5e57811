"""Accuracy along an axis of numbers: learning curves, and how a setting's size matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.metrics.catalogue import ACCURACY
from bench.report.drawing import MOST_COLOURS, Figure, literal
from bench.store.studies import StudyRecord

FEWEST_LEVELS = 3
"""Fewer numbers make no curve."""


def by_level(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """Accuracy along each axis of numbers of a crossed design, a line for the other axes' levels.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Yields:
        A figure an axis with at least three numbers; none where lines would be too many to tell
        apart.
    """
    for axis in study.axes if study.design.crossed else ():
        levels = {label: number for label in axis.levels if (number := _number(label)) is not None}
        if len(levels) < FEWEST_LEVELS or len(levels) < len(axis.levels):
            continue
        rows = pd.DataFrame(_rows(axis.name, levels, arms))
        if not rows.empty and rows["line"].nunique() <= MOST_COLOURS:
            yield _curve(study, axis.name, rows)


def _rows(axis: str, levels: dict[str, float], arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    for arm in arms:
        if axis not in arm.levels or not arm.trials:
            continue
        estimate = arm.estimate(ACCURACY.name)
        others = [level for name, level in arm.levels.items() if name != axis]
        yield {
            "line": ", ".join(others) or "all",
            axis: levels[arm.levels[axis]],
            "mean": 100 * estimate.mean,
            "low": 100 * estimate.low,
            "high": 100 * estimate.high,
            "seeds": estimate.seeds,
        }


def _curve(study: StudyRecord, axis: str, rows: pd.DataFrame) -> Figure:
    figure, drawing = plt.subplots(figsize=(8, 4.2))
    for line, part in rows.groupby("line", sort=False):
        part = part.sort_values(axis)  # noqa: PLW2901
        (drawn,) = drawing.plot(part[axis], part["mean"], "o-", label=literal(str(line), 60))
        drawing.fill_between(
            part[axis], part["low"], part["high"], color=drawn.get_color(), alpha=0.15, lw=0
        )
    numbers = np.sort(rows[axis].unique())
    wide = bool(numbers[0] > 0 and numbers[-1] / numbers[0] >= 8)
    if wide:
        drawing.set_xscale("log")
    drawing.set_xticks(numbers, [f"{number:g}" for number in numbers])
    drawing.minorticks_off()
    drawing.set(xlabel=axis + (" (logarithmic scale)" if wide else ""), ylabel="top-1 accuracy (%)")
    if rows["line"].nunique() > 1:
        drawing.legend(frameon=False, fontsize="small")
    figure.tight_layout()
    seeds = sorted({int(count) for count in rows["seeds"]})
    counted = " to ".join(str(count) for count in dict.fromkeys((seeds[0], seeds[-1])))
    return Figure(
        f"{study.name}.by_{axis}",
        f"Accuracy along {axis}",
        f"Top-1 accuracy in percent (vertical) along {axis} (horizontal); mean over seeds (n = "
        f"{counted}), bands: 95 % intervals over seeds and test images.",
        figure,
        rows,
    )


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None
