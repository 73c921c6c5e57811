"""One scheduler for lists of trials and tuned studies; a known function stands for training."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray import tune

from bench.data.attributes import data_identity
from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.engine.scheduler import RETRIES, Source, SourceSearcher
from bench.engine.session import QUIET
from bench.engine.trial_batches import TrialList, trial_batches
from bench.engine.tune import WorkerWatcher
from bench.files.locks import locked
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
from bench.study.trial import TrialSpec, trial_id
from bench.train.status import TrialStatus
from bench.tuning.allowance import Allowance
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
    """Puts trials into the store whose scores are known beforehand, one a step."""

    def setup(self, config: dict[str, Any], results: Path, workers: int) -> None:
        self._results, self._workers = results, workers
        (results.parent / f"worker {os.getpid()}").touch()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._left = list(new_config["trials"])
        return True

    def step(self) -> dict[str, Any]:
        # Ray gives the trial of a worker that is still starting to one that is free.
        while len(list(self._results.parent.glob("worker *"))) < self._workers:
            time.sleep(0.01)
        plain = self._left.pop(0)
        put(plain["id"], TrialSpec.model_validate(plain["spec"]), Store(self._results))
        return {
            "done": not self._left,
            "outcomes": [(plain["id"], "finished")],
            "next": self._left[0]["id"] if self._left else None,
            "disk_full": None,
        }


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
def design_and_manifest(tmp_path: Path, phantom: Path) -> tuple[Design, Manifest]:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return resolve_study(*load_study(file), profile="smoke"), open_source(phantom, cache=tmp_path)


class Noted:
    """A source whose batches are noted."""

    def __init__(self, source: Source, batches: list[list[PlannedTrial]]) -> None:
        self._source, self._batches = source, batches

    def next_batch(self, workers: int, busy: Container[str]) -> list[PlannedTrial]:
        batch = self._source.next_batch(workers, busy)
        self._batches += [batch] if batch else []
        return batch

    def ended(self, identity: str, status: TrialStatus) -> None:
        self._source.ended(identity, status)


def train(
    studies: list[TunedStudy], results: Path, workers: int, known: Source | None = None
) -> list[list[PlannedTrial]]:
    """The batches that were handed to Ray, in order."""
    batches: list[list[PlannedTrial]] = []
    sources = [*([known] if known else []), *studies]
    search = SourceSearcher(
        [Noted(source, batches) for source in sources], Store(results), lambda *_: None, workers
    )
    with opened(studies):
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(KnownFunction, results=results, workers=workers), {"CPU": 1}
            ),
            tune_config=tune.TuneConfig(
                search_alg=search,
                num_samples=-1, max_concurrent_trials=workers, reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="run", storage_path=str(results.parent / "scratch"), verbose=0,
                log_to_file=False, callbacks=[WorkerWatcher(search)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()  # fmt: skip
    return batches


def one_by_one(batches: list[list[PlannedTrial]]) -> list[PlannedTrial]:
    """The trials of batches of one trial each."""
    return [trial for (trial,) in batches]


def test_a_tuned_study_through_ray(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path, cluster: None
) -> None:
    design, manifest = design_and_manifest
    results = tmp_path / "results"
    store = Store(results)
    study = TunedStudy(design, manifest, store, (), rerun=False, allowance=Allowance(7))
    assert study.left == 2 * 5 * 2 + 2 * 2
    first = one_by_one(train([study], results, workers=1))
    # Three proposals at two seeds are answered, the fourth is half done and not yet counted.
    assert len(first) == 7 and study.finished == 7 and study.left == 24 - 6

    # The stopped study goes on: nothing is trained twice, nothing is left out.
    study = TunedStudy(design, manifest, store, (), rerun=False)
    second = one_by_one(train([study], results, workers=1))
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
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path, cluster: None
) -> None:
    design, manifest = design_and_manifest
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
        while batch := study.next_batch(workers=1, busy=()):
            (trial,) = batch
            put(trial.id, trial.spec, store)
            trained.append(trial.id)
            if len(trained) == kill_at:
                break
            study.ended(trial.id, TrialStatus.FINISHED)
    return trained


def test_a_killed_study_goes_on_as_if_nothing_had_happened(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    undisturbed = without_ray(*design_and_manifest, tmp_path / "whole", kill_at=0)
    files = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "searches").iterdir()}
    assert len(undisturbed) == 24
    for kill_at in (1, 2, 7, 20, 23):
        results = tmp_path / f"killed at {kill_at}"
        trained = without_ray(*design_and_manifest, results, kill_at)
        trained += without_ray(*design_and_manifest, results, kill_at=0)
        assert trained == undisturbed
        assert {p.name: p.read_bytes() for p in (results / "searches").iterdir()} == files


def test_with_as_many_arms_as_workers_it_does_not_matter_which_one_is_faster(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    files = []
    for luck in (0, 1, 2):
        results, rng = tmp_path / f"luck {luck}", np.random.default_rng(luck)
        study = TunedStudy(*design_and_manifest, Store(results), (), rerun=False)
        with opened([study]):
            running: list[PlannedTrial] = []
            while True:
                while len(running) < 2 and (batch := study.next_batch(workers=2, busy=())):
                    running += batch
                if not running:
                    break
                ended = running.pop(rng.integers(len(running)))
                put(ended.id, ended.spec, Store(results))
                study.ended(ended.id, TrialStatus.FINISHED)
        found = {p.name: p.read_bytes() for p in (results / "searches").iterdir()}
        for text in found.values():
            kinds = [json.loads(line)["event"] for line in text.splitlines()[1:]]
            assert kinds == [*(["proposed", "answered"] * 5), "ended"]
        files.append(found)
    assert files[0] == files[1] == files[2]


@contextmanager
def searcher(
    design_and_manifest: tuple[Design, Manifest], results: Path
) -> Iterator[tuple[SourceSearcher, list]]:
    """What Ray asks, of one arm's search; and the events that it tells of."""
    events: list[tuple[str, str]] = []
    study = TunedStudy(*design_and_manifest, Store(results), ["gate=none"], rerun=False)
    with opened([study]):
        yield (
            SourceSearcher(
                [study], Store(results), lambda trial, status: events.append((trial.id, status)), 1
            ),
            events,
        )


