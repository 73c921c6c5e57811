"""What runs inside Ray's worker processes: one trial after another.

A worker imports Keras once and is reused for every trial it is given. A trial that fails is
recorded with its traceback and does not take the worker, or its neighbours, down.
"""

from __future__ import annotations

import faulthandler
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ray
from ray import tune

from bench.data.manifest import Manifest
from bench.engine.config import WorkerConfig
from bench.engine.extraction import away_from_home, data_with_features
from bench.engine.memory import is_out_of_memory
from bench.engine.process import as_if_missing, limit_threads, redirect_output, thread_limit
from bench.engine.stores import worker_store
from bench.files.disk import describe_disk_full, is_disk_full
from bench.store.record import Epoch
from bench.store.trials import FailureKind, Store
from bench.study.trial import TrialSpec
from bench.systems.registry import load_plugins
from bench.train.arithmetic import compute_in
from bench.train.status import TrialStatus

REPORT_SECONDS = 0.5
"""Small trials are reported together: Ray takes some hundredths of a second for each report."""


class TrialWorker(tune.Trainable):
    """A Ray Tune trainable that trains a batch of trials, one after another, and is then reused.

    A batch is a list under `trials` of a trial's `id`, `spec` and `keep`. A step trains as many as
    fit into `REPORT_SECONDS`, at least one.
    """

    def setup(
        self,
        config: dict[str, Any],
        worker: WorkerConfig,
        threads: int,
        home: str,
        actor: Any | None,
    ) -> None:
        """Called once a process, before Keras is imported.

        Args:
            config: The first batch.
            worker: What holds for all trials.
            threads: CPU threads to use.
            home: Ray's name of the machine that holds the results folder.
            actor: Handle of a `bench.engine.stores.StoreActor` on a cluster, None on one machine.
        """
        at_home = ray.get_runtime_context().get_node_id() == home
        self._config = worker if at_home else away_from_home(worker)
        redirect_output(self._config.log)
        limit_threads(threads)
        compute_in(worker.arithmetic, self._config.options.cache)
        load_plugins()
        # What every trial needs, before the clock of the first one runs.
        with as_if_missing("matplotlib.pyplot", "sklearn"):
            import keras  # noqa: F401
        from bench.train.compiled import Compiled

        self._store = worker_store(self._config.options.results, actor)
        self._compiled = Compiled() if worker.options.reuse_compiled else None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next batch; Ray then keeps the process."""
        self._left = list(new_config["trials"])
        return True

    def step(self) -> dict[str, Any]:
        """Train trials and store each, or record how it failed.

        Returns:
            `outcomes`: of each, its id and how it ended: `finished`, `diverged`, `failed`, `stored`
            where it was stored before, or `elsewhere`. `next`: the trial that the next step begins
            with; None at the batch's end. `disk_full`: what the system said where nothing can be
            written any more, which is no fault of the trial's and ends the batch; None otherwise.
        """
        begun, disk_full = time.monotonic(), None
        outcomes: list[tuple[str, TrialStatus]] = []
        while self._left and (not outcomes or time.monotonic() - begun < REPORT_SECONDS):
            trial = self._left.pop(0)
            try:
                outcomes.append((trial["id"], self._outcome(trial)))
            except OSError as error:
                if not is_disk_full(error):
                    raise
                self._left = []
                options = self._config.options
                disk_full = describe_disk_full(error, options.results, options.cache)
        return {
            "done": not self._left,
            "outcomes": outcomes,
            "next": self._left[0]["id"] if self._left else None,
            "disk_full": disk_full,
        }

    def _outcome(self, trial: dict[str, Any]) -> TrialStatus:
        identity = trial["id"]
        with self._store.claim(identity) as mine:
            if not mine:
                return TrialStatus.ELSEWHERE
            if self._store.has(identity) and not self._config.options.rerun:
                # Its last worker died after storing it, or another run was faster.
                return TrialStatus.STORED
            return self._attempt(identity, trial["spec"], trial["keep"])

    def _attempt(self, identity: str, spec: dict[str, Any], keep: Epoch | None) -> TrialStatus:
        options = self._config.options

        def fail(kind: str, error: str, trace: str) -> None:
            failure = {"kind": kind, "error": error, "traceback": trace, "spec": spec}
            self._store.write_failure(identity, failure)

        # Left by an attempt of this run that took too long; named by the run, so that the next
        # run tries again.
        hang = options.results / "claims" / f"{identity}.{self._config.run}.hang"
        if hang.is_file() and hang.stat().st_size:
            error = f"took longer than the limit of {options.trial_timeout:g} s"
            fail(FailureKind.TIMED_OUT, error, hang.read_text(errors="replace"))
            hang.unlink()
            return TrialStatus.FAILED
        try:
            manifest = data_with_features(self._config)
            with _time_limit(options.trial_timeout, hang):
                self._train(identity, TrialSpec.model_validate(spec), manifest, keep)
        except FloatingPointError as error:
            fail(FailureKind.DIVERGED, str(error), traceback.format_exc())
            return TrialStatus.DIVERGED
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            if is_disk_full(error) or is_out_of_memory(said):
                raise  # this process, and what it holds of a GPU's memory, then ends
            fail(FailureKind.CRASHED, said, traceback.format_exc())
            return TrialStatus.FAILED
        return TrialStatus.FINISHED

    def _train(
        self, identity: str, spec: TrialSpec, manifest: Manifest, keep: Epoch | None
    ) -> None:
        from bench.train.checkpoint import Checkpoints
        from bench.train.loop import TrialContext, run_trial

        options = self._config.options
        folder = Store(options.results).checkpoint(identity)
        provenance = (
            ("profile", self._config.profile),
            ("threads", thread_limit()),
            ("commit", self._config.commit),
            ("begun", datetime.now(UTC).isoformat(timespec="seconds")),
        )
        checkpoints = Checkpoints(folder, options.checkpoint_seconds)
        context = TrialContext(
            manifest, options.cache, provenance, checkpoints, self._compiled, keep
        )
        self._store.write(run_trial(spec, context), replace=options.rerun)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _time_limit(seconds: float | None, dump: Path) -> Iterator[None]:
    """End this process where a block takes longer, with every thread's stack in a file.

    A thread of C ends it: Python itself may be what hangs.
    """
    if seconds is None:
        yield
        return
    dump.parent.mkdir(parents=True, exist_ok=True)
    with dump.open("w") as file:
        faulthandler.dump_traceback_later(seconds, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    dump.unlink(missing_ok=True)
