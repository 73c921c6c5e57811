"""A copy of a study: whole, or compact with the same answers."""

from __future__ import annotations

from dataclasses import replace
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
    assert after.environment == {"bench": "0", "compact": "with pictures"}
    scores = [classification(r.predictions.probabilities, r.predictions.labels)
              for r in (before, after)]  # fmt: skip
    losses = [score.pop("loss") for score in scores]
    assert scores[0] == scores[1] and losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert before.landmarks is not None and after.landmarks is not None
    errors = [normalised_error(put.predicted, put.true, put.visibility)
              for put in (before.landmarks, after.landmarks)]  # fmt: skip
    assert errors[1] == errors[0]
    assert before.gate is not None and after.gate is not None
    np.testing.assert_allclose(after.gate.maps, before.gate.maps, rtol=0.04)


def test_of_later_seeds_a_compact_copy_keeps_the_scores_and_what_they_share_once(
    store: Store, tmp_path: Path
) -> None:
    store.write(replace(store.read("a"), id="b"))
    assert export(store, tmp_path / "compact", ["s"], compact=True) == 2
    copy = Store(tmp_path / "compact")
    first, second = copy.read("a"), copy.read("b")
    assert first.gate is not None and second.gate is None
    assert second.environment == {"bench": "0", "compact": "scores"}
    for kept, most in ((first, 5), (second, 1)):
        answers = kept.predictions.probabilities
        true = answers[np.arange(IMAGES), kept.predictions.labels]
        assert ((answers > 0).sum(1) <= np.maximum(most, (answers >= true[:, None]).sum(1))).all()
        scores = classification(answers, kept.predictions.labels)
        before = classification(store.read("a").predictions.probabilities, kept.predictions.labels)
        assert {k: v for k, v in scores.items() if k != "loss"} == {
            k: v for k, v in before.items() if k != "loss"
        }
    # The names of the images, their labels and true places are those of both.
    assert len(list(copy.common.iterdir())) == 3  # of predictions, landmarks and gate
    assert first.landmarks is not None and second.landmarks is not None
    np.testing.assert_equal(first.landmarks.true, second.landmarks.true)
    # A compact copy of a compact copy is the same copy.
    export(copy, tmp_path / "again", ["s"], compact=True)
    for path in (tmp_path / "compact" / "trials").rglob("*.*"):
        other = tmp_path / "again" / path.relative_to(tmp_path / "compact")
        assert path.read_bytes() == other.read_bytes(), path.name


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
