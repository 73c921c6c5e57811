"""What each arm scores, how it differs from its control, and how far its gates are open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.answers import deciding_effects, deciding_metric
from bench.analysis.arms import Arm, Effect, by_size, effects
from bench.analysis.intervals import Estimate
from bench.analysis.verdicts import CANNOT_TELL
from bench.metrics.catalogue import COMPARED, GATE_MEAN, GATES, TOP_K, Metric, lower_is_better
from bench.report.drawing import (
    MOST_DRAWN,
    RANKED,
    Figure,
    colours_of,
    draw_interval,
    foremost,
    hex_colours,
    left_out,
    literal,
    seeds_an_arm,
)
from bench.report.interactive import arms_chart, forest_chart
from bench.report.verdicts import ON_WHITE, SIGNS, SIGNS_IN_WORDS, kind_of
from bench.store.studies import StudyRecord

LONGEST_ROW = 40
"""Characters of an arm's name that a forest plot has room for beside its panel."""


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
            {
                "arm": arm.name,
                "metric": metric.name,
                **ends_of(arm.estimate(metric.name)),
                "seed": seed,
                "value": trial.metrics[metric.name],
            }
            for arm in shown
            for metric in metrics
            for seed, trial in arm.trials.items()
        ),
        partial(arms_chart, metrics=metrics, colours=hex_colours(shown, colours)),
    )


def differences(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """What decides a study: a forest plot for each control, in the metric that decides."""
    metric = deciding_metric(study)
    for name, control, found in _compared(study, arms):
        title = f"{metric.in_words[:1].upper()}{metric.in_words[1:]} against {control}"
        yield _forest(name, title, found, {metric: found}, study)


def other_differences(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """The same in the other metrics that arms are compared in, a panel each."""
    for name, control, found in _compared(study, arms):
        panels = {
            metric: effects(list(arms), control, metric.name, study.margin_in(metric))
            for metric in COMPARED.values()
            if metric != deciding_metric(study)
        }
        if any(panels.values()):
            title = f"The other metrics against {control}"
            yield _forest(f"{name}.others", title, found, panels, study)


def _compared(
    study: StudyRecord, arms: Sequence[Arm]
) -> Iterator[tuple[str, str, Sequence[Effect]]]:
    """A figure's name, its control and the effects against that, in the figure's order."""
    for number, (control, found) in enumerate(deciding_effects(study, arms).items(), start=1):
        if found:
            suffix = "effects" if number == 1 else f"effects_{number}"
            yield (
                f"{study.name}.{suffix}",
                control,
                by_size(found) if study.design in RANKED else found,
            )


def _forest(
    name: str,
    title: str,
    ordered: Sequence[Effect],
    panels: Mapping[Metric, Sequence[Effect]],
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
            (effect.arm, effect.difference, effect.verdict if effect.settled else CANNOT_TELL)
            for effect in found
        ]
        for metric, found in shown.items()
    }
    margins = {metric: study.margin_in(metric) for metric in shown}
    figure = forest(names, rows, margins)
    signs = "" if len(shown) == 1 else f" ({SIGNS_IN_WORDS})"
    ranked = " Ranked by the size of the difference." if study.design in RANKED else ""
    return Figure(
        name,
        title,
        "Arm minus control, paired by seed; bars are 95 % intervals over seeds and test images. "
        "Grey: the margin, within which a difference does not matter. Verdicts are corrected for "
        f"the number of arms by Holm's method{signs}, intervals are not.{ranked} "
        f"{left_out(len(names), len(ordered))}",
        figure,
        pd.DataFrame(
            {
                "arm": effect.arm,
                "metric": effect.metric,
                **ends_of(effect.difference),
                "seeds": effect.difference.seeds,
                "verdict": effect.verdict,
            }
            for found in shown.values()
            for effect in sorted(found, key=lambda effect: names.index(effect.arm))
        ),
        partial(forest_chart, margins=margins),
    )


def forest(
    names: Sequence[str],
    panels: Mapping[Metric, Sequence[tuple[str, Estimate, str]]],
    margins: Mapping[Metric, float | None],
) -> Any:
    """A row an arm and a panel a metric: differences with their intervals, over the margin's band.

    Args:
        names: The arms, from the top.
        panels: Metric -> arm, difference and verdict of each; one panel has the verdicts in words,
            several have their signs.
        margins: Metric -> largest difference that does not matter, if known.

    Returns:
        Matplotlib's figure.
    """
    labels = {arm: literal(arm, LONGEST_ROW) for arm in names}
    width = 1.5 + 0.1 * max(map(len, labels.values())) + 3.2 * len(panels)
    figure, axes = plt.subplots(
        1, len(panels), figsize=(width, 0.42 * len(names) + 1.5), sharey=True, squeeze=False
    )
    places = {arm: place for place, arm in enumerate(reversed(names))}
    for axis, (metric, found) in zip(axes[0], panels.items(), strict=True):
        for arm, difference, verdict in found:
            kind = kind_of(verdict)
            draw_interval(axis, places[arm], difference, metric.scale, ON_WHITE[kind])
            axis.text(
                1.02, places[arm], f"{SIGNS[kind]} {verdict}" if len(panels) == 1 else SIGNS[kind],
                color=ON_WHITE[kind], weight="bold", va="center",
                transform=axis.get_yaxis_transform(),
            )  # fmt: skip
        margin = margins[metric]
        if margin is not None:
            ends = (-margin * metric.scale, margin * metric.scale)
            axis.axvspan(*ends, color="0.5", alpha=0.12, lw=0)
        axis.axvline(0, color="0.3", lw=1)
        axis.locator_params(axis="x", nbins=4)
        ways = ("better", "worse") if lower_is_better(metric.name) else ("worse", "better")
        unit = " (points)" if metric.percent else ""
        axis.set_xlabel(f"difference in {metric.in_words}{unit}\n← {ways[0]}        {ways[1]} →")
    axes[0, 0].set_yticks(list(places.values()), [labels[arm] for arm in places])
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
