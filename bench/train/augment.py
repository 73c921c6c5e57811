"""Random changes of training images, their landmarks moved along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from bench.data.manifest import ABSENT, OUTSIDE
from bench.study.settings.training import Augmentation
from bench.systems.ropanet.targets import Annotation

MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6)
"""Which landmark each becomes in a mirror: left and right change places."""


def augment(
    images: np.ndarray, annotation: Annotation, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, Annotation]:
    """Change a batch at random.

    Args:
        images: `(n, side, side, 3)` in [0, 1].
        annotation: Their landmarks.
        settings: Which changes.
        rng: Source of chance.

    Returns:
        The images and their landmarks after the changes.
    """
    mirrored = rng.random(len(images)) < (0.5 if settings.flip else 0.0)
    images, annotation = flip(images, annotation, mirrored)
    cut = rng.random((len(images), 2)) * settings.crop
    start = rng.random((len(images), 2)) * cut
    return crop(images, annotation, start, 1.0 - cut)


def flip(
    images: np.ndarray, annotation: Annotation, chosen: np.ndarray
) -> tuple[np.ndarray, Annotation]:
    """Mirror some images left to right; left and right landmarks change places.

    Args:
        images: `(n, side, side, 3)`.
        annotation: Their landmarks.
        chosen: `(n,)` which images.
    """
    mirrored = annotation.landmarks[:, MIRRORED].copy()
    mirrored[..., 0] = 1.0 - mirrored[..., 0]
    each = chosen[:, None]
    return (
        np.where(chosen[:, None, None, None], images[:, :, ::-1], images),
        replace(
            annotation,
            landmarks=np.where(each[..., None], mirrored, annotation.landmarks),
            visibility=np.where(each, annotation.visibility[:, MIRRORED], annotation.visibility),
        ),
    )


def crop(
    images: np.ndarray, annotation: Annotation, start: np.ndarray, extent: np.ndarray
) -> tuple[np.ndarray, Annotation]:
    """Cut a window out of each image and scale it back to the image's size.

    Args:
        images: `(n, side, side, 3)`.
        annotation: Their landmarks; one outside the window counts as outside the image.
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
    moved = (annotation.landmarks - start[:, None]) / extent[:, None]
    beyond = ((moved < 0) | (moved > 1)).any(axis=-1) & (annotation.visibility != ABSENT)
    return cut, replace(
        annotation,
        landmarks=np.clip(moved, 0, 1).astype(np.float32),
        visibility=np.where(beyond, OUTSIDE, annotation.visibility),
        image_size=annotation.image_size * extent,
    )
