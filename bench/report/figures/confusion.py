"""Which classes an arm takes for which: the paper's Figure 6."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LogNorm, to_hex

from bench.analysis.arms import Arm
from bench.report.drawing import Figure, count, file_key, literal, settle, span
from bench.report.interactive import matrix_chart
from bench.store.record import Predictions
from bench.store.studies import StudyRecord

MOST_CLASSES = 60
"""Classes that the matrix stays readable at."""

MAP = sns.color_palette("mako_r", as_cmap=True)
"""White to dark by lightness, which every reader sees alike: dark cells are the full ones."""


def confusion(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """Confusion matrices, summed over an arm's seeds: predictions, and shares of each true class.

    All test images count, under any evaluation protocol: a last batch of four fills no matrix.

    Args:
        study: The study's record.
        arms: The arms to show; those without a finished trial are left out.

    Yields:
        A figure an arm. Data: `true class`, `answered class`, `answers` and `share of true class`
        (NaN where the class is no image's) of every cell shown.
    """
    return (_confusion(study, arm) for arm in arms if arm.trials)


def _confusion(study: StudyRecord, arm: Arm) -> Figure:
    records = [trial.read() for trial in arm.trials.values()]
    names = records[0].data["class_names"]
    counts = np.sum([_counts(record.predictions) for record in records], axis=0)
    true, predicted = counts.sum(axis=1), counts.sum(axis=0)
    occurs = np.flatnonzero(true + predicted)
    # lexsort's last key is its first.
    order = occurs[np.lexsort((occurs, -predicted[occurs], -true[occurs]))]
    shown = order[:MOST_CLASSES]
    cells = counts[np.ix_(shown, shown)]
    of_true = true[shown][:, None]
    shares = np.divide(cells, of_true, out=np.full(cells.shape, np.nan), where=of_true > 0)

    caption = (
        "Rows: true class, with the number of its images over all seeds; columns: the class "
        "answered (the most probable); both by their frequency among the test images. Left: "
        "number of answers (logarithmic colours, white: none); right: share of the row (%). "
        f"{arm.name}, n = {count(len(records), 'seed')} added up, "
        f"{span([len(record.predictions.labels) for record in records])} test images each. "
        f"{_collapse(names, true, predicted)} "
        f"{_left_out(len(names) - len(order), len(order) - len(shown))}"
    )
    named = np.array(names, dtype=object)[shown]
    data = pd.DataFrame(
        {
            "true class": np.repeat(named, len(shown)),
            "answered class": np.tile(named, len(shown)),
            "answers": cells.ravel(),
            "share of true class": shares.ravel(),
        }
    )
    name = f"{study.name}.confusion.{file_key(study, arm.name)}"
    figure = _draw(named, true[shown], cells, shares)
    chart = partial(matrix_chart, scheme=[to_hex(MAP(shade)) for shade in np.linspace(0, 1, 9)])
    return Figure(name, f"Confusion matrix of {arm.name}", caption, figure, data, chart)


def _counts(predictions: Predictions) -> np.ndarray:
    """`(classes, classes)` predictions by true and predicted class."""
    classes, labels = predictions.probabilities.shape[1], predictions.labels.astype(np.int64)
    cell = labels * classes + predictions.probabilities.argmax(axis=1)
    return np.bincount(cell, minlength=classes**2).reshape(classes, classes)


def _collapse(names: list[str], true: np.ndarray, predicted: np.ndarray) -> str:
    """Which class is predicted most, and how many classes never are."""
    most = int(np.argmax(predicted))
    never = int(((true > 0) & (predicted == 0)).sum())
    return (
        f"Answered most: {names[most]}, {100 * predicted[most] / predicted.sum():.1f} % of the "
        f"answers, where {100 * true[most] / true.sum():.1f} % of the images are of that class; "
        f"never answered: {never} of the {int((true > 0).sum())} classes that occur."
    )


def _left_out(neither: int, rarest: int) -> str:
    """Which classes have no row and column."""
    parts = []
    if neither:
        parts.append(f"{count(neither, 'class')} that no image has and no answer names")
    if rarest:
        parts.append(f"the {rarest} rarest of the others")
    return f"Left out: {' and '.join(parts)}. " if parts else ""


def _draw(names: np.ndarray, true: np.ndarray, cells: np.ndarray, shares: np.ndarray) -> Any:
    size = len(names)
    side = float(np.clip(0.155 * size, 3.0, 8.5))
    figure, axes = plt.subplots(
        1, 2, figsize=(2 * side + 3.5, side + 1.8), sharey=True, layout="constrained"
    )
    norm = LogNorm(1, max(int(cells.max()), 2))
    font = float(np.clip(72 * side / size * 0.62, 5.5, 9.5))
    for axis, values, scale, title in (
        (axes[0], np.ma.masked_equal(cells, 0), {"norm": norm}, "number of answers"),
        (
            axes[1],
            np.ma.masked_where(~(shares > 0), 100 * shares),
            {"vmin": 0, "vmax": 100},
            "share of the true class (%)",
        ),
    ):
        drawn = axis.imshow(values, cmap=MAP, interpolation="nearest", **scale)
        bar = figure.colorbar(drawn, ax=axis, fraction=0.045, pad=0.015)
        axis.set_title(title, fontsize=11)
        bar.ax.tick_params(labelsize=8)
        if axis is axes[0]:
            bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            bar.ax.yaxis.set_minor_formatter(lambda value, _: "")
        axis.set_xticks(range(size), [literal(name) for name in names], rotation=90, fontsize=font)
        axis.set_xlabel("answered class", fontsize=10)
        axis.plot([-0.5, size - 0.5], [-0.5, size - 0.5], color="0.6", lw=0.8, ls=":")
        axis.set_xticks(np.arange(size + 1) - 0.5, minor=True)
        axis.set_yticks(np.arange(size + 1) - 0.5, minor=True)
        axis.grid(visible=False, which="major")
        axis.grid(visible=True, which="minor", color="0.93", lw=0.4)
        axis.set_axisbelow(True)
    labels = [f"{literal(name)} ({images:,})" for name, images in zip(names, true, strict=True)]
    axes[0].set_yticks(range(size), labels, fontsize=font)
    axes[0].set_ylabel("true class", fontsize=10)
    settle(figure)
    return figure
