"""Single test images with what a trial predicted, and what its gate let through of them.

The paper's Figures 10 and 11 show one right and one wrong prediction each. Which images are shown
here is a rule (`chosen`), so that nobody picks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.data.manifest import LANDMARKS
from bench.metrics.catalogue import LANDMARK_ERROR
from bench.metrics.classification import ranks
from bench.metrics.landmarks import normalised_error, trained_landmarks
from bench.report.drawing import Figure, count, file_key, literal, lowest_seed, settle
from bench.report.figures.photos import (
    PREDICTED,
    TRUE,
    bare,
    draw_landmarks,
    draw_photo,
    mark,
    read_photo,
)
from bench.store.record import Landmarks, Predictions, TrialRecord
from bench.store.studies import StudyRecord

RULE = (
    "Chosen by rule: of the images answered right (top) and wrong (bottom), in the order of the "
    "answer's probability, the first, the median and the last; equal ones by path."
)
OTHER = "0.75"
"""Colour of the bars of classes that are not the true one."""

LEAST_SPAN = 0.1
"""The colours of a gate's maps span at least so much: noise must not look like structure."""


@dataclass(frozen=True)
class Example:
    """A test image that is shown.

    Args:
        row: Its row in the predictions.
        right: Whether the prediction is right.
        standing: `most confident`, `median` or `least confident` of the right or wrong ones.
    """

    row: int
    right: bool
    standing: str


