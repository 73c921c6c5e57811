"""The store and the feature store: whole or not at all, and never trusted unread."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.store.features import FeatureKey, FeatureStore
from bench.store.record import KeptWeights, Landmarks, Predictions, TrialRecord
from bench.store.trials import Store

KEY = FeatureKey("backbone", "sha256:0", 96, "unit", "fingerprint")


def record(accuracy: float = 0.5) -> TrialRecord:
    images = np.array(["a.jpg", "b.jpg"])
    true = np.full((2, 8, 2), 0.25, np.float32)
    true[1, 3] = np.nan
    return TrialRecord(
        id="0123456789abcdef",
        spec={"seed": 1},
        data={"source": "phantom"},
        metrics={"accuracy": accuracy, "precision_pooled": float("nan")},
        history=[(1, "train", "loss", 2.5), (1, "val", "loss", 2.75)],
        predictions=Predictions(images, np.array([0, 1]), np.array([[0.5, 0.5], [0.1, 0.9]], "f4")),
        landmarks=Landmarks(images, np.zeros((2, 8), "i1"), true, true + 0.5),
    )


def test_a_trial_comes_back_as_it_was_written(tmp_path: Path) -> None:
    store, written = Store(tmp_path), record()
    store.write(written)
    read = store.read(written.id)
    assert read.history == written.history and read.spec == written.spec
    assert read.metrics["accuracy"] == 0.5 and np.isnan(read.metrics["precision_pooled"])
    np.testing.assert_array_equal(read.predictions.probabilities, written.predictions.probabilities)
    assert read.landmarks is not None and written.landmarks is not None
    np.testing.assert_array_equal(read.landmarks.true, written.landmarks.true)
    assert list(store.ids()) == [written.id]


def test_the_first_record_of_a_trial_stands(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(0.5))
    store.write(record(0.9))
    assert store.read(record().id).metrics["accuracy"] == 0.5


def test_a_replaced_record_is_kept_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(0.5))
    store.write(record(0.9), replace=True)
    assert store.read(record().id).metrics["accuracy"] == 0.9
    assert '"accuracy": 0.5' in next(tmp_path.glob("superseded/*/trial.json")).read_text()


def test_a_process_killed_while_writing_leaves_no_trial(tmp_path: Path) -> None:
    script = f"""
import dataclasses, os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import bench.store.record as records
import bench.store.trials as store
from test_trials import record
write = records.write_json
def killed(path, plain):
    if path.name == "trial.json":
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, plain)
records.write_json = killed
store.Store(store.Path({str(tmp_path)!r})).write(record())
"""
    died = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    store = Store(tmp_path)
    assert not store.has(record().id) and not list(store.ids())
    store.write(record())
    assert store.has(record().id)


def test_a_truncated_record_is_named_and_not_believed(tmp_path: Path) -> None:
    path = Store(tmp_path).write(record())
    text = (path / "trial.json").read_text()
    (path / "trial.json").write_text(text[: len(text) // 2])
    with pytest.raises(BenchError, match=f"{record().id}: cannot be read"):
        Store(tmp_path).read(record().id)


def test_weights_are_kept_with_a_trial_and_change_none_of_its_other_files(tmp_path: Path) -> None:
    with_weights = replace(record(), weights=KeptWeights("best", b"numbers"))
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    folder, plain = one.write(with_weights), other.write(record())
    for path in plain.glob("*.parquet"):
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert one.keeps(record().id, "best") and not one.keeps(record().id, "last")
    assert one.read(record().id).weights is None
    assert one.read(record().id, weights=True).weights == with_weights.weights
    assert other.read(record().id, weights=True).weights is None

    (folder / "best.weights.h5").write_bytes(b"others")
    one.read(record().id)  # what a report reads is whole
    for read in (lambda: one.read(record().id, weights=True), lambda: one.checked(record().id)):
        with pytest.raises(BenchError, match=r"best\.weights\.h5 is not what was written"):
            read()


def test_failures_are_counted_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(11):
        store.write_failure("x", {"error": str(number)})
    assert [failure["error"] for failure in store.failures("x")] == [str(n) for n in range(11)]


def filled(folder: Path) -> FeatureStore:
    store = FeatureStore(folder, KEY)
    store.write([3, 1], np.arange(2 * 4, dtype="f4").reshape(2, 2, 2, 1), {1: "truncated"})
    store.write([7], np.full((1, 2, 2, 1), 9, "f4"), {})
    return store


def test_features_are_read_by_row_across_shards(tmp_path: Path) -> None:
    reader = filled(tmp_path).reader()
    maps = reader.gather(np.array([7, 1]))
    np.testing.assert_array_equal(maps[:, 0, 0, 0], [9, 4])
    assert reader.unreadable == {1: "truncated"} and reader.shape == (2, 2, 1)


def test_only_what_is_not_on_disk_is_missing(tmp_path: Path) -> None:
    assert filled(tmp_path).missing([1, 2, 3, 7, 9]) == [2, 9]


def test_a_flipped_byte_is_found_and_its_images_are_missing_again(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert store.verify() == []
    shard = next(p for p in store.folder.glob("*.npy") if np.load(p).shape[0] == 2)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(bytes(content))
    assert store.verify() == [shard.name]
    assert store.missing([1, 3, 7]) == [1, 3]


def test_maps_without_their_description_are_not_taken_as_whole(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for path in store.folder.glob("*.json"):
        if path.name != "about.json" and '"rows": [\n  7' in path.read_text():
            path.unlink()
    assert store.missing([1, 7]) == [7]
