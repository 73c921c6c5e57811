"""Adam in one pass against Keras' own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from bench.models.optimizers.adam import OnePassAdam


def trained(optimiser: keras.optimizers.Optimizer, *, eagerly: bool = False) -> list[np.ndarray]:
    """Weights, and the optimiser's moments and count, after eight batches."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, "relu"),
                              keras.layers.Dense(2)])  # fmt: skip
    model.compile(optimiser, loss="mse", run_eagerly=eagerly, jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 6)), rng.normal(size=(32, 2))
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return [*model.get_weights(), *(np.asarray(v.value) for v in optimiser.variables)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
        {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True},
        {"amsgrad": True},
    ],
)
@pytest.mark.parametrize("eagerly", [False, True])
def test_it_goes_where_keras_own_goes(options: dict[str, Any], eagerly: bool) -> None:
    own, plain = (
        trained(kind(0.05, **options), eagerly=eagerly)
        for kind in (OnePassAdam, keras.optimizers.Adam)
    )
    assert len(own) == len(plain)
    for mine, expected in zip(own, plain, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=2e-5, atol=1e-6)
