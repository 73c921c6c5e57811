"""What a trial's gate lets through of single test images, place by place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.report.drawing import Figure, count, file_key, lowest_seed, settle
from bench.report.figures.chosen import (
    RULE,
    Example,
    chosen,
    describe,
    draw_head,
    example_grid,
    row_of,
    shown_as,
)
from bench.report.figures.photos import bare, draw_photo, read_photo
from bench.store.record import TrialRecord
from bench.store.studies import StudyRecord

LEAST_SPAN = 0.1
"""The colours of a gate's maps span at least so much: noise must not look like structure."""


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
            if (row := row_of(record.gate, record.predictions.images[one.row])) is not None
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
    low, high = colour_range(maps)
    figure, places = example_grid(list(rows), ratio=1.0)
    frames = []
    mesh: Any = None
    for (one, at), (left, beside), values in zip(rows.items(), places, maps, strict=True):
        photo = read_photo(study, predictions.images[one.row])
        row = describe(predictions, names, one)
        draw_photo(left, photo)
        draw_head(left, one, row)
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
        frames.append(pd.DataFrame(shown_as(one) | facts | marks))
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


def colour_range(maps: np.ndarray) -> tuple[float, float]:
    """What the colours of some gates' maps span, at least `LEAST_SPAN`."""
    finite = maps[np.isfinite(maps)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    short = max(0.0, LEAST_SPAN - (high - low)) / 2
    return low - short, high + short
