"""A study's record: read and written key by key, and nothing believed that lacks one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.store.fsck.check import fsck
from bench.store.studies import StudyRecord, searched_trials, study_searches
from bench.store.trials import Store
from bench.study.study import DesignKind
from tests.store.recorded import recorded

ROOT = Path(__file__).parents[2]
STORES = (ROOT / "results" / "reference", ROOT / "tests" / "golden" / "store")
FILES = [path for store in STORES for path in sorted(store.glob("studies/*.json"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_of_before_is_written_again_byte_by_byte(path: Path, tmp_path: Path) -> None:
    (study,) = (s for s in Store(path.parents[1]).studies() if s.name == path.stem)
    assert Store(tmp_path).write_study(study).read_bytes() == path.read_bytes()


def test_a_tuned_record_names_its_searches_and_their_trials() -> None:
    store = Store(STORES[1])
    plain, tuned = store.studies()
    assert plain.tuning is None and plain.search_ids() == []
    assert not study_searches(store.root, plain)
    assert (
        tuned.tuning is not None and tuned.tuning.searches["ropanet_baseline"].budget.proposals == 2
    )
    assert list(study_searches(store.root, tuned)) == ["ropanet_baseline"]
    assert set(searched_trials(store.root, tuned).values()) == {
        "ropanet_baseline, proposal 1", "ropanet_baseline, proposal 2",
    }  # fmt: skip


def test_trials_are_named_by_arm_and_seed() -> None:
    study = recorded("s", {"a": {"0": "x", "12": "y"}})
    assert study.trial_names() == {"x": "a, seed 0", "y": "a, seed 12"}
    assert study.design is DesignKind.FACTORIAL and study.design.crossed


def without(plain: dict, path: str) -> dict:
    """A record without one of its keys."""
    here = plain
    *before, last = path.split(".")
    for key in before:
        here = here[int(key)] if isinstance(here, list) else here[key]
    del here[last]
    return plain


@pytest.mark.parametrize(
    "path",
    ["name", "title", "control", "margin", "data.label", "arms.0.levels", "axes.0.levels",
     "tuning.metric", "tuning.searches.a.budget.epochs"],
)  # fmt: skip
def test_a_record_that_lacks_a_key_is_named_with_what_to_do(path: str, tmp_path: Path) -> None:
    search = {"id": "s1", "budget": {"proposals": 2, "epochs": None, "passes": 0}}
    tuning = {"algorithm": "grid", "metric": "accuracy", "direction": "max", "seeds": [1000],
              "seed": 0, "factor": None, "space": {}, "searches": {"a": search}}  # fmt: skip
    axes = [{"name": "gate", "levels": ["none"]}]
    whole = recorded("s", {"a": {"0": "x"}}, axes=axes, tuning=tuning)
    assert StudyRecord.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    file = tmp_path / "results" / "studies" / "s.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(without(json.loads(json.dumps(whole.to_json())), path)))
    store = Store(tmp_path / "results")
    with pytest.raises(BenchError) as raised:
        store.studies()
    message = str(raised.value)
    assert f"it lacks '{path.rsplit('.', 1)[-1]}'" in message and "s.json" in message
    assert "bench fsck --repair" in message
    (found,) = fsck(store.root, tmp_path / "cache", repair=True, say=lambda *progress: None).found
    assert (found.kind, found.repaired) == ("damaged study record", True)
    assert store.studies() == []


def test_an_unknown_kind_of_design_is_a_damaged_record(tmp_path: Path) -> None:
    plain = recorded("s", {}).to_json() | {"design": "fractal"}
    with pytest.raises(ValueError, match="fractal"):
        StudyRecord.from_json(plain)
