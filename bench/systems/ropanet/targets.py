"""Where on its map each landmark's target pixel lies, and back: ledger rows 11 to 17.

Placing and reading are inverse to each other under every setting, so that the normalised error
measures what a branch has learnt and not how its maps are indexed.
"""

from __future__ import annotations

import numpy as np

from bench.data.ground_truth import TRAINED_FLAGS, GroundTruth
from bench.data.manifest import ABSENT, CHANNELS_OF_TYPE, LANDMARKS
from bench.models.losses import NO_PIXEL
from bench.systems.ropanet.settings import LandmarkSpec

UNSCALED_SIDE = 300
"""Side in pixels of the grid that unscaled coordinates are read in (ledger row 16)."""


def pixel_targets(truth: GroundTruth, side: int, spec: LandmarkSpec) -> np.ndarray:
    """The index of each channel's target pixel.

    Args:
        truth: Landmarks of n images.
        side: Side of the landmark maps in pixels.
        spec: How landmarks are supervised.

    Returns:
        `(n, 8)` int32: `row * side + column` of a channel's pixel, `NO_PIXEL` for a channel that
        is not trained.
    """
    absent = truth.visibility == ABSENT
    trained = np.isin(truth.visibility, TRAINED_FLAGS[spec.trained_visibility])
    share = np.where(absent[..., None], 0.0, truth.landmarks) * _stretch(truth, spec)
    x, y = np.moveaxis(np.clip((share * side).astype(np.int64), 0, side - 1), -1, 0)
    row, column = (x, y) if spec.axis_order == "xy" else (y, x)
    pixel = np.where(trained, row * side + column, NO_PIXEL)
    if spec.absent == "origin":
        pixel[absent] = 0
    if spec.target == "first_pixel":
        pixel[pixel != NO_PIXEL] = 0
    if spec.channels == "position":
        pixel = np.take_along_axis(pixel, meaning_of_position(truth.clothes_type), axis=1)
    pixel[:, spec.trained_channels :] = NO_PIXEL
    return pixel.astype(np.int32)


def places_of(pixel: np.ndarray, truth: GroundTruth, side: int, spec: LandmarkSpec) -> np.ndarray:
    """(x, y) of the pixels that the channels name, by the landmarks' meaning.

    Args:
        pixel: `(n, 8)` pixel of each channel, such as the highest of its map.
        truth: The same images; only their clothes types and sizes are used.
        side: Side of the landmark maps in pixels.
        spec: How landmarks were supervised.

    Returns:
        `(n, 8, 2)` float32, pixels' centres as a share of the image's width and height.
    """
    row, column = np.divmod(pixel, side)
    return of_map((np.stack([column, row], axis=-1) + 0.5) / side, truth, spec)


def of_map(share: np.ndarray, truth: GroundTruth, spec: LandmarkSpec) -> np.ndarray:
    """(x, y) in the image of places on the landmark maps, by the landmarks' meaning.

    Args:
        share: `(n, 8, 2)` (column, row) of a place on each channel's map, as shares of its side.
        truth: The same images; only their clothes types and sizes are used.
        spec: How landmarks were supervised.

    Returns:
        `(n, 8, 2)` float32, as shares of the image's width and height.
    """
    if spec.channels == "position":
        of_meaning, order = np.empty_like(share), meaning_of_position(truth.clothes_type)
        np.put_along_axis(of_meaning, order[..., None], share, axis=1)
        share = of_meaning
    if spec.axis_order == "xy":
        share = share[..., ::-1]
    return (share / _stretch(truth, spec)).astype(np.float32)


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


def _stretch(truth: GroundTruth, spec: LandmarkSpec) -> np.ndarray:
    """What a share of the image's side is multiplied with to be a share of the map's."""
    if spec.rescaling == "own_size":
        return np.ones((1, 1, 2))
    return truth.image_size[:, None, :] / UNSCALED_SIDE
