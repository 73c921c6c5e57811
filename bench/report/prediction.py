"""A picture of what a model predicts for one image: landmarks, gate and best classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke

from bench.data.images import decode, shown_size
from bench.report.drawing import literal, set_style
from bench.report.figures.gate_maps import colour_range
from bench.report.figures.photos import DRAWN_SIDE, PREDICTED, Photo, bare, draw_photo, mark
from bench.train.predict import Prediction

SIDE = 4.2
"""Inches of a panel's side."""

BAR = "#0173b2"


def draw_prediction(prediction: Prediction, to: Path) -> None:
    """Draw a prediction as a PNG: the image with its landmarks, its gate's map, its best classes.

    Args:
        prediction: A prediction of an image that can be read.
        to: The file to write.
    """
    set_style()
    image = prediction.image
    photo = Photo(decode(image, DRAWN_SIDE, upright=True), shown_size(image, upright=True))
    panels = 2 if prediction.gate is None else 3
    width, height = photo.size
    tall = SIDE * min(max(height / width, 0.8), 1.6) + 0.5
    figure, axes = plt.subplots(
        1, panels, figsize=(SIDE * (panels - 0.25), tall), layout="constrained",
        width_ratios=[1] * (panels - 1) + [0.75],
    )  # fmt: skip
    draw_photo(axes[0], photo)
    axes[0].set_title(literal(image.name, 40), fontsize=10, loc="left")
    if prediction.landmarks:
        _draw_landmarks(axes[0], photo, prediction.landmarks)
    if prediction.gate is not None:
        _draw_gate(figure, axes[1], photo, prediction)
    _draw_classes(axes[-1], prediction.classes)
    figure.savefig(to, dpi=120, metadata={"Software": None})
    plt.close(figure)


def _draw_landmarks(axis: Any, photo: Photo, landmarks: dict[str, tuple[float, float]]) -> None:
    width, height = photo.size
    halo = [withStroke(linewidth=3, foreground="white")]
    for name, (x, y) in landmarks.items():
        axis.plot([x * width], [y * height], **mark("x", PREDICTED), path_effects=halo)
        # Away from the middle, where the other one of a pair is; towards it at the image's edge.
        before = 0.25 < x < 0.5 or x > 0.75
        axis.annotate(
            name, (x * width, y * height), (-7 if before else 7, 4), textcoords="offset points",
            ha="right" if before else "left", fontsize=7.5, color="0.1", path_effects=halo,
        )  # fmt: skip


def _draw_gate(figure: Any, axis: Any, photo: Photo, prediction: Prediction) -> None:
    """The gate's map over the image in grey, so that one sees what it lets through."""
    gate = prediction.gate
    assert gate is not None and photo.pixels is not None
    width, height = photo.size
    low, high = colour_range(gate)
    axis.imshow(photo.pixels.mean(axis=-1), cmap="gray", extent=(0, width, height, 0))
    mesh = axis.imshow(
        gate, cmap="cividis", vmin=low, vmax=high, alpha=0.65, interpolation="nearest",
        extent=(0, width, height, 0),
    )  # fmt: skip
    bare(axis)
    axis.set_title(f"gate, mean {gate.mean():.3f}", fontsize=10, loc="left")
    # panchor: the bar would else move the image to the middle of its place.
    bar = figure.colorbar(
        mesh, ax=axis, location="bottom", fraction=0.04, pad=0.02, aspect=30, panchor=False
    )
    bar.ax.tick_params(labelsize=8)


def _draw_classes(axis: Any, classes: tuple[tuple[str, float], ...]) -> None:
    for row, (name, probability) in enumerate(classes):
        axis.barh(row, probability, color=BAR, height=0.3)
        axis.text(0, row - 0.22, literal(name, 24), va="bottom", fontsize=9)
        axis.text(1, row - 0.22, f"{100 * probability:.1f}", va="bottom", ha="right", fontsize=9)
    axis.set(xlim=(0, 1), ylim=(len(classes) - 0.5, -0.7), yticks=[], xticks=[])
    axis.set_title("best classes, probability (%)", fontsize=10, loc="left")
    axis.grid(visible=False)
    for side in ("top", "left", "right", "bottom"):
        axis.spines[side].set_visible(False)
