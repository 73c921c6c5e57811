"""Ray Tune, told where and when to run trials; what they are and what they gave is not its affair.

A class trainable with reused actors, so that each worker imports Keras once; every finished trial
goes to the store from inside its worker, and Ray's own logs are scratch.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.engine.bundles import bundles
from bench.engine.desk import Keeper
from bench.engine.resources import Resources, Shares, divide
from bench.engine.worker import Job, TrialWorker, prepare_features
from bench.errors import BenchError
from bench.locks import is_held
from bench.plan import PlannedTrial
from bench.store import CRASHED, Store

RETRIES = 2
"""How often a trial is tried again whose worker process, or its machine, was lost."""

POLL_SECONDS = 0.5
"""How often the trials that another run is training are looked after."""

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "1000",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


Event = Callable[[str, str], None]
"""Called with (trial id, what): `started`, or an outcome of `TrialWorker.step`."""


@dataclass(frozen=True)
class Session:
    """A Ray to run on.

    Args:
        shares: What each trial may use.
        home: Ray's name of this machine, which holds the results folder.
        keeper: Handle of the actor that stores what other machines made; None on one machine.
    """

    shares: Shares
    home: str
    keeper: Any | None


@contextmanager
def session(resources: Resources, trials: int, results: Path, log: Path) -> Iterator[Session]:
    """A Ray to run on, started here unless an address is given, and left behind clean.

    Args:
        resources: What may be used.
        trials: Trials to run; no more workers than these are planned.
        results: Results folder.
        log: File for Ray's own messages.

    Raises:
        BenchError: No cluster answers at the address, or Ray's own processes were lost meanwhile.
    """
    if resources.address:
        _reach(resources.address)
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log)
    for name in ("ray", "ray.tune", "ray.air", "ray.train"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    # `local`: a cluster that runs on this machine by chance is not joined without being named.
    options: dict[str, Any] = {"address": resources.address or "local"}
    if not resources.address:
        options |= {"include_dashboard": False, "object_store_memory": 200_000_000}
    # Ray prints what befalls its processes on standard output, whatever it is told.
    with log.open("a") as said, redirect_stdout(said):
        try:
            ray.init(
                log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **options
            )
        except ConnectionError as error:
            raise _unanswered(resources.address, error) from error
        try:
            home = ray.get_runtime_context().get_node_id()
            keeper = None
            if resources.address:
                keeper = ray.remote(Keeper).options(num_cpus=0, **_on(home)).remote(results)
            yield Session(divide(resources, trials, ray.cluster_resources()), home, keeper)
        except ray.exceptions.RayError as error:
            raise BenchError(
                f"Ray's own processes were lost: {str(error).splitlines()[0]}",
                where=str(log),
                fix="run the same command again: what is finished is stored, the rest goes on",
            ) from error
        finally:
            ray.shutdown()
            handler.close()


def _reach(address: str) -> None:
    """Make sure that somebody listens at an address: Ray itself would try for minutes.

    Raises:
        BenchError: Nobody does, or it is the address of a Ray client's server.
    """
    if address.startswith("ray://"):
        raise BenchError(
            "is the address of a Ray client's server",
            where=f"--address {address}",
            fix="run on a machine of the cluster, with its `host:port` or `auto`",
        )
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return  # `auto`, or another word of Ray's
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _unanswered(address, error) from error


def _unanswered(address: str | None, error: Exception) -> BenchError:
    return BenchError(
        f"no Ray cluster answers: {error}",
        where=f"--address {address}",
        fix="start one with `ray start --head` (docs/cluster.md)",
    )


def _on(node: str) -> dict[str, Any]:
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def extract_features(job: Job, session: Session, progress: Callable[[str, int, int], None]) -> None:
    """Make weights and extract features on every machine, with all of its cores or one GPU."""
    job.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.cache, prefix=".progress-") as scratch:
        said = Path(scratch) / "progress.json"
        pending = {_extraction(node, job, session, said): node["NodeID"] for node in _machines()}
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


def _extraction(node: dict[str, Any], job: Job, session: Session, said: Path) -> Any:
    cpus, gpus = int(node["Resources"]["CPU"]), min(node["Resources"].get("GPU", 0), 1)
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1)(prepare_features)
    return task.options(**_on(node["NodeID"])).remote(job, said, cpus, session.home)


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
    trials: Sequence[PlannedTrial], job: Job, session: Session, event: Event
) -> dict[str, str]:
    """Train trials and put them into the store.

    Trials whose worker was lost come again, after all others, and a few times only: one that takes
    its process down does not keep the others waiting. Trials that another run is training are
    waited for, and trained here if that run is lost.

    Args:
        trials: What to train.
        job: Where to read and write.
        session: The Ray to run on.
        event: Told of each trial's start and end.

    Returns:
        Trial id -> `finished`, `stored`, `diverged` or `failed`.
    """
    store, losses = Store(job.results), Counter[str]()
    outcomes: dict[str, str] = {}
    left = list(trials)
    share = job.share
    while left:
        watcher = Watcher(event)
        # What comes again comes alone: one of a bundle may have taken the others down with it.
        together = list(bundles(left, session.shares.workers, share=share))
        tune_once(together, job, session, watcher)
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
        "kind": CRASHED,
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
            elif is_held(store.claim(trial.id)):
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
    job: Job,
    session: Session,
    watcher: Watcher,
    search: Searcher | None = None,
) -> None:
    """One attempt at each trial; or at whatever a searcher hands out, which then has them all.

    Args:
        trials: Bundles of trials, each for one worker.
        job: Where to read and write.
        session: The Ray to run on.
        watcher: Told what becomes of each trial.
        search: Hands out bundles in their place; None without one.
    """
    shares = session.shares
    trainable = tune.with_parameters(
        TrialWorker, job=job, threads=shares.cpus, home=session.home, keeper=session.keeper
    )
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        tune.Tuner(
            tune.with_resources(
                trainable, tune.PlacementGroupFactory([{"CPU": shares.cpus, "GPU": shares.gpus}])
            ),
            param_space=None
            if search is not None
            else {"trials": tune.grid_search([for_worker(bundle) for bundle in trials])},
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
                callbacks=[watcher],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                log_to_file=False,
            ),
        ).fit()


def for_worker(bundle: Sequence[PlannedTrial]) -> list[dict[str, Any]]:
    """A bundle as `TrialWorker` takes it."""
    return [{"id": trial.id, "spec": trial.spec.model_dump(mode="json")} for trial in bundle]


class Watcher(tune.Callback):
    """Notes what becomes of trials, and passes it on; Ray's own trials are bundles of ours."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self.outcomes: dict[str, str] = {}
        self.errors: dict[str, str] = {}

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
        for identity, outcome in result["outcomes"]:
            self.outcomes[identity] = outcome
            self._event(identity, outcome)
        if result["next"] is not None:
            self._event(result["next"], "started")

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
