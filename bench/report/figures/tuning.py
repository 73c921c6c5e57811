"""A tuned study's figures: expected best against budget, and where the proposals lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.analysis.tuning import best_so_far, expected_best
from bench.metrics.catalogue import metric_named
from bench.report.drawing import Figure, colours_of, literal
from bench.report.tables.tuning import how_tuned, short
from bench.store.searches import Search
from bench.store.studies import RecordedTuning, StudyRecord


def tuning_figures(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """Expected best against budget, and the space, one panel a setting.

    Args:
        study: Its record.
        arms: Its arms as measured, with their searches.
    """
    searches = {arm.name: arm.search for arm in arms if arm.search and arm.search.whole()}
    if study.tuning is None or not searches:
        return
    colours = colours_of(arms)
    yield _expected(study.name, study.tuning, searches, colours)
    yield _space(study.name, study.tuning, searches, colours)


def _expected(
    name: str, tuning: RecordedTuning, searches: Mapping[str, Search], colours: dict[str, Any]
) -> Figure:
    metric, direction = metric_named(tuning.metric), tuning.direction
    scale, label = metric.scale, f"best validation {metric.label}"
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    rows = []
    for arm, search in searches.items():
        colour = colours[arm]
        scores = _scores(search)
        curve = expected_best([s for _, s in scores], direction)
        left.plot(curve.budget, scale * curve.expected, color=colour, lw=2,
                  label=literal(arm, 60))  # fmt: skip
        left.fill_between(
            curve.budget, scale * curve.low, scale * curve.high, color=colour, alpha=0.15, lw=0
        )
        epochs = np.cumsum([p.spent for p in search.proposals])
        found = best_so_far([s for _, s in _scores(search, every=True)], direction)
        right.step(epochs, scale * found, where="post", color=colour, lw=2)
        rows += [
            {"arm": arm, "curve": "expected", "budget": int(n), "best": e, "low": lo, "high": hi}
            for n, e, lo, hi in zip(
                curve.budget, curve.expected, curve.low, curve.high, strict=True
            )
        ]
        rows += [
            {"arm": arm, "curve": "as it went", "budget": int(n), "best": best}
            for n, best in zip(epochs, found, strict=True)
        ]
    left.set(xlabel="proposals", ylabel=label, title="expected")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(xlabel="epochs spent, a tuning seed", title="as it went")
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize="small",
                  loc="center left", bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    figure.tight_layout()
    return Figure(
        f"{name}.expected_best",
        "Expected best validation score against budget",
        "Left: expected best of n proposals and where it falls in 90 of 100 searches (Dodge et al. "
        "2019), from the proposals made"
        + (
            ""
            if tuning.algorithm == "random"
            else ", which were not independent draws here, so that it is about their order alone"
        )
        + ". Where two curves cross, the lead depends on how much was tuned. Right: the best so "
        "far in the order of proposing. A failed proposal counts as the worst. "
        f"{how_tuned(tuning)}",
        figure,
        pd.DataFrame(rows),
    )


def _scores(search: Search, *, every: bool = False) -> list[tuple[dict[str, Any], float]]:
    """Proposals and their scores, NaN where they failed; those stopped early only where asked."""
    whole = {p.number for p in search.whole()}
    last = max((p.spent for p in search.proposals if p.rung is not None), default=None)
    return [
        (p.values, p.score if p.score is not None and p.number in whole else float("nan"))
        for p in search.proposals
        if every or last is None or p.spent == last
    ]


def _space(
    name: str, tuning: RecordedTuning, searches: Mapping[str, Search], colours: dict[str, Any]
) -> Figure:
    metric, space = metric_named(tuning.metric), tuning.space
    columns = min(len(space), 3)
    lines = -(-len(space) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4 * columns, 3.2 * lines), sharey=True, squeeze=False
    )
    for axis, (path, dimension) in zip(axes.flat, space.items(), strict=False):
        for number, (arm, search) in enumerate(searches.items()):
            best = search.best()
            # Arms side by side where values are single ones.
            shift = (number - (len(searches) - 1) / 2) * 0.5 / len(searches)
            for values, score, star in (
                (p.values, p.score, best is not None and p.number == best.number)
                for p in search.whole()
            ):
                if path in values and score is not None:
                    place = _place(dimension, values[path], shift)
                    axis.plot([place], [metric.scale * score], "*" if star else "o",
                              color=colours[arm], ms=14 if star else 6, alpha=1.0 if star else 0.6,
                              mec="white", zorder=3 if star else 2)  # fmt: skip
        if dimension["kind"] == "choice":
            labels = [literal(short(value)) for value in dimension["values"]]
            axis.set_xticks(range(len(labels)), labels)
        else:
            axis.set_xscale(dimension["scale"])
            axis.set_xlim(*_ends(dimension))
        axis.set_xlabel(path)
    for axis in axes.flat[len(space) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel(f"validation {metric.label}")
    handles = [
        plt.Line2D([], [], marker="o", ls="", color=colours[arm], label=literal(arm, 60))
        for arm in searches
    ]
    figure.legend(handles=handles, frameon=False, fontsize="small", loc="center left",
                  bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    figure.tight_layout()
    rows = [
        {"arm": arm, "proposal": p.number + 1, **p.values, "epochs": p.spent, "score": p.score,
         "error": p.error}
        for arm, search in searches.items()
        for p in search.proposals
    ]  # fmt: skip
    return Figure(
        f"{name}.space",
        "Where the proposals lie, and what they scored",
        f"One dot a proposal that was trained for all its epochs, stars: each arm's best. "
        f"{how_tuned(tuning)}",
        figure,
        pd.DataFrame(rows),
    )


def _place(dimension: Mapping[str, Any], value: Any, shift: float) -> float:
    if dimension["kind"] == "choice":
        return float(dimension["values"].index(value)) + shift
    return float(value)


def _ends(dimension: Mapping[str, Any]) -> tuple[float, float]:
    """A range's ends with a little room."""
    low, high = float(dimension["low"]), float(dimension["high"])
    if dimension["scale"] == "log":
        room = (high / low) ** 0.04
        return low / room, high * room
    room = (high - low) * 0.04
    return low - room, high + room