def chosen(predictions: Predictions) -> list[Example]:
    """Up to three images predicted right, then up to three predicted wrong.

    Of each, by the probability of the prediction: the highest, the median (the earlier of two in
    the middle) and the lowest; equal ones by path. Fewer where there are fewer.
    """
    right = _ranks(predictions) == 0
    confidence = predictions.probabilities.max(axis=1)
    found = []
    for wanted in (True, False):
        rows = sorted(
            np.flatnonzero(right == wanted).tolist(),
            key=lambda row: (-float(confidence[row]), str(predictions.images[row]), row),
        )
        places = {0: "most confident", (len(rows) - 1) // 2: "median"}
        places = {len(rows) - 1: "least confident"} | places | {0: "most confident"}
        found += [Example(rows[p], wanted, places[p]) for p in sorted(places) if 0 <= p < len(rows)]
    return found


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
    shown, before = chosen(predictions), _ranks(predictions)
    figure, places = _grid(shown, ratio=0.95)
    rows = []
    for one, (left, beside) in zip(shown, places, strict=True):
        image = predictions.images[one.row]
        photo, place = read_photo(study, image), _row_of(landmarks, image)
        row = _prediction(predictions, names, one)
        row |= {"rank of true class": int(before[one.row]) + 1} | _landmarks(landmarks, place)
        rows.append(_shown(one) | {"image": image, "fault": photo.fault} | row)
        draw_photo(left, photo)
        draw_landmarks(left, photo, landmarks, place)
        _head(left, one, row)
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


def gate_maps(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """The images of `examples`, each beside the map of its gate.

    Args:
        study: The study's record.
        arms: The arms to show; those whose lowest seed has no gate on record are left out.

    Yields:
        A figure an arm. Data: a row a place of a map, with `shown as`, `image`, true and answered
        class, the image's `gate mean` and `energy passed`, `row` and `column` from 0 at the upper
        left, and `gate`.
    """
    for arm in arms:
        seed = lowest_seed(arm)
        record = None if seed is None else arm.trials[seed].read()
        if record is None or record.gate is None:
            continue
        found = [
            (one, row)
            for one in chosen(record.predictions)
            if (row := _row_of(record.gate, record.predictions.images[one.row])) is not None
        ]
        if found:
            figure, data, caption = _draw_maps(study, record, dict(found))
            yield Figure(
                f"{study.name}.gate_maps.{file_key(study, arm.name)}",
                f"What the gate of {arm.name} lets through",
                f"{RULE} {arm.name}, seed {seed}, {caption}",
                figure,
                data,
            )


def _draw_maps(
    study: StudyRecord, record: TrialRecord, rows: dict[Example, int]
) -> tuple[Any, pd.DataFrame, str]:
    """The figure of some images' gates, its data and what its caption says of the maps.

    Args:
        study: The study's record.
        record: The trial.
        rows: Image -> its row in the record of the gate.
    """
    gate, predictions, names = record.gate, record.predictions, record.data["class_names"]
    assert gate is not None  # of the caller's choice
    maps = gate.maps[list(rows.values())].astype(np.float64)
    low, high = _colour_range(maps)
    figure, places = _grid(list(rows), ratio=1.0)
    frames = []
    mesh: Any = None
    for (one, at), (left, beside), values in zip(rows.items(), places, maps, strict=True):
        photo = read_photo(study, predictions.images[one.row])
        row = _prediction(predictions, names, one)
        draw_photo(left, photo)
        _head(left, one, row)
        width, height = photo.size
        mesh = beside.imshow(
            values, cmap="cividis", vmin=low, vmax=high, interpolation="nearest",
            extent=(0, width, height, 0),
        )  # fmt: skip
        bare(beside)
        mean, energy = float(gate.mean[at]), float(gate.energy[at])
        passed = f"{energy:.3f}" if np.isfinite(energy) else "–"
        beside.set_title(f"gate mean {mean:.3f}\nenergy passed {passed}", fontsize=9)
        facts = {key: row[key] for key in ("true class", "answered class")}
        facts |= {"image": predictions.images[one.row], "gate mean": mean, "energy passed": energy}
        down, across = np.indices(values.shape)
        marks = {"row": down.ravel(), "column": across.ravel(), "gate": values.ravel()}
        frames.append(pd.DataFrame(_shown(one) | facts | marks))
    # panchor: a colour bar would else move the images to the middle of their places.
    bar = figure.colorbar(mesh, ax=figure.axes, fraction=0.02, pad=0.02, panchor=False)
    bar.set_label("gate, mean over channels (0 closed, 1 unchanged)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    settle(figure)
    caption = (
        f"{count(len(rows), 'test image')} of {len(predictions.labels):,}. Beside each image its "
        f"gate, the mean over channels at each of {maps.shape[1]} x {maps.shape[2]} places, in "
        f"colours that span {low:.2f} to {high:.2f} in all maps; above, the mean of the gate and "
        "the share of the feature map's energy (sum of squares) that passes."
    )
    return figure, pd.concat(frames, ignore_index=True), caption


def _ranks(predictions: Predictions) -> np.ndarray:
    return ranks(predictions.probabilities, predictions.labels.astype(np.int64))


def _row_of(record: Any, image: str) -> int | None:
    """An image's row among landmarks or gates; None where it has none."""
    if record is None:
        return None
    found = np.flatnonzero(record.images == image)
    return int(found[0]) if len(found) else None


def _colour_range(maps: np.ndarray) -> tuple[float, float]:
    finite = maps[np.isfinite(maps)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    short = max(0.0, LEAST_SPAN - (high - low)) / 2
    return low - short, high + short


def _shown(one: Example) -> dict[str, Any]:
    return {"shown as": f"{'right' if one.right else 'wrong'}, {one.standing}"}


def _prediction(predictions: Predictions, names: list[str], one: Example) -> dict[str, Any]:
    """True and predicted class, and the best classes with their probabilities."""
    probabilities = predictions.probabilities[one.row].astype(np.float64)
    true = predictions.labels[one.row]
    best = np.argsort(-probabilities, kind="stable")[:5]
    row: dict[str, Any] = {
        "true class": names[true],
        "answered class": names[best[0]],
        "probability of true class": float(probabilities[true]),
    }
    for number, index in enumerate(best.tolist(), start=1):
        row[f"class {number}"] = names[index]
        row[f"probability {number}"] = float(probabilities[index])
    return row


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


def _grid(shown: list[Example], ratio: float) -> tuple[Any, list[tuple[Any, Any]]]:
    """A row of right and a row of wrong answers; a pair of axes for each one shown."""
    figure, axes = plt.subplots(
        2, 6, figsize=(14, 7.6), layout="constrained", width_ratios=[1, ratio] * 3
    )
    places = []
    for row, right in zip(axes, (True, False), strict=True):
        own = [one for one in shown if one.right == right]
        for number in range(3):
            pair = (row[2 * number], row[2 * number + 1])
            if number < len(own):
                places.append(pair)
            else:
                for axis in pair:
                    axis.set_axis_off()
        if not own:
            word = "right" if right else "wrong"
            row[0].text(0, 0.5, f"no image is answered {word}", transform=row[0].transAxes)
    return figure, places


def _head(axis: Any, one: Example, row: dict[str, Any]) -> None:
    error = row.get(LANDMARK_ERROR.name, float("nan"))
    lines = [
        _shown(one)["shown as"] + (f"; NE {error:.3f}" if np.isfinite(error) else ""),
        f"true: {literal(row['true class'], 24)}",
        f"answer: {literal(row['answered class'], 24)}",
    ]
    axis.set_title("\n".join(lines), fontsize=9, loc="left")


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
