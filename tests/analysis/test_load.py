"""Arms read from a store: the same, by one process or by several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.analysis import load
from bench.store.record import Predictions, TrialRecord
from bench.store.trials import Store
from tests.store.recorded import recorded


def test_many_trials_read_by_several_processes_are_the_same_and_share_what_is_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    images, labels = np.array(["a", "b", "c"]), np.array([0, 1, 1])
    trials = {str(seed): f"{seed:016x}" for seed in range(6)}
    for seed, identity in enumerate(trials.values()):
        answers = np.random.default_rng(seed).dirichlet([1, 1], 3).astype("f4")
        data = {"class_names": ["x", "y"]}
        store.write(TrialRecord(identity, {}, data, {}, [], Predictions(images, labels, answers)))
    study = recorded("s", {"x": trials})
    (alone,) = load.load_arms(store, study)
    monkeypatch.setattr(load, "MANY", 1)
    monkeypatch.setattr(load, "PART", 2)
    (several,) = load.load_arms(store, study)
    assert several.trials.keys() == alone.trials.keys() == set(range(6))
    for seed, trial in several.trials.items():
        assert trial.metrics["accuracy"] == alone.trials[seed].metrics["accuracy"]
        np.testing.assert_array_equal(trial.outcomes.ranks, alone.trials[seed].outcomes.ranks)
        assert trial.images is several.trials[0].images
        assert trial.about["data"] is several.trials[0].about["data"]
        assert trial.read().id == trials[str(seed)]
