"""Where on its map each landmark's target pixel lies, and back: ledger rows 11 to 17.

Placing and reading are inverse to each other under every setting, so that the normalised error
measures what a branch has learnt and not how its maps are indexed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.data.manifest import ABSENT, CHANNELS_OF_TYPE, LANDMARKS, OCCLUDED, OUTSIDE, VISIBLE
from bench.models.losses import NO_PIXEL, NO_PLACE, NO_STATE
from bench.study.settings.training import LandmarkSpec, PoseSpec

TRAINED_FLAGS = {
    "visible": (VISIBLE,),
    "occluded": (VISIBLE, OCCLUDED),
    "every": (VISIBLE, OCCLUDED, OUTSIDE),
}
"""Which visibility flags are trained (ledger row 12)."""

UNSCALED_SIDE = 300
"""Side in pixels of the grid that unscaled coordinates are read in (ledger row 16)."""


@dataclass(frozen=True)
class Annotation:
    """The landmarks of some images, as a manifest has them.

    Args:
        landmarks: `(n, 8, 2)` (x, y) as a share of width and height, NaN where absent.
        visibility: `(n, 8)`.
        clothes_type: `(n,)`.
        image_size: `(n, 2)` width and height in pixels.
    """

    landmarks: np.ndarray
    visibility: np.ndarray
    clothes_type: np.ndarray
    image_size: np.ndarray


def pixel_targets(annotation: Annotation, side: int, spec: LandmarkSpec) -> np.ndarray:
    """The index of each channel's target pixel.

    Args:
        annotation: Landmarks of n images.
        side: Side of the landmark maps in pixels.
        spec: How landmarks are supervised.

    Returns:
        `(n, 8)` int32: `row * side + column` of a channel's pixel, `NO_PIXEL` for a channel that
        is not trained.
    """
    absent = annotation.visibility == ABSENT
    trained = np.isin(annotation.visibility, TRAINED_FLAGS[spec.trained_visibility])
    share = np.where(absent[..., None], 0.0, annotation.landmarks) * _stretch(annotation, spec)
    x, y = np.moveaxis(np.clip((share * side).astype(np.int64), 0, side - 1), -1, 0)
    row, column = (x, y) if spec.axis_order == "xy" else (y, x)
    pixel = np.where(trained, row * side + column, NO_PIXEL)
    if spec.absent == "origin":
        pixel[absent] = 0
    if spec.target == "first_pixel":
        pixel[pixel != NO_PIXEL] = 0
    if spec.channels == "position":
        pixel = np.take_along_axis(pixel, meaning_of_position(annotation.clothes_type), axis=1)
    pixel[:, spec.trained_channels :] = NO_PIXEL
    return pixel.astype(np.int32)


def places_of(
    pixel: np.ndarray, annotation: Annotation, side: int, spec: LandmarkSpec
) -> np.ndarray:
    """(x, y) of the pixels that the channels name, by the landmarks' meaning.

    Args:
        pixel: `(n, 8)` pixel of each channel, such as the highest of its map.
        annotation: The same images; only their clothes types and sizes are used.
        side: Side of the landmark maps in pixels.
        spec: How landmarks were supervised.

    Returns:
        `(n, 8, 2)` float32, pixels' centres as a share of the image's width and height.
    """
    row, column = np.divmod(pixel, side)
    return of_map((np.stack([column, row], axis=-1) + 0.5) / side, annotation, spec)


def of_map(share: np.ndarray, annotation: Annotation, spec: LandmarkSpec) -> np.ndarray:
    """(x, y) in the image of places on the landmark maps, by the landmarks' meaning.

    Args:
        share: `(n, 8, 2)` (column, row) of a place on each channel's map, as shares of its side.
        annotation: The same images; only their clothes types and sizes are used.
        spec: How landmarks were supervised.

    Returns:
        `(n, 8, 2)` float32, as shares of the image's width and height.
    """
    if spec.channels == "position":
        of_meaning, order = np.empty_like(share), meaning_of_position(annotation.clothes_type)
        np.put_along_axis(of_meaning, order[..., None], share, axis=1)
        share = of_meaning
    if spec.axis_order == "xy":
        share = share[..., ::-1]
    return (share / _stretch(annotation, spec)).astype(np.float32)


def pose_targets(annotation: Annotation, spec: PoseSpec) -> tuple[np.ndarray, np.ndarray]:
    """What FashionNet's pose branch is trained to say.

    Args:
        annotation: Landmarks of n images.
        spec: How they are supervised.

    Returns:
        Places `(n, 8, 2)` float32, `NO_PLACE` where not trained; states `(n, 8)` int32,
        DeepFashion's visibility flags, `NO_STATE` where they do not count.
    """
    flags = annotation.visibility
    trained = np.isin(flags, TRAINED_FLAGS[spec.trained_visibility])
    places = np.where(trained[..., None], annotation.landmarks, NO_PLACE).astype(np.float32)
    absent = OUTSIDE if spec.absent == "outside" else NO_STATE
    return places, np.where(flags == ABSENT, absent, flags).astype(np.int32)


def meaning_of_position(clothes_type: np.ndarray) -> np.ndarray:
    """Which landmark stands at each position of an annotation's line.

    A garment with fewer than 8 landmarks has those that it lacks at the end.

    Args:
        clothes_type: `(n,)`, 0 for unknown, taken as full body.

    Returns:
        `(n, 8)` indices into `bench.data.manifest.LANDMARKS`.
    """
    every = range(len(LANDMARKS))
    orders = np.tile(np.arange(len(LANDMARKS)), (max(CHANNELS_OF_TYPE) + 1, 1))
    for kind, channels in CHANNELS_OF_TYPE.items():
        orders[kind] = [*channels, *(index for index in every if index not in channels)]
    return orders[clothes_type]


def _stretch(annotation: Annotation, spec: LandmarkSpec) -> np.ndarray:
    """What a share of the image's side is multiplied with to be a share of the map's."""
    if spec.rescaling == "own_size":
        return np.ones((1, 1, 2))
    return annotation.image_size[:, None, :] / UNSCALED_SIDE
