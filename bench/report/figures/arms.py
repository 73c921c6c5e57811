"""What each arm scores, how it differs from its control, and how far its gates are open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm, Effect, by_size, controls, effects
from bench.analysis.intervals import Estimate
from bench.metrics.catalogue import ACCURACY, COMPARED, GATE_MEAN, GATES, TOP_K, Metric
from bench.report.drawing import (
    MOST_DRAWN,
    RANKED,
    Figure,
    colours_of,
    draw_interval,
    foremost,
    left_out,
    literal,
    seeds_an_arm,
)
from bench.store.studies import StudyRecord


def accuracy(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Each arm's accuracy among its first classes: its seeds, their mean and its interval."""
    measured = [arm for arm in arms if arm.trials]
    if not measured:
        return None
    shown = foremost(measured, MOST_DRAWN)
    metrics = list(TOP_K.values())
    figure, axes, places = _rows_of_arms(shown, len(metrics), width=11)
    colours = colours_of(arms)
    for axis, metric in zip(axes, metrics, strict=True):
        for place, arm in zip(places, shown, strict=True):
            values = [metric.scale * trial.metrics[metric.name] for trial in arm.trials.values()]
            axis.plot(values, [place] * len(values), "o", color=colours[arm.name], alpha=0.4, ms=5)
            estimate = arm.estimate(metric.name)
            draw_interval(axis, place, estimate, metric.scale, colours[arm.name])
        axis.set(xlabel=f"{metric.in_words} (%)")
    figure.tight_layout()
    images = ", ".join(sorted({f"{arm.sizes['test']:,}" for arm in shown}))
    return Figure(
        f"{study.name}.arms",
        "Accuracy of each arm",
        f"Dots: seeds ({seeds_an_arm(arms)}); diamonds and bars: mean and 95 % interval over "
        f"seeds and test images ({images} images). {left_out(len(shown), len(measured))}",
        figure,
        pd.DataFrame(
            {"arm": arm.name, "metric": metric.name, **ends_of(arm.estimate(metric.name))}
            for arm in shown
            for metric in metrics
        ),
    )


