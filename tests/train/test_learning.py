"""On the phantom, what must be learnt is learnt: a small case of the laptop profile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.data.phantom import generate_phantom
from bench.data.sources import open_source
from bench.data.split import split_of
from bench.files.yaml import Located
from bench.store.record import TrialRecord
from bench.study.resolve import resolve_study
from bench.study.study import Study
from bench.train.extract import extract
from bench.train.loop import TrialContext, run_trial


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    """1,600 drawn images and what the small backbone makes of them."""
    cache = tmp_path_factory.mktemp("learning")
    root = generate_phantom(cache / "phantom", images=1600, seed=0)
    return TrialContext(open_source(root, cache=cache), cache)


def trained(preset: str, context: TrialContext, **settings: Any) -> TrialRecord:
    study = Study(name="learning", base=preset, seeds=1)
    sizes = {"data.train_size": 900, "data.validation_size": 60, "data.test_size": 440}
    if preset == "prior":
        sizes["data.validation_size"] = 0
    else:
        settings["train.arithmetic"] = "native"
    source = {"data.source": {"kind": "phantom", "images": 1600, "seed": 0}}
    design = resolve_study(
        study, Located({}, {}, "x"), profile="laptop", settings=sizes | source | settings
    )
    spec = design.control.trial(0)
    if spec.train is not None:
        split = split_of(spec, context.manifest)
        rows = np.concatenate([split.train, split.val, split.test])
        backbone = spec.model.feature_extractor
        assert backbone is not None
        extract(context.manifest, rows, backbone, context.cache, spec.train.arithmetic)
    return run_trial(spec, context)


def test_each_system_beats_the_prior_and_landmarks_beat_the_mean_position(
    context: TrialContext,
) -> None:
    prior = trained("prior", context)
    baseline = trained("ropanet_baseline", context)
    assert baseline.metrics["accuracy"] > prior.metrics["accuracy"] + 0.04
    assert baseline.metrics["top_3"] > prior.metrics["top_3"] + 0.08

    ropanet = trained("ropanet", context)
    assert ropanet.metrics["landmark_ne"] < 0.7 * ropanet.data["mean_position_error"]
    losses = [
        v for _, split, metric, v in ropanet.history if (split, metric) == ("val", "landmarks_loss")
    ]
    assert losses[-1] < 0.7 * losses[0]
    assert 0 < ropanet.metrics["gate_mean"] < 1

    fashionnet = trained("fashionnet", context, **{"train.epochs": 7})
    bound = fashionnet.data["mean_position_error"]
    assert fashionnet.metrics["landmark_ne"] < 0.7 * bound
    assert fashionnet.metrics["accuracy"] > prior.metrics["accuracy"] + 0.04
