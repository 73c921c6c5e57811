"""Training and extraction in bfloat16: near float32, apart from it in the store, and asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from bench.data.sources import open_source
from bench.study.trial import TrialSpec, trial_id
from bench.systems.settings import BackboneSettings
from bench.train.extract import extract
from bench.train.loop import TrialContext, run_trial
from bench.train.precision import computing_in
from tests.train.smoke import prepare, smoke_spec

LITE = "efficientnet_lite0_stage3"


def spec(preset: str, **settings: Any) -> TrialSpec:
    return smoke_spec(preset, epochs=1, **settings)


@pytest.fixture(scope="module")
def context(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    return TrialContext(open_source(phantom), tmp_path_factory.mktemp("precision"))


@pytest.mark.parametrize(
    ("preset", "settings"),
    [("ropanet", {"model__local": "landmark_pooling"}), ("fashionnet", {})],
)
def test_bfloat16_trains_another_trial_that_is_near_the_one_in_float32(
    context: TrialContext, preset: str, settings: dict[str, Any]
) -> None:
    single = spec(preset, **settings)
    half = spec(preset, **settings, train__precision="bfloat16")
    assert trial_id(single, "f") != trial_id(half, "f")
    prepare(context, single)
    one, other = run_trial(single, context), run_trial(half, context)
    gap = np.abs(one.predictions.probabilities - other.predictions.probabilities)
    assert 0 < gap.max() < 0.1
    assert one.landmarks is not None and other.landmarks is not None
    assert other.landmarks.predicted.dtype == np.float32
    assert keras.config.dtype_policy().name == "float32"


def test_maps_in_bfloat16_are_near_and_kept_apart(context: TrialContext) -> None:
    maps = []
    for precision in ("float32", "bfloat16"):
        backbone = BackboneSettings(name=LITE, weights="none", precision=precision)  # type: ignore[arg-type]
        store = extract(context.manifest, range(4), backbone, context.cache)
        maps.append(store.reader().gather(np.arange(4)))
    assert maps[1].dtype == np.float32 and not np.array_equal(maps[0], maps[1])
    np.testing.assert_allclose(maps[1], maps[0], atol=0.05 * np.abs(maps[0]).max())


def test_a_backbone_that_is_trained_has_no_precision_of_its_own() -> None:
    with pytest.raises(ValidationError, match="computes in train"):
        BackboneSettings(name=LITE, weights="none", trainable="all", precision="bfloat16")


def test_the_precision_before_comes_back_after_an_error() -> None:
    with pytest.raises(RuntimeError), computing_in("bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        raise RuntimeError
    assert keras.layers.Dense(1).compute_dtype == "float32"
