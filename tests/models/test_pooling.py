"""Poolings against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from bench.models.pooling import AttentionPooling, GeneralisedMean
from bench.systems.registry import POOLINGS, load

MAPS = np.random.default_rng(0).random((3, 4, 5, 6)).astype("f4")


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_makes_a_vector_of_a_map(name: str) -> None:
    layer = load(POOLINGS[name])("pool")
    assert keras.ops.shape(layer(MAPS)) == (3, 6) and layer.name == "pool"


def test_average_and_maximum_are_numpys() -> None:
    np.testing.assert_allclose(load(POOLINGS["average"])("a")(MAPS), MAPS.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(load(POOLINGS["max"])("m")(MAPS), MAPS.max((1, 2)), rtol=1e-6)


def test_the_generalised_mean_lies_between_average_and_maximum() -> None:
    by_hand = (MAPS**3).mean((1, 2)) ** (1 / 3)
    np.testing.assert_allclose(GeneralisedMean()(MAPS), by_hand, rtol=1e-4)
    np.testing.assert_allclose(GeneralisedMean(1.0)(MAPS), MAPS.mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(GeneralisedMean(80.0)(MAPS), MAPS.max((1, 2)), rtol=0.05)
    assert np.isfinite(GeneralisedMean()(-MAPS)).all()
    assert len(GeneralisedMean()(MAPS).shape) == 2


def test_attention_begins_as_the_average_and_follows_its_score() -> None:
    layer = AttentionPooling()
    np.testing.assert_allclose(layer(MAPS), MAPS.mean((1, 2)), rtol=1e-5)
    score = np.zeros((6, 1), "f4")
    score[2] = 3.0
    layer.score.assign(score)
    weight = np.exp(3 * MAPS[..., 2:3])
    by_hand = (MAPS * weight).sum((1, 2)) / weight.sum((1, 2))
    np.testing.assert_allclose(layer(MAPS), by_hand, rtol=1e-4)
