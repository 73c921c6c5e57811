"""Single test images with what a trial answered, and what its gate let through of them.

The paper's Figures 10 and 11 show one right and one wrong answer each. Which images are shown here
is a rule (`chosen`), so that nobody picks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.data.manifest import LANDMARKS
from bench.metrics.values import normalised_error, ranks, trained_landmarks
from bench.report.drawing import (
    Figure,
    about,
    count,
    file_key,
    literal,
    lowest_seed,
    set_style,
    settle,
)
from bench.report.photos import (
    PREDICTED,
    TRUE,
    bare,
    draw_landmarks,
    draw_photo,
    mark,
    read_photo,
)
from bench.store.record import Landmarks, Predictions

RULE = (
    "Chosen by rule: of the images answered right (top) and wrong (bottom), in the order of the "
    "answer's probability, the first, the median and the last; equal ones by path."
)
OTHER = "0.75"
"""Colour of the bars of classes that are not the true one."""

LEAST_SPAN = 0.1
"""The colours of a gate's maps span at least so much, lest noise looks like structure."""


@dataclass(frozen=True)
class Chosen:
    """A test image that is shown.

    Args:
        row: Its row in the predictions.
        right: Whether the answer is right.
        standing: `most confident`, `median` or `least confident` of the right or wrong ones.
    """

    row: int
    right: bool
    standing: str


