"""A test image as a drawing shows it: its file, read with care, and the landmarks upon it."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patheffects import withStroke

from bench.data.images import UnreadableImage, decode, shown_size
from bench.data.items import NUMBERED
from bench.data.manifest import turns_upright
from bench.data.tree import is_inside
from bench.metrics.landmarks import trained_landmarks
from bench.report.drawing import literal
from bench.store.record import Landmarks
from bench.store.studies import StudyRecord

TRUE, PREDICTED = "#0173b2", "#de8f05"
"""Colours of what is true and of what is predicted."""

DRAWN_SIDE = 300
"""Pixels that an image is read at, the paper's own size (§3)."""


@dataclass(frozen=True)
class Photo:
    """An image file as it can be shown.

    Args:
        pixels: `(side, side, 3)` in [0, 1]; None where the file cannot be read.
        size: Width and height that it is shown at.
        fault: Why it cannot be read; empty where it can.
    """

    pixels: np.ndarray | None
    size: tuple[int, int]
    fault: str = ""


def read_photo(study: StudyRecord, image: str) -> Photo:
    """An image of the study's data; never fails.

    Args:
        study: The study's record, whose `data.root` is the folder of the images.
        image: Path relative to it, perhaps with a garment in it. One that leads out of the folder,
            by dots, by being absolute or by a link, is not opened.
    """
    unseen = (DRAWN_SIDE, DRAWN_SIDE)
    root = study.data.root
    if not root:
        return Photo(None, unseen, "the study's record does not say where its images lie")
    try:
        # A link inside the data that points elsewhere is refused like a path with dots.
        path = os.path.realpath(os.path.join(root, str(image)))  # noqa: PTH118
        if not Path(path).is_file():
            path = path.partition(NUMBERED)[0]
        if not is_inside(path, os.path.realpath(root)):
            return Photo(None, unseen, "its path leads out of the data's folder")
        if not Path(path).is_file():
            return Photo(None, unseen, "there is no such file")
        upright = turns_upright(study.data.source)
        pixels = decode(path, DRAWN_SIDE, upright=upright)
        return Photo(pixels, shown_size(path, upright=upright))
    except UnreadableImage as error:
        return Photo(None, unseen, error.reason)
    except (OSError, ValueError) as error:
        return Photo(None, unseen, f"its path cannot be followed: {error}")


def bare(axis: Any) -> None:
    """Take ticks and grid off a picture's axes, and hang it from the top of its place."""
    axis.set(xticks=[], yticks=[], anchor="N")
    axis.grid(visible=False)


def draw_photo(axis: Any, photo: Photo) -> None:
    """The image in its own proportions, or a grey box that says why there is none."""
    width, height = photo.size
    pixels = np.full((1, 1, 3), 0.85) if photo.pixels is None else photo.pixels
    axis.imshow(pixels, extent=(0, width, height, 0), interpolation="bilinear")
    if photo.pixels is None:
        words = textwrap.fill(literal(f"image not shown: {photo.fault}", 160), 26)
        axis.text(0.04, 0.96, words, transform=axis.transAxes, va="top", fontsize=8, color="0.25")
    axis.set(xlim=(0, width), ylim=(height, 0))
    bare(axis)


def draw_landmarks(axis: Any, photo: Photo, landmarks: Landmarks | None, row: int | None) -> None:
    """Rings at the true places, crosses at the predicted ones, joined; the visible ones only.

    Args:
        axis: Axes that the image is drawn on.
        photo: The image.
        landmarks: A trial's landmarks; None draws nothing.
        row: The image's row among them; None draws nothing.
    """
    if landmarks is None or row is None:
        return
    width, height = photo.size
    # A margin, so that a mark on the image's edge is seen whole.
    axis.set(xlim=(-0.04 * width, 1.04 * width), ylim=(1.04 * height, -0.04 * height))
    for spine in axis.spines.values():
        spine.set_visible(False)
    seen = trained_landmarks(landmarks.visibility[row])
    true = landmarks.true[row][seen] * photo.size
    predicted = landmarks.predicted[row][seen] * photo.size
    halo = [withStroke(linewidth=3.2, foreground="white")]
    for one, other in zip(true, predicted, strict=True):
        axis.plot(*np.stack([one, other]).T, color="0.2", lw=1, path_effects=halo)
    axis.plot(*true.T, **mark("o", TRUE), path_effects=halo)
    axis.plot(*predicted.T, **mark("x", PREDICTED), path_effects=halo)


def mark(marker: str, colour: str) -> dict[str, Any]:
    """How a landmark is marked, for `plot` and for a legend."""
    return {"marker": marker, "ls": "", "mfc": "none", "mec": colour, "ms": 7.5, "mew": 1.8}
