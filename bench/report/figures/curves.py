"""Losses and accuracy by epoch, from stored histories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from bench.analysis.arms import Arm
from bench.report.drawing import (
    GREY,
    MOST_DRAWN,
    Figure,
    colours_of,
    foremost,
    hex_colours,
    left_out,
    literal,
    seeds_an_arm,
)
from bench.report.interactive import curves_chart
from bench.store.studies import StudyRecord

LOSS = "cross-entropy (nats)"

CURVES = (
    ("loss", "Total loss", "total loss (nats)"),
    ("category_loss", "Classification loss", f"classification {LOSS}"),
    ("landmarks_loss", "Landmark loss", f"landmark {LOSS}"),
    ("accuracy", "Accuracy by epoch", "top-1 accuracy"),
)
"""Name in the history, title, and label of the vertical axis."""


def curves(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """Each loss and the accuracy by epoch, on training and on validation images."""
    shown = foremost(arms, MOST_DRAWN)
    history = pd.concat([arm.history() for arm in shown], ignore_index=True)
    colours = colours_of(shown)
    told = [arm for arm in shown if colours[arm.name] != GREY]
    grey = len(shown) - len(told)
    for metric, title, label in CURVES:
        rows = history[history["metric"] == metric]
        if rows.empty:
            continue
        if metric == "loss" and not history["metric"].str.endswith("_loss").any():
            label = f"classification {LOSS}"  # noqa: PLW2901
        yield Figure(
            f"{study.name}.{metric}",
            title,
            f"{label[0].upper()}{label[1:]} by epoch; thick: mean over seeds, thin: each seed "
            f"({seeds_an_arm(shown)}). "
            + (f"Grey: the means of the {grey} arms with the smallest effects. " if grey else "")
            + left_out(len(shown), len(arms)),
            _draw(rows, shown, label, colours),
            rows.drop(columns="metric"),
            partial(curves_chart, label=label, colours=hex_colours(told, colours)),
        )


def _draw(history: pd.DataFrame, arms: Sequence[Arm], label: str, colours: dict[str, Any]) -> Any:
    # Grey arms first, so that they lie behind.
    order = sorted(arms, key=lambda arm: colours[arm.name] != GREY)
    by_arm = {split: dict(list(part.groupby("arm"))) for split, part in history.groupby("split")}
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axis, split, title in zip(
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
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel(label)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize="small", loc="center left",
                  bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    figure.tight_layout()
    return figure