def chosen(said: Predictions) -> list[Chosen]:
    """Up to three images answered right, then up to three answered wrong.

    Of each, by the probability of the answer: the highest, the median (the earlier of two in the
    middle) and the lowest; equal ones by path. Fewer where there are fewer.
    """
    right = ranks(said.probabilities, said.labels.astype(np.int64)) == 0
    confidence = said.probabilities.max(axis=1)
    found = []
    for wanted in (True, False):
        rows = sorted(
            np.flatnonzero(right == wanted).tolist(),
            key=lambda row: (-float(confidence[row]), str(said.images[row]), row),
        )
        places = {0: "most confident", (len(rows) - 1) // 2: "median"}
        places = {len(rows) - 1: "least confident"} | places | {0: "most confident"}
        found += [Chosen(rows[p], wanted, places[p]) for p in sorted(places) if 0 <= p < len(rows)]
    return found


def examples(study: dict[str, Any], arm: Arm) -> Figure | None:
    """Right and wrong answers of the arm's lowest seed: image, landmarks and the five best classes.

    Args:
        study: The study's record.
        arm: The arm.

    Returns:
        Data: a row an image, with `shown as`, `image`, `fault` (why its file cannot be shown, or
        empty), true and answered class, `rank of true class` from 1, the best classes and their
        probabilities, `landmark_ne`, and the places of the visible landmarks as shares of width
        and height. None for an arm without a finished trial.
    """
    seed = lowest_seed(arm)
    if seed is None:
        return None
    record = arm.trials[seed].read()
    said, names = record.predictions, record.data["class_names"]
    shown = chosen(said)
    before = ranks(said.probabilities, said.labels.astype(np.int64))
    figure, places = _grid(shown, ratio=0.95)
    rows = []
    for one, (left, beside) in zip(shown, places, strict=True):
        photo = read_photo(study, said.images[one.row])
        place = _row_of(record.landmarks, said.images[one.row])
        row = _answer(said, names, one) | {"rank of true class": int(before[one.row]) + 1}
        row |= _landmarks(record.landmarks, place)
        rows.append(_shown(one) | {"image": said.images[one.row], "fault": photo.fault} | row)
        draw_photo(left, photo)
        draw_landmarks(left, photo, record.landmarks, place)
        _head(left, one, row)
        _draw_best(beside, row)
    _legend(figure, landmarks=record.landmarks is not None)
    settle(figure)
    n = len(said.labels)
    caption = (
        f"{RULE} {_parts(shown, before)} of {n:,} test images; {arm.name}, seed {seed}. "
        + (
            "Rings: visible landmarks where they are; crosses: where the model puts them. NE: "
            "mean distance between the two, as a share of the image's sides. "
            if record.landmarks is not None
            else ""
        )
        + f"Bars: the five most probable classes and their probability (%). {about(study)}"
    )
    name = f"{study['name']}.examples.{file_key(study, arm.name)}"
    title = f"Right and wrong answers of {arm.name}"
    return Figure(name, title, caption, figure, pd.DataFrame(rows))


def gate_maps(study: dict[str, Any], arm: Arm) -> Figure | None:
    """The images of `examples`, each beside the map of its gate.

    Args:
        study: The study's record.
        arm: The arm.

    Returns:
        Data: a row a place of a map, with `shown as`, `image`, true and answered class, the
        image's `gate mean` and `energy passed`, `row` and `column` from 0 at the upper left, and
        `gate`. None for an arm whose lowest seed has no gate on record.
    """
    seed = lowest_seed(arm)
    record = None if seed is None else arm.trials[seed].read()
    if record is None or record.gate is None:
        return None
    gate, said, names = record.gate, record.predictions, record.data["class_names"]
    found = [(one, _row_of(gate, said.images[one.row])) for one in chosen(said)]
    shown = [one for one, at in found if at is not None]
    rows_of_gate = [at for _, at in found if at is not None]
    if not shown:
        return None
    maps = gate.maps[rows_of_gate].astype(np.float64)
    low, high = _colour_range(maps)
    figure, places = _grid(shown, ratio=1.0)
    frames = []
    drawn: Any = None
    for one, (left, beside), values, at in zip(shown, places, maps, rows_of_gate, strict=True):
        photo = read_photo(study, said.images[one.row])
        row = _answer(said, names, one)
        draw_photo(left, photo)
        _head(left, one, row)
        width, height = photo.size
        drawn = beside.imshow(
            values, cmap="cividis", vmin=low, vmax=high, interpolation="nearest",
            extent=(0, width, height, 0),
        )  # fmt: skip
        bare(beside)
        mean, energy = float(gate.mean[at]), float(gate.energy[at])
        passed = f"{energy:.3f}" if np.isfinite(energy) else "–"
        beside.set_title(f"gate mean {mean:.3f}\nenergy passed {passed}", fontsize=9)
        facts = {key: row[key] for key in ("true class", "answered class")}
        facts |= {"image": said.images[one.row], "gate mean": mean, "energy passed": energy}
        down, across = np.indices(values.shape)
        marks = {"row": down.ravel(), "column": across.ravel(), "gate": values.ravel()}
        frames.append(pd.DataFrame(_shown(one) | facts | marks))
    # panchor: a colour bar would else move the images to the middle of their places.
    bar = figure.colorbar(drawn, ax=figure.axes, fraction=0.02, pad=0.02, panchor=False)
    bar.set_label("gate, mean over channels (0 closed, 1 unchanged)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    settle(figure)
    side = f"{maps.shape[1]} x {maps.shape[2]}"
    caption = (
        f"{RULE} {arm.name}, seed {seed}, {count(len(shown), 'test image')} of "
        f"{len(said.labels):,}. Beside each image its gate, the mean over channels at each of "
        f"{side} places, in colours that span {low:.2f} to {high:.2f} in all maps; above, the "
        "mean of the gate and the share of the feature map's energy (sum of squares) that passes. "
        f"{about(study)}"
    )
    name = f"{study['name']}.gate_maps.{file_key(study, arm.name)}"
    title = f"What the gate of {arm.name} lets through"
    return Figure(name, title, caption, figure, pd.concat(frames, ignore_index=True))


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


def _shown(one: Chosen) -> dict[str, Any]:
    return {"shown as": f"{'right' if one.right else 'wrong'}, {one.standing}"}


def _answer(said: Predictions, names: list[str], one: Chosen) -> dict[str, Any]:
    """True and answered class, and the best classes with their probabilities."""
    given = said.probabilities[one.row].astype(np.float64)
    best = np.argsort(-given, kind="stable")[:5]
    row: dict[str, Any] = {
        "true class": names[said.labels[one.row]],
        "answered class": names[best[0]],
        "probability of true class": float(given[said.labels[one.row]]),
    }
    for number, index in enumerate(best.tolist(), start=1):
        row |= {f"class {number}": names[index], f"probability {number}": float(given[index])}
    return row


def _landmarks(put: Landmarks | None, at: int | None) -> dict[str, Any]:
    """The image's error and the places of its visible landmarks, true and predicted."""
    if put is None or at is None:
        return {}
    one = slice(at, at + 1)
    row: dict[str, Any] = {
        "landmark_ne": normalised_error(put.predicted[one], put.true[one], put.visibility[one])
    }
    seen = trained_landmarks(put.visibility[at])
    for name, visible, true, predicted in zip(
        LANDMARKS, seen, put.true[at], put.predicted[at], strict=False
    ):
        for kind, (x, y) in (("true", true), ("predicted", predicted)):
            row[f"{name} {kind} x"] = float(x) if visible else float("nan")
            row[f"{name} {kind} y"] = float(y) if visible else float("nan")
    return row


def _parts(shown: list[Chosen], before: np.ndarray) -> str:
    right = int((before == 0).sum())
    return (
        f"{sum(one.right for one in shown)} of {right:,} right and "
        f"{sum(not one.right for one in shown)} of {len(before) - right:,} wrong answers,"
    )


def _grid(shown: list[Chosen], ratio: float) -> tuple[Any, list[tuple[Any, Any]]]:
    """A row of right and a row of wrong answers; a pair of axes for each one shown."""
    set_style()
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


def _head(axis: Any, one: Chosen, row: dict[str, Any]) -> None:
    error = row.get("landmark_ne", float("nan"))
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
