"""Random changes of training images, their landmarks moved along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from bench.data.ground_truth import GroundTruth
from bench.data.manifest import ABSENT, OUTSIDE
from bench.study.settings.training import Augmentation

MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6)
"""Which landmark each becomes in a mirror: left and right change places."""


def augment(
    images: np.ndarray, truth: GroundTruth, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, GroundTruth]:
    """Change a batch at random.

    Args:
        images: `(n, side, side, 3)` in [0, 1].
        truth: Their landmarks.
        settings: Which changes.
        rng: Source of chance.

    Returns:
        The images and their landmarks after the changes.
    """
    mirrored = rng.random(len(images)) < (0.5 if settings.flip else 0.0)
    images, truth = flip(images, truth, mirrored)
    cut = rng.random((len(images), 2)) * settings.crop
    start = rng.random((len(images), 2)) * cut
    return crop(images, truth, start, 1.0 - cut)


def flip(
    images: np.ndarray, truth: GroundTruth, chosen: np.ndarray
) -> tuple[np.ndarray, GroundTruth]:
    """Mirror some images left to right; left and right landmarks change places.

    Args:
        images: `(n, side, side, 3)`.
        truth: Their landmarks.
        chosen: `(n,)` which images.
    """
    mirrored = truth.landmarks[:, MIRRORED].copy()
    mirrored[..., 0] = 1.0 - mirrored[..., 0]
    each = chosen[:, None]
    return (
        np.where(chosen[:, None, None, None], images[:, :, ::-1], images),
        replace(
            truth,
            landmarks=np.where(each[..., None], mirrored, truth.landmarks),
            visibility=np.where(each, truth.visibility[:, MIRRORED], truth.visibility),
        ),
    )


def crop(
    images: np.ndarray, truth: GroundTruth, start: np.ndarray, extent: np.ndarray
) -> tuple[np.ndarray, GroundTruth]:
    """Cut a window out of each image and scale it back to the image's size.

    Args:
        images: `(n, side, side, 3)`.
        truth: Their landmarks; one outside the window counts as outside the image.
        start: `(n, 2)` left and upper edge of the window, as a share of the side.
        extent: `(n, 2)` its width and height, likewise.
    """
    side = images.shape[1]
    cut = np.empty_like(images)
    for index, image in enumerate(images):
        box = (*(start[index] * side), *((start[index] + extent[index]) * side))
        for channel in range(image.shape[-1]):
            plane = Image.fromarray(image[..., channel], mode="F")
            cut[index, ..., channel] = plane.resize(
                (side, side), Image.Resampling.BILINEAR, box=box
            )
    moved = (truth.landmarks - start[:, None]) / extent[:, None]
    beyond = ((moved < 0) | (moved > 1)).any(axis=-1) & (truth.visibility != ABSENT)
    return cut, replace(
        truth,
        landmarks=np.clip(moved, 0, 1).astype(np.float32),
        visibility=np.where(beyond, OUTSIDE, truth.visibility),
        image_size=truth.image_size * extent,
    )
