"""A copy of a study: whole, or compact with the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.metrics.catalogue import classification
from bench.metrics.landmarks import normalised_error
from bench.store.export import export
from bench.store.record import GateRecord, KeptWeights, Landmarks, Predictions, TrialRecord
from bench.store.trials import Store
from tests.store.recorded import recorded

IMAGES, CLASSES = 300, 12


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A study of one trial, whose probabilities are close to each other and to one half."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, IMAGES)
    odds = np.exp(rng.normal(0, 0.05, (IMAGES, CLASSES)))
    odds[:50, 3] = (odds[:50].sum(1) - odds[:50, 3]) * rng.uniform(0.99, 1.01, 50)
    probabilities = (odds / odds.sum(1, keepdims=True)).astype("f4")
    names = np.array([f"{i}.jpg" for i in range(IMAGES)])
    true = rng.random((IMAGES, 8, 2)).astype("f4")
    true[0, 4] = np.nan
    visibility = np.where(np.isnan(true[..., 0]), -1, 0).astype("i1")
    predicted = rng.random((IMAGES, 8, 2)).astype("f4")
    maps = rng.random((IMAGES, 6, 6)).astype("f2")
    store = Store(tmp_path / "results")
    store.write(
        TrialRecord(
            id="a", spec={}, data={"images": {"test": IMAGES}}, history=[(1, "val", "loss", 0.5)],
            metrics=classification(probabilities, labels), environment={"bench": "0"},
            predictions=Predictions(names, labels, probabilities),
            landmarks=Landmarks(names, visibility, true, predicted),
            gate=GateRecord(names, maps.mean((1, 2)), maps.mean((1, 2)), maps),
            weights=KeptWeights("best", b"numbers"),
        )
    )  # fmt: skip
    data = {"source": "phantom", "root": "/home/me/.cache/phantom/300-images-seed-0"}
    store.write_study(recorded("s", {"x": {"0": "a", "1": "b"}}, data))
    return store


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_compact_copy_is_small_and_scores_exactly_the_same(store: Store, tmp_path: Path) -> None:
    assert export(store, tmp_path / "whole") == 1
    assert export(store, tmp_path / "compact", ["s"], compact=True) == 1
    assert not Store(tmp_path / "compact").keeps("a", "best")
    assert size(tmp_path / "compact") < 0.9 * size(tmp_path / "whole")
    before, after = store.read("a"), Store(tmp_path / "compact").read("a")
    assert after.environment == {"bench": "0", "compact": True}
    scores = [classification(r.predictions.probabilities, r.predictions.labels)
              for r in (before, after)]  # fmt: skip
    losses = [score.pop("loss") for score in scores]
    assert scores[0] == scores[1] and losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert before.landmarks is not None and after.landmarks is not None
    errors = [normalised_error(put.predicted, put.true, put.visibility)
              for put in (before.landmarks, after.landmarks)]  # fmt: skip
    assert errors[1] == pytest.approx(errors[0], rel=1e-3)
    assert before.gate is not None and after.gate is not None
    np.testing.assert_allclose(after.gate.maps, before.gate.maps, rtol=0.04)


def test_a_whole_copy_is_the_same_trial_and_is_added_to_what_is_there(
    store: Store, tmp_path: Path
) -> None:
    export(store, tmp_path / "copy")
    copy = Store(tmp_path / "copy")
    (study,) = copy.studies()
    assert study.data.root == ".cache/phantom/300-images-seed-0"
    for path in (store.trials / "a").iterdir():
        assert (copy.trials / "a" / path.name).read_bytes() == path.read_bytes()
    export(copy, tmp_path / "results")
    assert list(store.ids()) == ["a"]
    with pytest.raises(BenchError, match="no study `t`"):
        export(store, tmp_path / "copy", ["t"])
