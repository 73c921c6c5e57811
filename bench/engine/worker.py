"""What runs inside Ray's processes: preparing the features, and one trial after another.

A worker imports Keras once and is reused for every trial it is given. A trial that fails is
recorded with its traceback and does not take the worker, or its neighbours, down.
"""

from __future__ import annotations

import faulthandler
import os
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import ray
from ray import tune

from bench.data.manifest import Manifest
from bench.data.phantom import generate_phantom, size_and_seed
from bench.data.sources import open_source
from bench.engine.config import WorkerConfig
from bench.engine.stores import worker_store
from bench.errors import BenchError
from bench.files.disk import describe_disk_full, is_disk_full
from bench.files.locks import held
from bench.store.record import write_json
from bench.store.trials import FailureKind, Store
from bench.study.trial import TrialSpec

REPORT_SECONDS = 0.5
"""Small trials are reported together: Ray takes some hundredths of a second for each report."""


class TrialWorker(tune.Trainable):
    """A Ray Tune trainable that trains a batch of trials, one after another, and is then reused.

    A batch is a list under `trials` of a trial's `id` and `spec`. A step trains as many as fit
    into `REPORT_SECONDS`, at least one.
    """

    def setup(
        self, config: dict[str, Any], run: WorkerConfig, threads: int, home: str, actor: Any | None
    ) -> None:
        """Called once a process, before Keras is imported.

        Args:
            config: The first batch.
            run: What holds for all trials.
            threads: CPU threads to use.
            home: Ray's name of the machine that holds the results folder.
            actor: Handle of a `bench.engine.stores.StoreActor` on a cluster, None on one machine.
        """
        at_home = ray.get_runtime_context().get_node_id() == home
        self._run = run if at_home else away_from_home(run)
        redirect_output(self._run.log)
        limit_threads(threads)
        # What every trial needs, before the clock of the first one runs.
        with _as_if_missing("matplotlib.pyplot", "sklearn"):
            import keras  # noqa: F401
        from bench.train.compiled import Compiled

        self._store = worker_store(self._run.results, actor)
        self._compiled = Compiled() if run.reuse_compiled else None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next batch; Ray then keeps the process."""
        self._left = list(new_config["trials"])
        return True

    def step(self) -> dict[str, Any]:
        """Train trials and store each, or record how it failed.

        Returns:
            `outcomes`: of each, its id and `finished`; `failed`; `diverged`; `stored`, where it
            was stored before; or `elsewhere`, where another run is training it at this moment.
            `next`: the trial that the next step begins with; None at the batch's end.
            `disk_full`: what the system said where nothing can be written any more, which is no
            fault of the trial's and ends the batch; None otherwise.
        """
        begun, disk_full = time.monotonic(), None
        outcomes: list[tuple[str, str]] = []
        while self._left and (not outcomes or time.monotonic() - begun < REPORT_SECONDS):
            trial = self._left.pop(0)
            try:
                outcomes.append((trial["id"], self._outcome(trial["id"], trial["spec"])))
            except OSError as error:
                if not is_disk_full(error):
                    raise
                self._left = []
                disk_full = describe_disk_full(error, self._run.results, self._run.cache)
        following = self._left[0]["id"] if self._left else None
        return {
            "done": not self._left,
            "outcomes": outcomes,
            "next": following,
            "disk_full": disk_full,
        }

    def _outcome(self, identity: str, spec: dict[str, Any]) -> str:
        with self._store.claim(identity) as mine:
            if not mine:
                return "elsewhere"
            if self._store.has(identity) and not self._run.replace:
                # Its last worker died after storing it, or another run was faster.
                return "stored"
            return self._attempt(identity, spec)

    def _attempt(self, identity: str, spec: dict[str, Any]) -> str:
        run = self._run

        def fail(kind: str, error: str, trace: str) -> None:
            failure = {"kind": kind, "error": error, "traceback": trace, "spec": spec}
            self._store.fail(identity, failure)

        # Left by an attempt of this run that took too long; named by the run, so that the next
        # run tries again.
        hang = run.results / "claims" / f"{identity}.{run.run}.hang"
        if hang.is_file() and hang.stat().st_size:
            error = f"took longer than the limit of {run.trial_timeout:g} s"
            fail(FailureKind.TIMED_OUT, error, hang.read_text(errors="replace"))
            hang.unlink()
            return "failed"
        try:
            manifest = _manifest(run)
            with _time_limit(run.trial_timeout, hang):
                self._train(identity, TrialSpec.model_validate(spec), manifest)
        except FloatingPointError as error:
            fail(FailureKind.DIVERGED, str(error), traceback.format_exc())
            return "diverged"
        except Exception as error:
            if is_disk_full(error):
                raise
            fail(FailureKind.CRASHED, f"{type(error).__name__}: {error}", traceback.format_exc())
            return "failed"
        return "finished"

    def _train(self, identity: str, spec: TrialSpec, manifest: Manifest) -> None:
        from bench.train.checkpoint import Checkpoints
        from bench.train.loop import TrialContext, run_trial

        run = self._run
        folder = Store(run.results).checkpoint(identity)
        provenance = (
            ("profile", run.profile),
            ("threads", _threads()),
            ("commit", run.commit),
            ("begun", datetime.now(UTC).isoformat(timespec="seconds")),
        )
        checkpoints = Checkpoints(folder, run.checkpoint_seconds)
        context = TrialContext(manifest, run.cache, provenance, checkpoints, self._compiled)
        self._store.put(run_trial(spec, context), replace=run.replace)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _as_if_missing(*modules: str) -> Iterator[None]:
    """Keep modules from being imported meanwhile.

    Keras imports these where it finds them, for what no trial uses, and a worker would start a
    second later.
    """
    blocked = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]


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


def away_from_home(config: WorkerConfig) -> WorkerConfig:
    """A config on a machine other than that of the results folder.

    The cache is this machine's own: `BENCH_CACHE`, or the same path as at home. The data must lie
    at the same path, but for the phantom, which is drawn where it is missing.
    """
    cache = Path(os.environ.get("BENCH_CACHE", config.cache)).resolve()
    scratch = cache / "away"
    drawn_here = config.data.is_relative_to(config.cache)
    return replace(
        config,
        cache=cache,
        data=cache / config.data.relative_to(config.cache) if drawn_here else config.data,
        results=scratch,
        log=scratch / config.log.name,
    )


def prepare_features(config: WorkerConfig, progress: Path | None, threads: int, home: str) -> None:
    """Make weights and extract features on this machine; says how far it is in a small file.

    Args:
        config: Where to read and write, and what is needed.
        progress: JSON file of `phase`, `done` and `total`, rewritten as work proceeds.
        threads: CPU threads to use.
        home: Ray's name of the machine that holds the results folder.
    """
    if ray.get_runtime_context().get_node_id() != home:
        config, progress = away_from_home(config), None
    redirect_output(config.log)
    limit_threads(threads)

    def say(phase: str, done: int, total: int) -> None:
        if progress is not None:
            write_json(progress, {"phase": phase, "done": done, "total": total})

    _make_features(config, say)


def _make_features(config: WorkerConfig, say: Callable[[str, int, int], None]) -> None:
    from bench.train.extract import ensure_weights, extract

    manifest = _opened(config)
    # Another run, or another worker of this machine, may be at the same: it is done once.
    with held(config.cache / "features.lock", wait=True):
        for settings, rows in config.needs:
            ensure_weights(settings, config.cache, say)
            phase = f"features of {settings.name}" if settings.frozen else "pixels"
            extract(manifest, rows, settings, config.cache, partial(say, phase))


@lru_cache(maxsize=1)
def _manifest(config: WorkerConfig) -> Manifest:
    """The data, and on this machine the features of it."""
    _make_features(config, lambda phase, done, total: None)
    return _opened(config)


@lru_cache(maxsize=1)
def _opened(config: WorkerConfig) -> Manifest:
    """The data.

    Raises:
        BenchError: It is not on this machine, or other data is.
    """
    if config.data.is_relative_to(config.cache) and not config.data.exists():
        images, seed = size_and_seed(config.data)
        with held(config.cache / "phantom.lock", wait=True):
            generate_phantom(config.data, images=images, seed=seed)
    manifest = open_source(config.data, cache=config.cache)
    if manifest.fingerprint != config.fingerprint:
        raise BenchError(
            f"the data on {platform.node()} is not that of the run: its fingerprint is "
            f"{manifest.fingerprint[:16]}, the run's {config.fingerprint[:16]}",
            where=str(config.data),
            fix="put the same data at the same path on every machine",
        )
    return manifest


def limit_threads(threads: int) -> None:
    """Give this process its share of the cores; before Keras' backend is imported.

    Also asks for deterministic kernels, and that a GPU's memory is taken only as needed, so that
    trials can share it.
    """
    os.environ |= {
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_DETERMINISTIC_OPS": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def redirect_output(log: Path) -> None:
    """Send everything this process prints, its C++ libraries included, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS", "0"))
