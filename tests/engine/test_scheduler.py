"""Tuned studies through Ray Tune, with a known function in the place of training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray import tune

from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.engine.scheduler import SourceSearcher
from bench.engine.session import QUIET
from bench.engine.tune import RETRIES
from bench.files.locks import held
from bench.store.export import export
from bench.store.fsck.results import StoreReferences, check_results
from bench.store.plan import PlannedTrial
from bench.store.record import Predictions, TrialRecord
from bench.store.searches import SearchLog, read_search, search_path
from bench.store.studies import study_searches
from bench.store.trials import Store
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.study.trial import TrialSpec
from bench.tuning.oracle import ArmSearch, versions
from bench.tuning.tuned_study import TunedStudy, opened
from bench.tuning.winners import search_plans
from tests.tuning.known import SPACES, score_of

STUDY = f"""
axes: {{model.gate: [sigmoid, none]}}
seeds: [3, 4]
tuning:
  space:{SPACES["bowl"]}
  algorithm: random
  trials: 5
  seeds: [7, 8]
"""


def put(identity: str, spec: TrialSpec, store: Store) -> None:
    """A finished trial whose score is known beforehand."""
    assert spec.train is not None
    point = {
        "train.learning_rate": spec.train.learning_rate,
        "train.batch_size": spec.train.batch_size,
    }
    answers = Predictions(np.array(["a.jpg"]), np.zeros(1, int), np.ones((1, 2)))
    metrics = {"accuracy": score_of(point)}
    data = {"fingerprint": "f"}
    store.write(TrialRecord(identity, spec.model_dump(mode="json"), data, metrics, [], answers))


class KnownFunction(tune.Trainable):
    """Puts a trial into the store whose score is known beforehand."""

    def setup(self, config: dict[str, Any], results: Path) -> None:
        self._results, self._plain = results, config["trials"][0]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._plain = new_config["trials"][0]
        return True

    def step(self) -> dict[str, Any]:
        spec = TrialSpec.model_validate(self._plain["spec"])
        put(self._plain["id"], spec, Store(self._results))
        return {"done": True, "outcomes": [(self._plain["id"], "finished")], "next": None}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        ray.init("local", num_cpus=2, include_dashboard=False, configure_logging=False,
                 log_to_driver=False, object_store_memory=100_000_000)  # fmt: skip
        yield
        ray.shutdown()


@pytest.fixture
def design(tmp_path: Path, phantom: Path) -> tuple[Design, Manifest]:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return resolve_study(*load_study(file), profile="smoke"), open_source(phantom, cache=tmp_path)


def train(studies: list[TunedStudy], results: Path, workers: int, limit: int | None = None) -> list:
    """What was handed to Ray, in order."""
    handed: list = []
    with opened(studies):
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(KnownFunction, results=results), {"CPU": 1}
            ),
            tune_config=tune.TuneConfig(
                search_alg=SourceSearcher(
                    [], studies, Store(results), lambda *_: None, handed.append, workers, limit
                ),
                num_samples=-1, max_concurrent_trials=workers, reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="run", storage_path=str(results.parent / "scratch"), verbose=0,
                log_to_file=False,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()  # fmt: skip
    return handed


def test_a_tuned_study_through_ray(
    design: tuple[Design, Manifest], tmp_path: Path, cluster: None
) -> None:
    design, manifest = design
    results = tmp_path / "results"
    store = Store(results)
    study = TunedStudy(design, manifest, store, (), rerun=False)
    assert study.left == 2 * 5 * 2 + 2 * 2
    first = train([study], results, workers=1, limit=7)
    # Three proposals at two seeds are answered, the fourth is half done and not yet counted.
    assert len(first) == 7 and study.finished == 7 and study.left == 24 - 6

    # The stopped study goes on: nothing is trained twice, nothing is left out.
    study = TunedStudy(design, manifest, store, (), rerun=False)
    second = train([study], results, workers=1)
    order = [trial.id for trial in (*first, *second)]
    assert len(order) == len(set(order)) == 24
    assert study.left == 0 and study.searched and study.failed == []

    # The test images are looked at last, when every arm's setting is fixed.
    seen = [trial.spec.eval.split for trial in (*first, *second)]
    assert seen == ["validation"] * 20 + ["test"] * 4
    assert [trial.seed for trial in second[-4:]] == [3, 3, 4, 4]
    assert {trial.seed for trial in (*first, *second)[:20]} == {7, 8}

    plans = search_plans(design, manifest)
    searches = [read_search(search_path(results, plan.id)) for plan in plans]
    for plan, search in zip(plans, searches, strict=True):
        assert search is not None and len(search.proposals) == 5 and search.complete
        # KerasTuner alone, given the same answers.
        log = SearchLog(tmp_path / "alone.jsonl", plan, versions())
        alone = ArmSearch(plan, log)
        while (proposal := alone.ask()) is not None:
            alone.tell(proposal.number, score_of(proposal.values))
        assert alone.search.proposals == search.proposals
        alone.close()
        (tmp_path / "alone.jsonl").unlink()
        best = search.best()
        assert best is not None
        assert best.score == max(score_of(p.values) for p in search.proposals)
        winner = next(t for t in second[-4:] if t.arm == plan.arm)
        assert winner.spec.train.learning_rate == best.values["train.learning_rate"]

    # Every arm was searched at the same points: same seeds, same budget.
    one, other = ([p.values for p in search.proposals] for search in searches if search)
    assert one == other

    record = store.studies()[0]
    assert [len(arm.trials) for arm in record.arms] == [2, 2]
    again = TunedStudy(design, manifest, store, (), rerun=False)
    assert again.searched and all(trial.stored for trial in again.tested())


def test_trials_at_the_same_time_are_pending_to_their_oracle(
    design: tuple[Design, Manifest], tmp_path: Path, cluster: None
) -> None:
    design, manifest = design
    results = tmp_path / "results"
    study = TunedStudy(design, manifest, Store(results), ["gate=none"], rerun=False)
    assert len(train([study], results, workers=2)) == 5 * 2 + 2
    (path,) = (results / "searches").glob("*.jsonl")
    events = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    asked, told = set(), set()
    for event in events:
        if event["event"] == "proposed":
            asked.add(event["number"])
        if event["event"] == "answered":
            told.add(event["number"])
            assert event["number"] in asked
    assert asked == told == set(range(5))
    # What happened can be told again to a new oracle, in the order in which it happened.
    plan = study.plans[0]
    ArmSearch(plan, SearchLog(path, plan, versions())).close()


def without_ray(design: Design, manifest: Manifest, results: Path, kill_at: int) -> list[str]:
    """Train one trial after another until the kill: before a trial is told of, though stored."""
    store, trained = Store(results), []
    study = TunedStudy(design, manifest, store, (), rerun=False)
    with pytest.MonkeyPatch.context() as patch, opened([study]):
        # A killed process writes no last record.
        patch.setattr(study, "write", lambda: None)
        while (trial := study.next_trial(workers=1)) is not None:
            put(trial.id, trial.spec, store)
            trained.append(trial.id)
            if len(trained) == kill_at:
                break
            study.ended(trial.id, "finished")
    return trained


def test_a_killed_study_goes_on_as_if_nothing_had_happened(
    design: tuple[Design, Manifest], tmp_path: Path
) -> None:
    undisturbed = without_ray(*design, tmp_path / "whole", kill_at=0)
    files = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "searches").iterdir()}
    assert len(undisturbed) == 24
    for kill_at in (1, 2, 7, 20, 23):
        results = tmp_path / f"killed at {kill_at}"
        trained = without_ray(*design, results, kill_at)
        trained += without_ray(*design, results, kill_at=0)
        assert trained == undisturbed
        assert {p.name: p.read_bytes() for p in (results / "searches").iterdir()} == files


def test_with_as_many_arms_as_workers_it_does_not_matter_which_one_is_faster(
    design: tuple[Design, Manifest], tmp_path: Path
) -> None:
    files = []
    for luck in (0, 1, 2):
        results, rng = tmp_path / f"luck {luck}", np.random.default_rng(luck)
        study = TunedStudy(*design, Store(results), (), rerun=False)
        with opened([study]):
            running: list[PlannedTrial] = []
            while True:
                while len(running) < 2 and (trial := study.next_trial(workers=2)) is not None:
                    running.append(trial)
                if not running:
                    break
                ended = running.pop(rng.integers(len(running)))
                put(ended.id, ended.spec, Store(results))
                study.ended(ended.id, "finished")
        found = {p.name: p.read_bytes() for p in (results / "searches").iterdir()}
        for text in found.values():
            kinds = [json.loads(line)["event"] for line in text.splitlines()[1:]]
            assert kinds == [*(["proposed", "answered"] * 5), "ended"]
        files.append(found)
    assert files[0] == files[1] == files[2]


@contextmanager
def searcher(
    design: tuple[Design, Manifest], results: Path
) -> Iterator[tuple[SourceSearcher, list]]:
    """What Ray asks, of one arm's search; and the events that it tells of."""
    events: list[tuple[str, str]] = []
    study = TunedStudy(*design, Store(results), ["gate=none"], rerun=False)
    with opened([study]):
        yield SourceSearcher(
            [], [study], Store(results), lambda *event: events.append(event), lambda trial: None, 1
        ), events  # fmt: skip