def differences(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """A forest plot for each control: every arm's difference from it, with its interval."""
    for number, control in enumerate(controls(list(arms)), start=1):
        panels = {
            metric: effects(list(arms), control, metric.name, study.margin_in(metric))
            for metric in panel_metrics()
        }
        found = panels[ACCURACY]
        if found:
            suffix = "effects" if number == 1 else f"effects_{number}"
            ordered = by_size(found) if study.design in RANKED else found
            yield _forest(f"{study.name}.{suffix}", control, ordered, panels, study)


def panel_metrics() -> list[Metric]:
    """The first metric of each group that arms are compared in."""
    first: dict[str | None, Metric] = {}
    for metric in COMPARED.values():
        first.setdefault(metric.group, metric)
    return list(first.values())


def _forest(
    name: str,
    control: str,
    ordered: Sequence[Effect],
    panels: dict[Metric, list[Effect]],
    study: StudyRecord,
) -> Figure:
    drawn = {effect.arm for effect in by_size(ordered)[:MOST_DRAWN]}
    names = [effect.arm for effect in ordered if effect.arm in drawn]
    shown = {
        metric: [effect for effect in found if effect.arm in drawn]
        for metric, found in panels.items()
        if found
    }
    rows = {
        metric: [
            (effect.arm, effect.difference, colour_of(effect.settled, effect.equivalent))
            for effect in found
        ]
        for metric, found in shown.items()
    }
    figure = forest(names, rows, {metric: study.margin_in(metric) for metric in shown})
    return Figure(
        name,
        f"Against {control}",
        "Arm minus control, paired by seed, with 95 % intervals over seeds and test images, not "
        "corrected for the number of arms. The band is the margin within which a difference does "
        "not matter. By the Holm-corrected verdict blue is better or worse, green equivalent, grey "
        "cannot be told."
        + (" Ranked by the size of the difference in accuracy." if study.design in RANKED else "")
        + f" {left_out(len(names), len(ordered))}",
        figure,
        pd.DataFrame(
            {"arm": effect.arm, "metric": effect.metric, **ends_of(effect.difference)}
            for found in shown.values()
            for effect in found
        ),
    )


def colour_of(settled: bool, alike: bool) -> str:
    """A difference's colour: green that does not matter, blue that is there, grey not told."""
    if not settled:
        return "0.45"
    return "tab:green" if alike else "tab:blue"


def forest(
    names: Sequence[str],
    panels: Mapping[Metric, Sequence[tuple[str, Estimate, str]]],
    margins: Mapping[Metric, float | None],
) -> Any:
    """A row an arm and a panel a metric: differences with their intervals, over the margin's band.

    Args:
        names: The arms, from the top.
        panels: Metric -> arm, difference and colour of each.
        margins: Metric -> largest difference that does not matter, if known.

    Returns:
        Matplotlib's figure.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(11, 0.42 * len(names) + 1.3), sharey=True, squeeze=False
    )
    places = {arm: place for place, arm in enumerate(reversed(names))}
    for axis, (metric, found) in zip(axes[0], panels.items(), strict=True):
        for arm, difference, colour in found:
            draw_interval(axis, places[arm], difference, metric.scale, colour)
        margin = margins[metric]
        if margin is not None:
            ends = (-margin * metric.scale, margin * metric.scale)
            axis.axvspan(*ends, color="tab:green", alpha=0.08, lw=0)
        axis.axvline(0, color="0.3", lw=1)
        axis.locator_params(axis="x", nbins=5)
        unit = " (points)" if metric.percent else ""
        axis.set_xlabel(f"difference in {metric.in_words}{unit}")
    axes[0, 0].set_yticks(list(places.values()), [literal(arm, 60) for arm in places])
    axes[0, 0].set_ylim(-0.6, len(names) - 0.4)
    figure.tight_layout()
    return figure


def gate_statistics(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """How far each arm's gate is open, a dot a seed."""
    gated = [arm for arm in arms if np.isfinite(arm.estimate(GATE_MEAN.name).mean)]
    if not gated:
        return None
    shown = foremost(gated, MOST_DRAWN)
    figure, axes, places = _rows_of_arms(shown, len(GATES), width=12)
    colours = colours_of(arms)
    for axis, metric in zip(axes, GATES.values(), strict=True):
        for place, arm in zip(places, shown, strict=True):
            values = [trial.metrics.get(metric.name, np.nan) for trial in arm.trials.values()]
            axis.plot(values, [place] * len(values), "o", color=colours[arm.name], alpha=0.6)
        axis.set_xlabel(metric.short)
    figure.tight_layout()
    return Figure(
        f"{study.name}.gates",
        "How far the gates are open",
        f"Over all test images, one dot a seed ({seeds_an_arm(arms)}); energy: share of the "
        "feature map's sum of squares that passes. "
        f"{left_out(len(shown), len(gated))}",
        figure,
        pd.DataFrame(
            {"arm": arm.name, "seed": seed, **{name: trial.metrics.get(name) for name in GATES}}
            for arm in shown
            for seed, trial in arm.trials.items()
        ),
    )


def _rows_of_arms(arms: Sequence[Arm], panels: int, width: float) -> tuple[Any, Any, np.ndarray]:
    """A figure of panels side by side with a row an arm, its axes, and the rows' places."""
    figure, axes = plt.subplots(
        1, panels, figsize=(width, 0.5 * len(arms) + 1.5), sharey=True, squeeze=False
    )
    places = np.arange(len(arms))[::-1]
    axes[0, 0].set_yticks(places, [literal(arm.name, 60) for arm in arms])
    axes[0, 0].set_ylim(-0.6, len(arms) - 0.4)
    return figure, axes[0], places


def ends_of(estimate: Estimate) -> dict[str, float]:
    """A mean and its interval, as a figure's data holds them."""
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
