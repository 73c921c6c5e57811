"""Pooling around landmarks looks where the landmarks are, and lets gradients into their places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bench.models.landmark_pooling import LandmarkPooling, soft_arg_max

CELLS = 6


def pooled(maps: np.ndarray, *points: tuple[float, float], window: int = 1) -> np.ndarray:
    """What is pooled of one map at some points, `(points, channels)`."""
    places = np.array([points], np.float32)
    return ops.convert_to_numpy(LandmarkPooling(window)(maps.astype("f4"), places))[0]


def centre(column: float, row: float) -> tuple[float, float]:
    """A cell's centre, as shares of the map's sides."""
    return (column + 0.5) / CELLS, (row + 0.5) / CELLS


def test_a_sample_is_bilinear_between_the_centres_of_cells() -> None:
    maps = np.random.default_rng(0).random((1, CELLS, CELLS, 3))
    at, between = pooled(maps, centre(4, 2), centre(4.25, 2.5))
    np.testing.assert_allclose(at, maps[0, 2, 4], rtol=1e-5)
    rows = [0.75 * maps[0, row, 4] + 0.25 * maps[0, row, 5] for row in (2, 3)]
    np.testing.assert_allclose(between, np.mean(rows, axis=0), rtol=1e-5)


def test_the_window_is_the_maximum_of_its_samples() -> None:
    maps = np.random.default_rng(1).random((1, CELLS, CELLS, 4))
    found = pooled(maps, centre(3, 2), window=3)[0]
    np.testing.assert_allclose(found, maps[0, 1:4, 2:5].max(axis=(0, 1)), rtol=1e-5)


def test_moving_the_landmark_moves_the_pooled_feature() -> None:
    maps = np.zeros((1, CELLS, CELLS, 1))
    maps[0, 4, 1] = 1.0  # something to be seen at column 1, row 4
    there, near, away, mirrored = pooled(
        maps, centre(1, 4), centre(2, 4), centre(4, 4), centre(4, 1), window=3
    )
    assert there == pytest.approx(1) and near == pytest.approx(1)
    assert away == 0 and mirrored == 0
    one = pooled(maps, centre(1, 4), centre(1.5, 4), centre(2, 4))[:, 0]
    np.testing.assert_allclose(one, [1, 0.5, 0], atol=1e-5)


def test_beyond_the_edge_the_edge_is_seen() -> None:
    maps = np.random.default_rng(2).random((1, CELLS, CELLS, 2))
    corner, far = pooled(maps, (0.0, 0.0), (1.7, -0.4))
    np.testing.assert_allclose(corner, maps[0, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(far, maps[0, 0, CELLS - 1], rtol=1e-5)


def test_the_gradient_in_a_place_is_the_maps_slope_there() -> None:
    column, row = np.meshgrid(np.arange(CELLS), np.arange(CELLS))
    maps = tf.constant((3.0 * column - 2.0 * row)[None, ..., None].astype("f4"))
    places = tf.Variable([[centre(2.3, 3.4)]])
    with tf.GradientTape() as tape:
        value = LandmarkPooling(1)(maps, places)
    slope = tape.gradient(value, places).numpy()[0, 0]
    np.testing.assert_allclose(slope, [3.0 * CELLS, -2.0 * CELLS], rtol=1e-4)


def soft(logits: Any, side: int) -> np.ndarray:
    return ops.convert_to_numpy(soft_arg_max(logits, side))


def test_soft_arg_max_is_the_expected_place() -> None:
    logits = np.full((1, 3, 16), -100.0, np.float32)
    logits[0, 0] = 0  # nothing known: the middle
    logits[0, 1, 2 * 4 + 3] = 0  # row 2, column 3
    logits[0, 2, [0, 1]] = np.log([0.25, 0.75])
    expected = [[0.5, 0.5], [3.5 / 4, 2.5 / 4], [(0.25 * 0.5 + 0.75 * 1.5) / 4, 0.5 / 4]]
    np.testing.assert_allclose(soft(logits, 4)[0], expected, rtol=1e-5)