def test_a_trial_whose_worker_is_lost_comes_again_and_in_the_end_fails(
    design: tuple[Design, Manifest], tmp_path: Path
) -> None:
    with searcher(design, tmp_path) as (search, events):
        tried = []
        for attempt in range(RETRIES + 1):
            tried.append(asked(search, f"ray {attempt}"))
            search.on_trial_complete(f"ray {attempt}", None, error=True)
        (lost,) = set(tried)
        assert search.outcomes == {lost: "failed"} and events == [(lost, "failed")]
        assert "worker process died" in Store(tmp_path).failures(lost)[0]["error"]
        # The proposal has two seeds; when the other one ends it has failed, and another follows.
        other = asked(search, "ray other")
        assert other != lost
        search.on_trial_complete("ray other", {"outcomes": [(other, "diverged")]}, error=False)
        third = asked(search, "ray third")
    (path,) = (tmp_path / "searches").glob("*.jsonl")
    kept = read_search(path)
    assert kept is not None and kept.proposals[0].error is not None
    assert third in kept.proposals[1].trials


def asked(search: SourceSearcher, ray_trial: str) -> str:
    suggested = search.suggest(ray_trial)
    assert isinstance(suggested, dict)
    return str(suggested["trials"][0]["id"])


def test_what_another_run_is_training_is_waited_for(
    design: tuple[Design, Manifest], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    with searcher(design, tmp_path) as (search, events):
        first, second = asked(search, "ray 1"), asked(search, "ray 2")
        with held(store.claim(first), wait=True), held(store.claim(second), wait=True):
            search.on_trial_complete("ray 1", {"outcomes": [(first, "elsewhere")]})
            search.on_trial_complete("ray 2", {"outcomes": [(second, "elsewhere")]})
            assert search.suggest("ray 3") is None, "nothing to train before one of them ends"
        # The other run stored one of them, and was killed before it had the other.
        store.write_failure(first, {"kind": "diverged", "error": "the loss became nan"})
        assert asked(search, "ray 4") == second
        assert events == [(first, "failed")]


def test_a_search_is_exported_and_looked_over_with_its_study(
    design: tuple[Design, Manifest], tmp_path: Path
) -> None:
    results, copy = tmp_path / "results", tmp_path / "copy"
    without_ray(*design, results, kill_at=0)
    TunedStudy(*design, Store(results), (), rerun=False)
    assert export(Store(results), copy) == 4
    (study,) = Store(copy).studies()
    assert {a: s.complete for a, s in study_searches(Store(copy), study).items()} == {
        "gate=sigmoid": True, "gate=none": True,
    }  # fmt: skip
    known = StoreReferences()
    assert list(check_results(Store(results), known, lambda *_: None)) == []
    path = next((results / "searches").iterdir())
    path.write_bytes(path.read_bytes().replace(b"answered", b"answred", 1).replace(b"[", b"", 1))
    (found,) = check_results(Store(results), known, lambda *_: None)
    assert found.kind == "damaged search" and found.path == path and found.repair is not None
