"""Ray Tune, told where and when to run trials; what they are and what they gave is not its affair.

A class trainable with reused actors, so that each worker imports Keras once; every finished trial
goes to the store from inside its worker, and Ray's own logs are scratch.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from bench.engine.config import WorkerConfig
from bench.engine.groups import trial_batches
from bench.engine.session import Session, on_node
from bench.engine.worker import TrialWorker, prepare_features
from bench.files.disk import disk_full
from bench.files.locks import is_locked
from bench.store.plan import PlannedTrial
from bench.store.trials import FailureKind, Store

RETRIES = 2
"""How often a trial is tried again whose worker process, or its machine, was lost."""

POLL_SECONDS = 0.5
"""How often the trials that another run is training are looked after."""

Event = Callable[[str, str], None]
"""Called with (trial id, what): `started`, or an outcome of `TrialWorker.step`."""


def extract_features(
    config: WorkerConfig, session: Session, progress: Callable[[str, int, int], None]
) -> None:
    """Make weights and extract features on every machine, with all of its cores or one GPU."""
    config.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=config.cache, prefix=".progress-") as scratch:
        said = Path(scratch) / "progress.json"
        pending = {_extraction(node, config, session, said): node["NodeID"] for node in _machines()}
        last = None
        while pending:
            done, _ = ray.wait(list(pending), timeout=0.3)
            if said.is_file():
                now = json.loads(said.read_text())
                if now != last:
                    progress(now["phase"], now["done"], now["total"])
                    last = now
            for task in done:
                _raise_cause(task, at_home=pending.pop(task) == session.home)


def _machines() -> list[dict[str, Any]]:
    return [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]


def _extraction(node: dict[str, Any], config: WorkerConfig, session: Session, said: Path) -> Any:
    cpus, gpus = int(node["Resources"]["CPU"]), min(node["Resources"].get("GPU", 0), 1)
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1)(prepare_features)
    return task.options(**on_node(node["NodeID"])).remote(config, said, cpus, session.home)


def _raise_cause(task: Any, *, at_home: bool) -> None:
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        # What the task raised is what the user should read, not Ray's wrapping of it.
        raise error.cause from None
    except ray.exceptions.RayError:
        # Another machine was lost: its trials go elsewhere, and extract what they need.
        if at_home:
            raise


def run_trials(
    trials: Sequence[PlannedTrial], config: WorkerConfig, session: Session, event: Event
) -> dict[str, str]:
    """Train trials and put them into the store.

    Trials whose worker was lost come again, after all others, and a few times only: one that takes
    its process down does not keep the others waiting. Trials that another run is training are
    waited for, and trained here if that run is lost.

    Args:
        trials: What to train.
        config: Where to read and write.
        session: The Ray to run on.
        event: Told of each trial's start and end.

    Returns:
        Trial id -> `finished`, `stored`, `diverged` or `failed`.
    """
    store, losses = Store(config.results), Counter[str]()
    outcomes: dict[str, str] = {}
    left = list(trials)
    share = config.reuse_compiled
    while left:
        watcher = Watcher(event)
        # What comes again comes alone: one of a batch may have taken the others down with it.
        together = list(trial_batches(left, session.shares.workers, share=share))
        tune_once(together, config, session, watcher)
        share = False
        again = []
        for trial in left:
            outcome = watcher.outcomes.get(trial.id, "lost")
            if outcome == "lost":
                losses[trial.id] += 1
                if losses[trial.id] <= RETRIES:
                    again.append(trial)
                    continue
                outcome = "failed"
                store.write_failure(trial.id, lost(trial, watcher.errors.get(trial.id)))
                event(trial.id, outcome)
            outcomes[trial.id] = outcome
        elsewhere = [trial for trial in left if outcomes.get(trial.id) == "elsewhere"]
        left = again + _free_again(elsewhere, store, outcomes, event, wait=not again)
    return outcomes


def lost(trial: PlannedTrial, why: str | None) -> dict[str, Any]:
    """The failure of a trial whose worker was lost too often."""
    return {
        "kind": FailureKind.CRASHED,
        "error": f"the worker process died, {RETRIES + 1} times",
        "traceback": why or "no message",
        "spec": trial.spec.model_dump(mode="json"),
    }


def _free_again(
    elsewhere: list[PlannedTrial],
    store: Store,
    outcomes: dict[str, str],
    event: Event,
    *,
    wait: bool,
) -> list[PlannedTrial]:
    """The trials that another run gave up; those that it stored count as stored.

    Args:
        elsewhere: Trials that another run was training.
        store: The store.
        outcomes: Outcomes by trial, brought up to date.
        event: Told of what the other run stored.
        wait: Whether to wait until each is stored or given up; otherwise those that are not come
            back as well, to be looked after in the next round.
    """
    given_up = []
    while elsewhere:
        still = []
        for trial in elsewhere:
            if store.has(trial.id) or store.failures(trial.id):
                outcomes[trial.id] = "stored" if store.has(trial.id) else "failed"
                event(trial.id, outcomes[trial.id])
            elif is_locked(store.claim(trial.id)):
                still.append(trial)
            else:
                given_up.append(trial)
        elsewhere = still
        if not wait:
            break
        if elsewhere and not given_up:
            time.sleep(POLL_SECONDS)
        elif given_up:
            break
    return given_up + elsewhere


def tune_once(
    trials: Sequence[Sequence[PlannedTrial]],
    config: WorkerConfig,
    session: Session,
    watcher: Watcher,
    search: Searcher | None = None,
) -> None:
    """One attempt at each trial; or at whatever a searcher hands out, which then has them all.

    Args:
        trials: Bundles of trials, each for one worker.
        config: Where to read and write.
        session: The Ray to run on.
        watcher: Told what becomes of each trial.
        search: Hands out batches in their place; None without one.

    Raises:
        BenchError: A worker could not write any more.
    """
    shares = session.shares
    trainable = tune.with_parameters(
        TrialWorker, run=config, threads=shares.cpus, home=session.home, actor=session.actor
    )
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        tune.Tuner(
            tune.with_resources(
                trainable, tune.PlacementGroupFactory([{"CPU": shares.cpus, "GPU": shares.gpus}])
            ),
            param_space=None
            if search is not None
            else {"trials": tune.grid_search([for_worker(batch) for batch in trials])},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                max_concurrent_trials=shares.workers,
                num_samples=1 if search is None else -1,
                search_alg=search,
            ),
            run_config=tune.RunConfig(
                name="run",
                storage_path=scratch,
                verbose=0,
                callbacks=[watcher, Interrupts(session.interrupted)],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                log_to_file=False,
            ),
        ).fit()
    watcher.check_disk()


def for_worker(batch: Sequence[PlannedTrial]) -> list[dict[str, Any]]:
    """A batch as `TrialWorker` takes it."""
    return [{"id": trial.id, "spec": trial.spec.model_dump(mode="json")} for trial in batch]


class Interrupts(tune.Callback):
    """Ends a run whose user interrupted it, if the interrupt's own exception was dropped.

    Args:
        interrupted: `Session.interrupted`.
    """

    def __init__(self, interrupted: threading.Event) -> None:
        self._interrupted = interrupted

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its callbacks with its own state, which is scratch.
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt


class Watcher(tune.Callback):
    """Notes what becomes of trials, and passes it on; Ray's own trials are batches of ours."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self.outcomes: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.disk_full: str | None = None
        """What the system said where a worker could not write."""

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its callbacks with its own state; a display is not to be saved.
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._event(trial.config["trials"][0]["id"], "started")

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        self.disk_full = self.disk_full or result["disk_full"]
        for identity, outcome in result["outcomes"]:
            self.outcomes[identity] = outcome
            self._event(identity, outcome)
        if result["next"] is not None:
            self._event(result["next"], "started")

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self.check_disk()

    def check_disk(self) -> None:
        """End the run where a worker could not write.

        Raises:
            BenchError: It could not.
        """
        if self.disk_full is not None:
            raise disk_full(self.disk_full)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        why = Path(trial.error_file).read_text(errors="replace") if trial.error_file else None
        for identity in (plain["id"] for plain in trial.config["trials"]):
            if identity in self.outcomes:
                continue
            if why is not None:
                self.errors[identity] = why
            self._event(identity, "lost")
