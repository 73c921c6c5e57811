"""Ray Tune, which decides where and when trials run; what they are is not its business.

A class trainable with reused actors, so that each worker imports Keras once; every finished trial
goes to the store from inside its worker, and Ray's own logs are scratch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from bench.engine.config import WorkerConfig
from bench.engine.scheduler import Event, Source, SourceSearcher
from bench.engine.session import Session
from bench.engine.worker import TrialWorker
from bench.files.signals import StopSignals
from bench.store.trials import Store
from bench.train.status import TrialStatus


def train_sources(
    sources: Sequence[Source], config: WorkerConfig, session: Session, event: Event
) -> dict[str, TrialStatus]:
    """Train what sources hand out, and put it into the store.

    Args:
        sources: Where trials come from, the first one first.
        config: What the workers must know.
        session: The Ray to run on.
        event: Told of each trial's start and end.

    Returns:
        Trial id -> one of `bench.train.status.ENDED`.

    Raises:
        BenchError: A worker could not write any more.
        OSError: What came of a trial could not be written.
    """
    split = session.split_of(config.arithmetic)
    searcher = SourceSearcher(sources, Store(config.options.results), event, split.workers)
    trainable = tune.with_parameters(
        TrialWorker, worker=config, threads=split.cpus, home=session.home, actor=session.actor
    )
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        tune.Tuner(
            tune.with_resources(
                trainable, tune.PlacementGroupFactory([{"CPU": split.cpus, "GPU": split.gpus}])
            ),
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                max_concurrent_trials=split.workers,
                num_samples=-1,
                search_alg=searcher,
            ),
            run_config=tune.RunConfig(
                name="run",
                storage_path=scratch,
                verbose=0,
                callbacks=[WorkerWatcher(searcher), Interrupts(session.stop)],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                log_to_file=False,
            ),
        ).fit()
    searcher.check()
    return searcher.outcomes


class Interrupts(tune.Callback):
    """Ends a run that a signal asked to end, if the signal's own exception was dropped.

    Args:
        stop: `Session.stop`.
    """

    def __init__(self, stop: StopSignals) -> None:
        self._stop = stop

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its callbacks with its own state, which is scratch.
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._stop.check()


class WorkerWatcher(tune.Callback):
    """Tells a searcher what Ray does not: that a worker began a batch, and why one was lost."""

    def __init__(self, searcher: SourceSearcher) -> None:
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its callbacks with its own state; a searcher is not to be saved.
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._searcher.started(trial.trial_id)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        why = Path(trial.error_file).read_text(errors="replace") if trial.error_file else None
        self._searcher.lost(trial.trial_id, why)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._searcher.check()
