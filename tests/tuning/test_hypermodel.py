"""RopaNet under KerasTuner's own tuners, on random features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest

from bench.errors import BenchError
from bench.study.settings.training import LandmarkSpec, TrainSpec
from bench.study.trial import TrialSpec
from bench.systems.settings import BackboneSettings, RopaNet, UpsamplingStage
from bench.tuning.hypermodel import RopaNetHyperModel

SPACE: dict[str, Any] = {
    "model.gate": ["sigmoid", "none"],
    "train.learning_rate": {"kind": "float", "low": 1e-3, "high": 1e-1, "scale": "log"},
}


def small(**train: Any) -> TrialSpec:
    model = RopaNet(
        backbone=BackboneSettings(name="small", weights="none", input_size=64),
        upsampling=(UpsamplingStage(filters=8),),
        global_filters=4,
        global_kernel=3,
    )
    return TrialSpec(
        model=model, landmarks=LandmarkSpec(), train=TrainSpec(epochs=1, batch_size=8, **train)
    )


def test_kerastuners_bayesian_optimization_runs_on_ropanet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(16, 4, 4, 6)).astype("f4")
    targets = {
        "category": rng.integers(0, 5, 16),
        "landmarks": rng.integers(-1, 64, (16, 8)).astype("i4"),
    }
    tuner = keras_tuner.BayesianOptimization(
        RopaNetHyperModel(small(), SPACE, feature_shape=(4, 4, 6), classes=5),
        objective=keras_tuner.Objective("val_category_accuracy", "max"),
        max_trials=2, directory=tmp_path, seed=1,
    )  # fmt: skip
    tuner.search(features, targets, validation_data=(features, targets), verbose=0)
    (best,) = tuner.get_best_hyperparameters()
    assert set(best.values) == set(SPACE) and best["model.gate"] in ("sigmoid", "none")
    model = tuner.hypermodel.build(best)
    assert float(model.optimizer.learning_rate) == pytest.approx(best["train.learning_rate"])


def test_a_rule_that_the_caller_would_have_to_follow_is_refused() -> None:
    spec = small(balancing="class_weights")
    hypermodel = RopaNetHyperModel(spec, SPACE, feature_shape=(4, 4, 6), classes=5)
    with pytest.raises(BenchError, match="class_weights changes the batches"):
        hypermodel.build(keras_tuner.HyperParameters())
