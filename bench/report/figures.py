"""A study's figures, drawn from stored histories and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm, controls, effects
from bench.analysis.intervals import Estimate
from bench.report.drawing import (
    GREY,
    MOST_DRAWN,
    Figure,
    about,
    colours_of,
    foremost,
    left_out,
    literal,
    set_style,
)
from bench.report.tables import by_size

RANKED = ("ledger", "leave_one_out")
"""Designs whose arms are ranked by the size of their effect: their order means nothing."""

LOSS = "cross-entropy (nats)"


def study_figures(study: dict[str, Any], arms: Sequence[Arm]) -> list[Figure]:
    """All figures of a study.

    Args:
        study: Its record.
        arms: Its arms as measured.
    """
    set_style()
    words, name = about(study), study["name"]
    shown = foremost(arms, MOST_DRAWN)
    history = pd.concat([arm.history() for arm in shown], ignore_index=True)
    words_of_curves = left_out(len(shown), len(arms)) + words
    drawn = [_accuracy(name, arms, words)]
    for number, control in enumerate(controls(list(arms)), start=1):
        suffix = "effects" if number == 1 else f"effects_{number}"
        ranked = study["design"] in RANKED
        drawn.append(_forest(f"{name}.{suffix}", arms, control, words, ranked=ranked))
    for metric, title, what in (
        ("loss", "Total loss", "total loss (nats)"),
        ("category_loss", "Classification loss", f"classification {LOSS}"),
        ("landmarks_loss", "Landmark loss", f"landmark {LOSS}"),
        ("accuracy", "Accuracy by epoch", "top-1 accuracy"),
    ):
        drawn.append(_curves(name, history, shown, metric, title, what, words_of_curves))
    drawn.append(_gates(name, arms, words))
    return [figure for figure in drawn if figure is not None]


def _curves(
    name: str,
    history: pd.DataFrame,
    arms: Sequence[Arm],
    metric: str,
    title: str,
    what: str,
    words: str,
) -> Figure | None:
    found = history[history["metric"] == metric]
    if found.empty or (metric == "loss" and "category_loss" not in set(history["metric"])):
        if metric != "loss" or found.empty:
            return None
        what = f"classification {LOSS}"
    colours = colours_of(arms)
    # Grey arms first, so that they lie behind.
    order = sorted(arms, key=lambda arm: colours[arm.name] != GREY)
    by_arm = {split: dict(list(part.groupby("arm"))) for split, part in found.groupby("split")}
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axis, split, label in zip(
        axes, ("train", "val"), ("training images", "validation images"), strict=True
    ):
        for arm in order:
            rows = by_arm.get(split, {}).get(arm.name)
            if rows is None:
                continue
            colour = colours[arm.name]
            if colour == GREY:
                mean = rows.groupby("epoch")["value"].mean()
                axis.plot(mean.index, mean, color=GREY, lw=0.8)
                continue
            table = rows.pivot_table(index="epoch", columns="seed", values="value")
            axis.plot(table.index, table.mean(axis=1), color=colour, lw=2,
                      label=literal(arm.name, 60))  # fmt: skip
            axis.plot(table.index, table, color=colour, lw=0.6, alpha=0.45)
        axis.set(title=label, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel(what)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize="small", loc="center left",
                  bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    figure.tight_layout()
    grey = sum(colour == GREY for colour in colours.values())
    return Figure(
        f"{name}.{metric}",
        title,
        f"{what[0].upper()}{what[1:]} by epoch; thick: mean over seeds, thin: each seed "
        f"({_seed_range(arms)}). "
        + (f"Grey: the means of the {grey} arms with the smallest effects. " if grey else "")
        + words,
        figure,
        found.drop(columns="metric"),
    )


def _accuracy(name: str, arms: Sequence[Arm], words: str) -> Figure | None:
    measured = [arm for arm in arms if arm.trials]
    if not measured:
        return None
    shown = foremost(measured, MOST_DRAWN)
    figure, axes = plt.subplots(1, 3, figsize=(11, 0.5 * len(shown) + 1.5), sharey=True)
    places = np.arange(len(shown))[::-1]
    colours = colours_of(arms)
    for axis, metric, label in zip(
        axes, ("accuracy", "top_3", "top_5"), ("top-1", "top-3", "top-5"), strict=True
    ):
        for place, arm in zip(places, shown, strict=True):
            estimate = arm.estimate(metric)
            values = [100 * trial.metrics[metric] for trial in arm.trials.values()]
            axis.plot(values, [place] * len(values), "o", color=colours[arm.name], alpha=0.4, ms=5)
            _interval(axis, place, estimate, 100, colours[arm.name])
        axis.set(xlabel=f"{label} accuracy (%)")
    axes[0].set_yticks(places, [literal(arm.name, 60) for arm in shown])
    axes[0].set_ylim(-0.6, len(shown) - 0.4)
    figure.tight_layout()
    images = ", ".join(sorted({f"{arm.sizes['test']:,}" for arm in shown}))
    return Figure(
        f"{name}.arms",
        "Accuracy of each arm",
        f"Dots: seeds ({_seed_range(arms)}); diamonds and bars: mean and 95 % interval over seeds "
        f"and test images ({images} images). {left_out(len(shown), len(measured))}{words}",
        figure,
        pd.DataFrame(
            {"arm": arm.name, "metric": metric, **_ends(arm.estimate(metric))}
            for arm in shown
            for metric in ("accuracy", "top_3", "top_5")
        ),
    )


def _forest(
    name: str, arms: Sequence[Arm], control: str, words: str, *, ranked: bool
) -> Figure | None:
    first = effects(list(arms), control, "accuracy")
    if not first:
        return None
    drawn = {effect.arm for effect in by_size(first)[:MOST_DRAWN]}
    ordered = by_size(first) if ranked else first
    names = [effect.arm for effect in ordered if effect.arm in drawn]
    panels = [(first, 100.0, "difference in top-1 accuracy (points)")]
    errors = effects(list(arms), control, "landmark_ne")
    if errors:
        panels.append((errors, 1.0, "difference in landmark error (NE)"))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(11, 0.42 * len(names) + 1.3), sharey=True, squeeze=False
    )
    places = {arm: place for place, arm in enumerate(reversed(names))}
    for axis, (found, scale, label) in zip(axes[0], panels, strict=True):
        for effect in found:
            if effect.arm not in drawn:
                continue
            colour = "tab:blue" if effect.settled else "0.45"
            _interval(axis, places[effect.arm], effect.difference, scale, colour)
        axis.axvline(0, color="0.3", lw=1)
        axis.locator_params(axis="x", nbins=5)
        axis.set_xlabel(label)
    axes[0, 0].set_yticks(list(places.values()), [literal(arm, 60) for arm in places])
    axes[0, 0].set_ylim(-0.6, len(names) - 0.4)
    figure.tight_layout()
    return Figure(
        name,
        f"Against {control}",
        "Arm minus control, paired by seed, with 95 % intervals over seeds and test images, not "
        "corrected for the number of arms; blue where the Holm-corrected verdict is settled, grey "
        "where it cannot be told."
        + (" Ranked by the size of the difference in accuracy." if ranked else "")
        + f" {left_out(len(names), len(first))}{words}",
        figure,
        pd.DataFrame(
            {"arm": effect.arm, "metric": effect.metric, **_ends(effect.difference)}
            for found, _, _ in panels
            for effect in found
            if effect.arm in drawn
        ),
    )


def _gates(name: str, arms: Sequence[Arm], words: str) -> Figure | None:
    gated = [arm for arm in arms if np.isfinite(arm.estimate("gate_mean").mean)]
    if not gated:
        return None
    shown = foremost(gated, MOST_DRAWN)
    metrics = {
        "gate_mean": "mean of the gate",
        "gate_below_0.1": "share below 0.1",
        "gate_above_0.9": "share above 0.9",
        "gate_energy": "energy passed",
    }
    figure, axes = plt.subplots(1, 4, figsize=(12, 0.5 * len(shown) + 1.5), sharey=True)
    places = np.arange(len(shown))[::-1]
    colours = colours_of(arms)
    for axis, (metric, label) in zip(axes, metrics.items(), strict=True):
        for place, arm in zip(places, shown, strict=True):
            values = [trial.metrics.get(metric, np.nan) for trial in arm.trials.values()]
            axis.plot(values, [place] * len(values), "o", color=colours[arm.name], alpha=0.6)
        axis.set_xlabel(label)
    axes[0].set_yticks(places, [literal(arm.name, 60) for arm in shown])
    axes[0].set_ylim(-0.6, len(shown) - 0.4)
    figure.tight_layout()
    return Figure(
        f"{name}.gates",
        "How far the gates are open",
        f"Over all test images, one dot a seed ({_seed_range(arms)}); energy: share of the feature "
        f"map's sum of squares that passes. {left_out(len(shown), len(gated))}{words}",
        figure,
        pd.DataFrame(
            {"arm": arm.name, "seed": seed, **{m: trial.metrics.get(m) for m in metrics}}
            for arm in shown
            for seed, trial in arm.trials.items()
        ),
    )


def _ends(estimate: Estimate) -> dict[str, float]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}


def _interval(axis: Any, place: float, estimate: Any, scale: float, colour: Any) -> None:
    if np.isfinite(estimate.half_width):
        axis.plot([scale * estimate.low, scale * estimate.high], [place] * 2, color=colour, lw=2)
    axis.plot([scale * estimate.mean], [place], "D", color=colour, ms=7, mec="white")


def _seed_range(arms: Sequence[Arm]) -> str:
    counts = sorted({len(arm.trials) for arm in arms})
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"n = {span} an arm"
