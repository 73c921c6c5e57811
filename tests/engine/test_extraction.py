"""What a machine must have before trials run on it: the run's data, and the run's weights."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from bench.data.sources import open_source
from bench.engine.config import RunOptions
from bench.engine.extraction import data_with_features
from bench.engine.training import TrialGroup
from bench.errors import BenchError
from bench.models.efficientnet_lite import efficientnet_lite0_stage3 as network
from bench.store.plan import planned_trial
from bench.store.trials import Store
from tests.specs import spec_of


def test_a_machine_with_other_weights_at_the_same_path_is_refused_by_name(
    phantom: Path, cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.weights.h5"
    network(64, None).save_weights(file)
    backbone = {"name": "efficientnet_lite0_stage3", "weights": str(file), "scaling": "unit"}
    spec = spec_of("ropanet_baseline", model__backbone=backbone | {"input_size": 64})
    manifest, store = open_source(phantom, cache=cache), Store(tmp_path / "results")
    group = TrialGroup.over(
        manifest,
        phantom,
        [planned_trial("a", spec, manifest, store)],
        arithmetic="native",
        options=RunOptions(store.root, cache),
        profile="smoke",
        log=tmp_path / "log",
    )
    network(64, None).save_weights(file)  # as on another machine: the same path, other weights
    with pytest.raises(BenchError, match=f"weights on {platform.node()} are not those") as error:
        data_with_features(group.config)
    assert error.value.where == str(file) and "every machine" in str(error.value.fix)
