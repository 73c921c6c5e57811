"""What runs inside Ray's processes: preparing the features, and one trial after another.

A worker imports Keras once and is reused for every trial it is given. A trial that fails is
recorded with its traceback and does not take the worker, or its neighbours, down.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ray import tune

from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.models.settings import BackboneSettings
from bench.record import write_json
from bench.spec import TrialSpec
from bench.store import Store


@dataclass(frozen=True)
class Job:
    """Where a run's workers read and write.

    Args:
        data: Root of the data.
        cache: Cache folder.
        results: Results folder.
        log: File that everything a worker prints is added to.
        profile: Profile, for the record.
        replace: Whether a stored trial is replaced (`--rerun`).
        commit: Version of the bench's code, where it runs from a git checkout.
    """

    data: Path
    cache: Path
    results: Path
    log: Path
    profile: str
    replace: bool
    commit: str | None = None


class TrialWorker(tune.Trainable):
    """A Ray Tune trainable that trains one whole trial in one step, and is then reused."""

    def setup(self, config: dict[str, Any], job: Job, threads: int) -> None:
        """Called once a process, before Keras is imported."""
        redirect_output(job.log)
        limit_threads(threads)
        self._job = job
        self._plain = config["trial"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; Ray then keeps the process."""
        self._plain = new_config["trial"]
        return True

    def step(self) -> dict[str, Any]:
        """Train the trial and put it into the store, or record how it failed."""
        identity, spec = self._plain["id"], self._plain["spec"]
        store = Store(self._job.results)
        try:
            self._train(TrialSpec.model_validate(spec), store)
        except Exception as error:
            store.write_failure(
                identity,
                {
                    "spec": spec,
                    "error": f"{type(error).__name__}: {error}",
                    "traceback": traceback.format_exc(),
                },
            )
            return {"done": True, "outcome": "failed", "error": str(error)}
        return {"done": True, "outcome": "finished"}

    def _train(self, spec: TrialSpec, store: Store) -> None:
        from bench.train.loop import TrialContext, run_trial

        job = self._job
        identity = self._plain["id"]
        if store.has(identity) and not job.replace:
            return  # this worker's predecessor died after storing it, or another run was faster
        manifest = _manifest(job.data, job.cache)
        provenance = (
            ("profile", job.profile),
            ("threads", _threads()),
            ("commit", job.commit),
            ("begun", datetime.now(UTC).isoformat(timespec="seconds")),
        )
        context = TrialContext(manifest, job.cache, provenance)
        store.write(run_trial(spec, context), replace=job.replace)


def prepare_features(
    needs: Sequence[tuple[BackboneSettings, list[int]]], job: Job, progress: Path, threads: int
) -> None:
    """Make weights and extract features; says how far it is in a small file.

    Args:
        needs: Backbones and the rows of the manifest that each is applied to.
        job: Where to read and write.
        progress: JSON file of `phase`, `done` and `total`, rewritten as work proceeds.
        threads: CPU threads to use.
    """
    redirect_output(job.log)
    limit_threads(threads)
    from bench.train.extract import ensure_weights, extract

    def say(phase: str, done: int, total: int) -> None:
        write_json(progress, {"phase": phase, "done": done, "total": total})

    manifest = _manifest(job.data, job.cache)
    for settings, rows in needs:
        ensure_weights(settings, job.cache, say)
        phase = f"features of {settings.name}" if settings.frozen else "pixels"
        extract(manifest, rows, settings, job.cache, partial(say, phase))


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


@lru_cache(maxsize=1)
def _manifest(root: Path, cache: Path) -> Manifest:
    return open_source(root, cache=cache)


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS", "0"))
