"""Stores, features and `--json` of before: read as they were written, and with the same keys.

`store/` and `cache/` were written by the bench before its packages were arranged anew: a trial of
each form of record, a failed attempt, two studies, a search, and a shard of features.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.store.features import FeatureKey, FeatureStore
from bench.store.searches import read_search, search_path
from bench.store.trials import Store
from bench.study.trial import SEMANTICS
from tests.command import BENCH

HERE = Path(__file__).parent
KEYS: dict[str, list[str]] = json.loads((HERE / "json_keys.json").read_text())
GOLDEN = """
base: {preset: ropanet, train.epochs: 1, data.train_size: 48, data.validation_size: 8,
       data.test_size: 24}
axes:
  form:
    ropanet: {}
    as released: {base: as_released}
    points: {model.local: landmark_pooling}
    baseline: {base: ropanet_baseline}
    fashionnet: {base: fashionnet}
    prior: {base: prior, train: null, data.validation_size: 0}
    diverges: {train: {optimizer: sgd, learning_rate: 10.0}, landmarks.weight: 1.0e+30}
seeds: 1
"""
TUNED = """
base: {preset: ropanet_baseline, train.epochs: 1, data.train_size: 48, data.validation_size: 8,
       data.test_size: 24}
seeds: 1
tuning: {space: {train.learning_rate: [0.01, 0.001]}, algorithm: grid}
"""
PRIOR = "73d2240d628a921e"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The store of before beside the studies that made it."""
    folder = tmp_path_factory.mktemp("golden")
    shutil.copytree(HERE / "store", folder / "results")
    shutil.copytree(cache, folder / ".cache")
    (folder / "golden.yaml").write_text(GOLDEN)
    (folder / "tuned.yaml").write_text(TUNED)
    return folder


def test_every_form_of_record_is_read_back() -> None:
    store = Store(HERE / "store")
    records = [store.read(identity) for identity in store.ids()]
    assert len(records) == 9 and all(len(r.predictions.labels) for r in records)
    assert {r.spec["model"]["kind"] for r in records} == {
        "ropanet", "ropanet_baseline", "fashionnet", "prior",
    }  # fmt: skip
    assert sum(r.landmarks is not None for r in records) == 4
    assert sum(r.landmarks is not None and r.landmarks.soft is not None for r in records) == 3
    assert sum(r.gate is not None for r in records) == 2
    (attributes,) = (r.attributes for r in records if r.attributes is not None)
    assert attributes.logits.shape == attributes.true.shape == (24, len(attributes.names))
    assert all(r.history for r in records if r.spec["train"])
    (failed,) = (HERE / "store" / "failures").iterdir()
    assert store.diverged(failed.name) and "nan" in store.failures(failed.name)[0]["error"]


def test_a_search_and_features_are_read_back() -> None:
    (path,) = (HERE / "store" / "searches").glob("*.jsonl")
    search = read_search(search_path(HERE / "store", path.stem))
    assert search is not None and search.complete and len(search.proposals) == 2
    assert search.best() is not None
    features = FeatureStore(
        HERE / "cache", FeatureKey("small", "random:0", 64, "unit", "f", format=1)
    )
    assert features.stored() == {2, 5, 7} and features.verify() == []
    reader = features.reader()
    assert reader.unreadable == {5: "no image"}
    maps = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2) / 7
    np.testing.assert_array_equal(reader.gather(np.array([7, 2])), maps[[2, 0]])


def keys_of(plain: Any, before: str = "") -> set[str]:
    """Dotted paths of all keys; items of a list count as one."""
    if isinstance(plain, dict):
        return {f"{before}{key}" for key in plain}.union(
            *(keys_of(value, f"{before}{key}.") for key, value in plain.items())
        )
    if isinstance(plain, list):
        return set().union(*(keys_of(value, f"{before}[].") for value in plain))
    return set()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run", ["run", "golden.yaml", "--profile", "smoke", "--limit", "0", "--results", "new"]),
        ("plan", ["plan", "golden.yaml", "--profile", "smoke"]),
        ("plan_tuned", ["plan", "tuned.yaml", "--profile", "smoke"]),
        ("status", ["status"]),
        ("report", ["report", "--out", "report", "--format", "markdown", "--study", "tuned"]),
        ("fsck", ["fsck"]),
        ("export", ["export", "golden", "tuned", "--to", "copy"]),
        ("mirror", ["mirror", "mirror"]),
        ("verify", ["verify", PRIOR]),
        ("compare", ["compare", "results", "results"]),
        ("ledger", ["ledger"]),
        ("audit", ["audit"]),
        ("data_check", ["data", "check", ".cache/phantom/300-images-seed-0"]),
    ],
)
def test_json_keeps_its_keys(command: str, words: list[str], workspace: Path) -> None:
    done = subprocess.run(
        [*BENCH, *words, "--json"], cwd=workspace, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    assert done.stdout, done.stderr
    plain = json.loads(done.stdout)
    found = {key for key in keys_of(plain) if not key.startswith("[].changed.")}
    assert sorted(found) == KEYS[command]
    if command == "verify":  # of older semantics: shown, and never taken for today's
        assert plain[0]["verdict"] == "not compared"
        assert plain[0]["changed"]["semantics"] == [4, SEMANTICS]
