"""Which test images are shown of a trial, by a rule, and how they are arranged.

The paper's Figures 10 and 11 show one right and one wrong prediction each. Here a rule chooses
them, so that nobody picks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from bench.metrics.catalogue import LANDMARK_ERROR
from bench.metrics.classification import ranks
from bench.report.drawing import literal
from bench.store.record import Predictions

RULE = (
    "Chosen by rule: of the images answered right (top) and wrong (bottom), in the order of the "
    "answer's probability, the first, the median and the last; equal ones by path."
)


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
    right = true_ranks(predictions) == 0
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


def true_ranks(predictions: Predictions) -> np.ndarray:
    """`(n,)` classes ranked before the true one."""
    return ranks(predictions.probabilities, predictions.labels.astype(np.int64))


def row_of(record: Any, image: str) -> int | None:
    """An image's row among landmarks or gates; None where it has none."""
    if record is None:
        return None
    found = np.flatnonzero(record.images == image)
    return int(found[0]) if len(found) else None


def shown_as(one: Example) -> dict[str, Any]:
    """Its data column `shown as`."""
    return {"shown as": f"{'right' if one.right else 'wrong'}, {one.standing}"}


def describe(predictions: Predictions, names: list[str], one: Example) -> dict[str, Any]:
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


def example_grid(shown: list[Example], ratio: float) -> tuple[Any, list[tuple[Any, Any]]]:
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


def draw_head(axis: Any, one: Example, row: dict[str, Any]) -> None:
    """How an image is predicted, above it."""
    error = row.get(LANDMARK_ERROR.name, float("nan"))
    lines = [
        shown_as(one)["shown as"] + (f"; NE {error:.3f}" if np.isfinite(error) else ""),
        f"true: {literal(row['true class'], 24)}",
        f"answer: {literal(row['answered class'], 24)}",
    ]
    axis.set_title("\n".join(lines), fontsize=9, loc="left")
