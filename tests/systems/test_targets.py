"""Where target pixels lie, under every row of the ledger that moves them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from bench.data.ground_truth import GroundTruth
from bench.models.losses import NO_PIXEL
from bench.systems.ropanet.settings import LandmarkSpec
from bench.systems.ropanet.targets import meaning_of_position, pixel_targets, places_of

SIDE = 10


def trousers(**changes: Any) -> GroundTruth:
    """Lower clothes: waistline visible and occluded, hem outside and visible; 300 x 150 pixels."""
    landmarks = np.full((1, 8, 2), np.nan, np.float32)
    landmarks[0, 4:] = [[0.25, 0.05], [0.95, 0.15], [0.0, 1.0], [0.55, 0.85]]
    visibility = np.array([[-1, -1, -1, -1, 0, 1, 2, 0]])
    plain = {"landmarks": landmarks, "visibility": visibility, "clothes_type": np.array([2]),
             "image_size": np.array([[300, 150]])}  # fmt: skip
    return GroundTruth(**plain | changes)


def targets(**spec: Any) -> list[int]:
    return pixel_targets(trousers(), SIDE, LandmarkSpec(**spec))[0].tolist()


NONE = [NO_PIXEL] * 4


def test_the_default_trains_visible_landmarks_by_meaning_row_by_row() -> None:
    assert targets() == [*NONE, 0 * 10 + 2, NO_PIXEL, NO_PIXEL, 8 * 10 + 5]


def test_row_11_only_the_first_channels_are_trained() -> None:
    assert targets(trained_channels=5) == [*NONE, 2, NO_PIXEL, NO_PIXEL, NO_PIXEL]


def test_row_12_occluded_and_outside_landmarks_are_trained_on_demand() -> None:
    assert targets(trained_visibility="occluded") == [*NONE, 2, 19, NO_PIXEL, 85]
    assert targets(trained_visibility="every") == [*NONE, 2, 19, 90, 85]


def test_row_13_absent_landmarks_go_to_the_origin() -> None:
    assert targets(absent="origin") == [0, 0, 0, 0, 2, NO_PIXEL, NO_PIXEL, 85]


def test_row_14_by_position_the_first_channel_is_the_trousers_waistline() -> None:
    assert targets(channels="position") == [2, NO_PIXEL, NO_PIXEL, 85, *NONE]
    padded = targets(channels="position", absent="origin", trained_channels=6)
    assert padded == [2, NO_PIXEL, NO_PIXEL, 85, 0, 0, NO_PIXEL, NO_PIXEL]
    assert meaning_of_position(np.array([1]))[0].tolist() == [0, 1, 2, 3, 6, 7, 4, 5]


def test_row_15_transposed_targets() -> None:
    assert targets(axis_order="xy") == [*NONE, 2 * 10 + 0, NO_PIXEL, NO_PIXEL, 5 * 10 + 8]


def test_row_16_unscaled_coordinates_are_pixels_of_a_grid_of_300() -> None:
    # Waistline (75, 7.5) and hem (165, 127.5) pixels, in a grid of 300 scaled to 10.
    assert targets(rescaling="none") == [*NONE, 0 * 10 + 2, NO_PIXEL, NO_PIXEL, 4 * 10 + 5]
    exact = pixel_targets(trousers(), 300, LandmarkSpec(rescaling="none"))[0]
    assert exact[4] == 7 * 300 + 75 and exact[7] == 127 * 300 + 165


def test_row_17_the_first_pixel_stands_for_every_trained_one() -> None:
    assert targets(target="first_pixel") == [*NONE, 0, NO_PIXEL, NO_PIXEL, 0]


@pytest.mark.parametrize(
    ("channels", "axis_order", "rescaling"),
    list(product(("meaning", "position"), ("yx", "xy"), ("own_size", "none"))),
)
def test_reading_undoes_placing(channels: Any, axis_order: Any, rescaling: Any) -> None:
    spec = LandmarkSpec(
        channels=channels, axis_order=axis_order, rescaling=rescaling, trained_visibility="every"
    )
    annotation = trousers()
    pixel = np.maximum(pixel_targets(annotation, 300, spec), 0)
    places = places_of(pixel, annotation, 300, spec)
    error = np.abs(places[0, 4:] - annotation.landmarks[0, 4:])
    assert error.max() < 2 / 150
