"""Ray Tune, told where and when to run trials; what they are and what they gave is not its affair.

A class trainable with reused actors, so that each worker imports Keras once; every finished trial
goes to the store from inside its worker, and Ray's own logs are scratch.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from bench.engine.resources import Resources, Shares, divide
from bench.engine.worker import Job, TrialWorker, prepare_features
from bench.plan import FeatureNeed, PlannedTrial
from bench.store import Store

RETRIES = 1
"""How often a trial whose worker process died is tried again."""

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
"""Called with (trial id, `started` | `finished` | `failed`)."""


@contextmanager
def cluster(resources: Resources, trials: int, log: Path) -> Iterator[Shares]:
    """A Ray to run on, started here unless an address is given, and left behind clean.

    Args:
        resources: What may be used.
        trials: Trials to run; no more workers than these are planned.
        log: File for Ray's own messages.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log)
    for name in ("ray", "ray.tune", "ray.air", "ray.train"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    options: dict[str, Any] = {"address": resources.address} if resources.address else {}
    if not resources.address:
        options = {"include_dashboard": False, "object_store_memory": 200_000_000}
    ray.init(
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
        **options,
    )
    try:
        yield divide(resources, trials, ray.cluster_resources())
    finally:
        ray.shutdown()
        handler.close()


def extract_features(
    needs: Sequence[FeatureNeed],
    job: Job,
    shares: Shares,
    progress: Callable[[str, int, int], None],
) -> None:
    """Make weights and extract features in a process of its own, with all cores or one GPU."""
    with tempfile.TemporaryDirectory(dir=job.cache, prefix=".progress-") as scratch:
        said = Path(scratch) / "progress.json"
        task = ray.remote(
            num_cpus=shares.total_cpus, num_gpus=min(shares.total_gpus, 1), max_calls=1
        )(prepare_features)
        wanted = [(need.backbone, need.rows.tolist()) for need in needs]
        pending = task.remote(wanted, job, said, shares.total_cpus)
        last = None
        while True:
            done, _ = ray.wait([pending], timeout=0.3)
            if said.is_file():
                now = json.loads(said.read_text())
                if now != last:
                    progress(now["phase"], now["done"], now["total"])
                    last = now
            if done:
                _raise_cause(pending)
                return


def _raise_cause(pending: Any) -> None:
    try:
        ray.get(pending)
    except ray.exceptions.RayTaskError as error:
        # What the task raised is what the user should read, not Ray's wrapping of it.
        raise error.cause from None


def run_trials(
    trials: Sequence[PlannedTrial],
    job: Job,
    shares: Shares,
    event: Event,
    search: Searcher | None = None,
) -> dict[str, str]:
    """Train trials and put them into the store.

    Args:
        trials: What to train.
        job: Where to read and write.
        shares: What each trial may use.
        event: Told of each trial's start and end.
        search: Hands out the trials instead, where not all are known beforehand.

    Returns:
        Trial id -> `finished` or `failed`.
    """
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        watcher = _Watcher(Store(job.results), event)
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(TrialWorker, job=job, threads=shares.cpus),
                tune.PlacementGroupFactory([{"CPU": shares.cpus, "GPU": shares.gpus}]),
            ),
            param_space={
                "trial": tune.grid_search(
                    [{"id": t.id, "spec": t.spec.model_dump(mode="json")} for t in trials]
                )
            }
            if search is None
            else {},
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
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                log_to_file=False,
            ),
        )
        tuner.fit()
    return dict(watcher.outcomes)


class _Watcher(tune.Callback):
    """Passes on what becomes of trials, and records those whose process died."""

    def __init__(self, store: Store, event: Event) -> None:
        self._store, self._event = store, event
        self.outcomes: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its callbacks with its own state; a display is not to be saved.
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._event(trial.config["trial"]["id"], "started")

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        self._end(trial, result["outcome"])

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        plain = trial.config["trial"]
        why = Path(trial.error_file).read_text() if trial.error_file else "no message"
        self._store.write_failure(
            plain["id"],
            {"spec": plain["spec"], "error": "the worker process died", "traceback": why},
        )
        self._end(trial, "failed")

    def _end(self, trial: Trial, outcome: str) -> None:
        identity = trial.config["trial"]["id"]
        self.outcomes[identity] = outcome
        self._event(identity, outcome)