def test_a_trial_whose_worker_is_lost_comes_again_and_in_the_end_fails(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    with searcher(design_and_manifest, tmp_path) as (search, events):
        lost = asked(search, "ray 0")
        search.on_trial_complete("ray 0", None, error=True)
        search.lost("ray 0", "killed")
        # The proposal has two seeds; the other one goes first now.
        other = asked(search, "ray other")
        assert other != lost
        search.on_trial_complete("ray other", ended(other, "diverged"))
        for attempt in range(1, RETRIES + 1):
            assert asked(search, f"ray {attempt}") == lost
            search.on_trial_complete(f"ray {attempt}", None, error=True)
            search.lost(f"ray {attempt}", "killed")
        assert search.outcomes == {other: "diverged", lost: "failed"}
        again = [(lost, "lost")] * RETRIES
        assert events == [(lost, "lost"), (other, "diverged"), *again, (lost, "failed")]
        (failure,) = Store(tmp_path).failures(lost)
        assert "worker process died" in failure["error"] and failure["traceback"] == "killed"
        # The proposal has failed, and another follows.
        third = asked(search, "ray third")
    (path,) = (tmp_path / "searches").glob("*.jsonl")
    kept = read_search(path)
    assert kept is not None and kept.proposals[0].error is not None
    assert third in kept.proposals[1].trials


def asked(search: SourceSearcher, ray_trial: str) -> str:
    (identity,) = batch_of(search, ray_trial)
    return identity


def batch_of(search: SourceSearcher, ray_trial: str) -> list[str]:
    suggested = search.suggest(ray_trial)
    assert isinstance(suggested, dict)
    return [str(plain["id"]) for plain in suggested["trials"]]


def ended(identity: str, status: str, following: str | None = None) -> dict[str, Any]:
    """What a worker reports."""
    return {"outcomes": [(identity, status)], "next": following, "disk_full": None}


def test_what_another_run_is_training_is_waited_for(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    with searcher(design_and_manifest, tmp_path) as (search, events):
        first, second = asked(search, "ray 1"), asked(search, "ray 2")
        with locked(store.claim(first), wait=True), locked(store.claim(second), wait=True):
            search.on_trial_complete("ray 1", ended(first, "elsewhere"))
            search.on_trial_complete("ray 2", ended(second, "elsewhere"))
            assert search.suggest("ray 3") is None, "nothing to train before one of them ends"
        # The other run stored one of them, and was killed before it had the other.
        store.write_failure(first, {"kind": "diverged", "error": "the loss became nan"})
        assert asked(search, "ray 4") == second
        assert events == [(first, "elsewhere"), (second, "elsewhere"), (first, "failed")]


def test_what_failed_in_an_earlier_run_is_trained_here_if_the_run_that_has_it_is_lost(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    store, trials = Store(tmp_path), known_trials(*design_and_manifest, 1)
    known = TrialList(trials, reuse_compiled=True)
    search = SourceSearcher([known], store, lambda *_: None, 1)
    store.write_failure(trials[0].id, {"kind": "crashed", "error": "weeks ago"})
    identity = asked(search, "ray 1")
    with locked(store.claim(identity), wait=True):
        search.on_trial_complete("ray 1", ended(identity, "elsewhere"))
        assert search.suggest("ray 2") is None
    assert asked(search, "ray 3") == identity


def known_trials(design: Design, manifest: Manifest, count: int) -> list[PlannedTrial]:
    """Small trials of one form."""
    spec = design.control.spec
    specs = [spec.model_copy(update={"seed": seed}) for seed in range(100, 100 + count)]
    return [
        PlannedTrial(trial_id(s, data_identity(s, manifest)), "known", s.seed, s, stored=False)
        for s in specs
    ]


def test_a_lost_batch_comes_again_one_by_one_after_all_others(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    trials = known_trials(*design_and_manifest, 6)
    known = TrialList(trials, reuse_compiled=True)
    search = SourceSearcher([known], Store(tmp_path), lambda *_: None, 1)
    first = batch_of(search, "ray 1")
    assert first == [trials[0].id, trials[1].id]
    search.on_trial_result("ray 1", ended(first[0], "finished", following=first[1]))
    search.on_trial_complete("ray 1", None, error=True)
    search.lost("ray 1", None)
    others = [batch_of(search, f"ray {number}") for number in (2, 3)]
    assert others == [[t.id for t in trials[2:4]], [t.id for t in trials[4:]]]
    assert batch_of(search, "ray 4") == [first[1]], "what had finished does not come again"
    assert search.suggest("ray 5") is None


def test_what_ran_out_of_memory_comes_again_once_with_nothing_beside_it(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    first, second = known_trials(*design_and_manifest, 2)
    known = TrialList([first, second], reuse_compiled=False)
    search = SourceSearcher([known], Store(tmp_path), lambda *_: None, 2)
    assert [asked(search, "ray 1"), asked(search, "ray 2")] == [first.id, second.id]
    search.lost("ray 1", "ResourceExhaustedError: OOM when allocating tensor with shape[9,9]")
    assert search.suggest("ray 3") is None, "the other one is still in training"
    search.on_trial_complete("ray 2", ended(second.id, "finished"))
    assert asked(search, "ray 4") == first.id
    search.lost("ray 4", "jaxlib._jax.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory")
    assert search.outcomes == {second.id: "finished", first.id: "failed"}
    (failure,) = Store(tmp_path).failures(first.id)
    assert failure["kind"] == "out of memory" and "lower train.batch_size" in failure["error"]


def test_a_tuned_study_costs_its_neighbours_neither_their_batches_nor_a_worker(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path, cluster: None
) -> None:
    trials = known_trials(*design_and_manifest, 12)
    study = TunedStudy(*design_and_manifest, Store(tmp_path / "results"), (), rerun=False)
    known = TrialList(trials, reuse_compiled=True)
    batches = train([study], tmp_path / "results", workers=1, known=known)
    assert batches[:3] == list(trial_batches(trials, 1, reuse_compiled=True))
    assert [len(batch) for batch in batches] == [4, 4, 4, *([1] * 24)]
    assert len(list(tmp_path.glob("worker *"))) == 1
    assert (study.finished, study.left) == (24, 0)


def test_workers_are_reused_for_batches_that_are_handed_out_one_by_one(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path, cluster: None
) -> None:
    known = TrialList(known_trials(*design_and_manifest, 24), reuse_compiled=True)
    batches = train([], tmp_path / "results", workers=2, known=known)
    assert [len(batch) for batch in batches] == [4] * 6
    assert len(list(tmp_path.glob("worker *"))) == 2


class Unwritable(TrialList):
    """A source that cannot note how a trial ended."""

    def ended(self, identity: str, status: TrialStatus) -> None:
        raise OSError(errno.ENOSPC, "no space left")


def test_a_source_that_cannot_go_on_ends_the_run_with_its_own_error(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path, cluster: None
) -> None:
    known = Unwritable(known_trials(*design_and_manifest, 3), reuse_compiled=True)
    with pytest.raises(OSError, match="no space left"):
        train([], tmp_path / "results", workers=1, known=known)


def test_studies_over_whatever_data_share_one_limit(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    allowance, trained = Allowance(30), 0
    for place in ("one", "other"):
        results = tmp_path / place
        study = TunedStudy(
            *design_and_manifest, Store(results), (), rerun=False, allowance=allowance
        )
        with opened([study]):
            while batch := study.next_batch(workers=1, busy=()):
                put(batch[0].id, batch[0].spec, Store(results))
                study.ended(batch[0].id, TrialStatus.FINISHED)
                trained += 1
        assert trained == {"one": 24, "other": 30}[place]
    assert study.left == 24 - 6


def test_what_two_studies_ask_for_is_trained_once_and_counted_once(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    store, one, other = Store(tmp_path), *(
        TunedStudy(*design_and_manifest, Store(tmp_path), (), rerun=False) for _ in range(2)
    )  # fmt: skip
    search = SourceSearcher([one, other], store, lambda *_: None, 2)
    trained: list[str] = []
    with opened([one, other]):
        while (suggested := search.suggest(f"ray {len(trained)}")) != search.FINISHED:
            assert isinstance(suggested, dict)
            (plain,) = suggested["trials"]
            put(plain["id"], TrialSpec.model_validate(plain["spec"]), store)
            search.on_trial_complete(f"ray {len(trained)}", ended(plain["id"], "finished"))
            trained.append(plain["id"])
    assert len(trained) == len(set(trained)) == 24
    assert one.finished + other.finished == 24


def test_a_search_is_exported_and_looked_over_with_its_study(
    design_and_manifest: tuple[Design, Manifest], tmp_path: Path
) -> None:
    results, copy = tmp_path / "results", tmp_path / "copy"
    without_ray(*design_and_manifest, results, kill_at=0)
    TunedStudy(*design_and_manifest, Store(results), (), rerun=False)
    assert export(Store(results), copy) == 4
    (study,) = Store(copy).studies()
    assert {a: s.complete for a, s in study_searches(copy, study).items()} == {
        "gate=sigmoid": True, "gate=none": True,
    }  # fmt: skip
    known = StoreReferences()
    assert list(check_results(Store(results), known, lambda *_: None)) == []
    path = next((results / "searches").iterdir())
    path.write_bytes(path.read_bytes().replace(b"answered", b"answred", 1).replace(b"[", b"", 1))
    (found,) = check_results(Store(results), known, lambda *_: None)
    assert found.kind == "damaged search" and found.path == path and found.repair is not None
