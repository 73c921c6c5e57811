"""Single test images with what a trial predicted: classes and landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.data.manifest import LANDMARKS
from bench.metrics.catalogue import LANDMARK_ERROR
from bench.metrics.landmarks import normalised_error, trained_landmarks
from bench.report.drawing import Figure, file_key, literal, lowest_seed, settle
from bench.report.figures.chosen import (
    RULE,
    Example,
    chosen,
    describe,
    draw_head,
    example_grid,
    row_of,
    shown_as,
    true_ranks,
)
from bench.report.figures.photos import (
    PREDICTED,
    TRUE,
    draw_landmarks,
    draw_photo,
    mark,
    read_photo,
)
from bench.store.record import Landmarks, TrialRecord
from bench.store.studies import StudyRecord

OTHER = "0.75"
"""Colour of the bars of classes that are not the true one."""


def examples(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """Right and wrong predictions of an arm's lowest seed: image, landmarks, five best classes.

    Args:
        study: The study's record.
        arms: The arms to show; those without a finished trial are left out.

    Yields:
        A figure an arm. Data: a row an image, with `shown as`, `image`, `fault` (why its file
        cannot be shown, or empty), true and answered class, `rank of true class` from 1, the best
        classes and their probabilities, the normalised error, and the places of the visible
        landmarks as shares of width and height.
    """
    for arm in arms:
        seed = lowest_seed(arm)
        if seed is not None:
            yield _examples(study, arm, seed, arm.trials[seed].read())


def _examples(study: StudyRecord, arm: Arm, seed: int, record: TrialRecord) -> Figure:
    predictions, names, landmarks = record.predictions, record.data["class_names"], record.landmarks
    shown, before = chosen(predictions), true_ranks(predictions)
    figure, places = example_grid(shown, ratio=0.95)
    rows = []
    for one, (left, beside) in zip(shown, places, strict=True):
        image = predictions.images[one.row]
        photo, place = read_photo(study, image), row_of(landmarks, image)
        row = describe(predictions, names, one)
        row |= {"rank of true class": int(before[one.row]) + 1} | _landmarks(landmarks, place)
        rows.append(shown_as(one) | {"image": image, "fault": photo.fault} | row)
        draw_photo(left, photo)
        draw_landmarks(left, photo, landmarks, place)
        draw_head(left, one, row)
        _draw_best(beside, row)
    _legend(figure, landmarks=landmarks is not None)
    settle(figure)
    caption = (
        f"{RULE} {_parts(shown, before)} of {len(before):,} test images; {arm.name}, seed {seed}. "
        + (
            "Rings: visible landmarks where they are; crosses: where the model puts them. NE: "
            "mean distance between the two, as a share of the image's sides. "
            if landmarks is not None
            else ""
        )
        + "Bars: the five most probable classes and their probability (%)."
    )
    name = f"{study.name}.examples.{file_key(study, arm.name)}"
    title = f"Right and wrong answers of {arm.name}"
    return Figure(name, title, caption, figure, pd.DataFrame(rows))


def _landmarks(landmarks: Landmarks | None, row: int | None) -> dict[str, Any]:
    """The image's error and the places of its visible landmarks, true and predicted."""
    if landmarks is None or row is None:
        return {}
    true, predicted, visibility = (
        places[row] for places in (landmarks.true, landmarks.predicted, landmarks.visibility)
    )
    found = {LANDMARK_ERROR.name: normalised_error(predicted, true, visibility)}
    seen = trained_landmarks(visibility)
    for name, visible, *places in zip(LANDMARKS, seen, true, predicted, strict=False):
        for kind, (x, y) in zip(("true", "predicted"), places, strict=True):
            found[f"{name} {kind} x"] = float(x) if visible else float("nan")
            found[f"{name} {kind} y"] = float(y) if visible else float("nan")
    return found


def _parts(shown: list[Example], before: np.ndarray) -> str:
    right = int((before == 0).sum())
    return (
        f"{sum(one.right for one in shown)} of {right:,} right and "
        f"{sum(not one.right for one in shown)} of {len(before) - right:,} wrong answers,"
    )


def _draw_best(axis: Any, row: dict[str, Any]) -> None:
    """The best classes as bars, their names within; the true one in its colour."""
    best = [n for n in range(1, 6) if f"class {n}" in row]
    for n in best:
        name, share = row[f"class {n}"], row[f"probability {n}"]
        true = name == row["true class"]
        axis.barh(n, share, color=TRUE if true else OTHER, height=0.34)
        axis.text(0, n - 0.24, literal(name, 20), va="bottom", fontsize=8.5,
                  weight="bold" if true else "normal")  # fmt: skip
        axis.text(1, n - 0.24, f"{100 * share:.1f}", va="bottom", ha="right", fontsize=8.5)
    axis.set(xlim=(0, 1), ylim=(5.4, 0.3), yticks=[])
    axis.set_xticks([0, 0.5, 1], ["0", "50", "100"], fontsize=8)
    axis.set_xlabel("probability (%)", fontsize=8)
    axis.grid(visible=False)
    for side in ("top", "left", "right"):
        axis.spines[side].set_visible(False)
    below = row["rank of true class"] > len(best)
    words = f"true class: rank {row['rank of true class']}" if below else ""
    axis.set_title(words, fontsize=9, loc="left", color=TRUE)


def _legend(figure: Any, *, landmarks: bool) -> None:
    entries = {"true class": plt.Rectangle((0, 0), 1, 1, color=TRUE),
               "other class": plt.Rectangle((0, 0), 1, 1, color=OTHER)}  # fmt: skip
    if landmarks:
        entries["true landmark"] = plt.Line2D([], [], **mark("o", TRUE))
        entries["predicted landmark"] = plt.Line2D([], [], **mark("x", PREDICTED))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=4,
                  frameon=False, fontsize=9)  # fmt: skip
