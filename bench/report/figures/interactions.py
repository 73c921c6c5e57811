"""Whether a factor's effect depends on another's level: the strongest pairs of a crossed design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.analysis.factors import Contrast, factor_effects
from bench.analysis.intervals import over_seeds_and_images
from bench.metrics.catalogue import ACCURACY
from bench.report.drawing import Figure, literal, settle
from bench.store.studies import StudyRecord

MOST_PAIRS = 6


def interactions(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Mean accuracy by the levels of two factors, for the pairs that interact most.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Returns:
        Data: `first factor`, `its level`, `second factor`, `its level there`, `accuracy` with its
        `low` and `high` in percent, and the `arms` that it is the mean of. None for a design
        that does not cross its axes, or where no interaction can be told from main effects.
    """
    if not study.design.crossed:
        return None
    axes = study.control_axes()
    pairs = _strongest(
        factor_effects(arms, axes, study.control_levels(), ACCURACY.name, study.margin_in(ACCURACY))
    )
    rows = [row for pair in pairs for row in _means(pair, axes, arms)]
    if not rows:
        return None
    table = pd.DataFrame(rows)
    columns = min(len(pairs), 3)
    lines = -(-len(pairs) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(3.9 * columns, 3.3 * lines), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for panel, pair in zip(panels.flat, pairs, strict=False):
        _draw(panel, pair, axes, table)
    for panel in panels.flat[len(pairs) :]:
        panel.set_axis_off()
    # Few seeds make intervals that no accuracy can reach.
    low, high = panels.flat[0].get_ylim()
    panels.flat[0].set_ylim(max(low, 0), min(high, 100))
    figure.supylabel("top-1 accuracy (%)", fontsize=10)
    settle(figure)
    caption = (
        "Mean top-1 accuracy (vertical) of the arms with each pair of levels, averaged over the "
        "other factors as far as the cells that were run allow; bars: 95 % intervals over seeds "
        "and test images. Lines that are not parallel are an interaction. "
        f"The {len(pairs)} pairs of the largest interactions; sizes, tests and verdicts are in "
        "the table of factors."
    )
    return Figure(f"{study.name}.interactions", "Interactions", caption, figure, table)


def _strongest(contrasts: Sequence[Contrast]) -> list[tuple[str, str]]:
    """Pairs of factors, by their largest interaction."""
    sizes: dict[tuple[str, str], float] = {}
    for contrast in contrasts:
        if contrast.order == 2 and contrast.difference is not None:
            first, other = contrast.factors
            size = abs(contrast.difference.mean)
            sizes[first, other] = max(size, sizes.get((first, other), 0.0))
    return sorted(sizes, key=lambda pair: -sizes[pair])[:MOST_PAIRS]


def _means(
    pair: tuple[str, str], axes: Mapping[str, Sequence[str]], arms: Sequence[Arm]
) -> list[dict[str, Any]]:
    one, other = pair
    rows = []
    for level in axes[one]:
        for beside in axes[other]:
            found = [
                _results(arm)
                for arm in arms
                if (arm.levels.get(one), arm.levels.get(other)) == (level, beside) and arm.trials
            ]
            if not found or len({matrix.shape for matrix in found}) > 1:
                continue
            estimate = over_seeds_and_images(np.mean(found, axis=0))
            rows.append(
                {
                    "first factor": one,
                    "its level": level,
                    "second factor": other,
                    "its level there": beside,
                    "accuracy": 100 * estimate.mean,
                    "low": 100 * estimate.low,
                    "high": 100 * estimate.high,
                    "arms": len(found),
                }
            )
    return rows


def _results(arm: Arm) -> np.ndarray:
    """`(seeds, images)` accuracy, or `(seeds, 1)` where the seeds were tested on other images."""
    matrix = arm.matrix(ACCURACY.name)
    if matrix is not None:
        return matrix
    return np.array([[trial.metrics[ACCURACY.name]] for trial in arm.trials.values()])


def _draw(
    panel: Any, pair: tuple[str, str], axes: Mapping[str, Sequence[str]], table: pd.DataFrame
) -> None:
    one, other = pair
    of_pair = table[(table["first factor"] == one) & (table["second factor"] == other)]
    for number, beside in enumerate(axes[other]):
        rows = of_pair[of_pair["its level there"] == beside].set_index("its level")
        rows = rows.reindex(list(axes[one]))
        # Side by side, so that one interval does not hide another.
        places = np.arange(len(rows)) + 0.08 * (number - (len(axes[other]) - 1) / 2)
        spread = [rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]
        panel.errorbar(places, rows["accuracy"], yerr=spread, fmt="o-", ms=4, lw=1.5, elinewidth=1,
                       label=literal(beside, 20))  # fmt: skip
    panel.set_xticks(range(len(axes[one])), [literal(level, 14) for level in axes[one]], fontsize=8)
    panel.set_xlim(-0.4, len(axes[one]) - 0.6)
    panel.set_xlabel(literal(one), fontsize=9)
    panel.tick_params(axis="y", labelsize=8)
    panel.legend(title=literal(other), title_fontsize=8, fontsize=7, frameon=False)
