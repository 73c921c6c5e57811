"""What a run may use, and how it is divided among trials. Light: the command line fills it in."""

from __future__ import annotations

from dataclasses import dataclass

WORKER_BYTES = 1_500_000_000
"""Memory that a worker on the CPU is taken to need, for the default number of workers."""


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    Args:
        workers: Trials at the same time; None for as many as cores, memory or GPUs allow.
        threads: CPU threads a trial; None for one on the CPU, so that a trial gives the same bytes
            whatever runs beside it, and for its part of the cores on a GPU.
        gpus_per_trial: GPUs a trial, fractions too; None for one where there are GPUs.
        address: A Ray cluster to use; None starts Ray on this machine.
    """

    workers: int | None = None
    threads: int | None = None
    gpus_per_trial: float | None = None
    address: str | None = None


@dataclass(frozen=True)
class ResourceSplit:
    """How a run's resources were divided.

    Args:
        workers: Trials at the same time.
        cpus: CPU cores, and threads, a trial.
        gpus: GPUs a trial.
    """

    workers: int
    cpus: int
    gpus: float


def divide(resources: Resources, trials: int, have: dict[str, float]) -> ResourceSplit:
    """Divide what a cluster has among concurrent trials.

    Args:
        resources: What may be used.
        trials: Trials to run; no more workers than these.
        have: `CPU`, `GPU` and `memory` (bytes), as Ray counts them.
    """
    cpus, gpus = max(int(have.get("CPU", 1)), 1), float(have.get("GPU", 0))
    per_trial = resources.gpus_per_trial
    if per_trial is None:
        per_trial = 1.0 if gpus else 0.0
    if per_trial:
        most = max(int(gpus / per_trial + 1e-9), 1)
    else:
        most = max(int(have.get("memory", WORKER_BYTES) // WORKER_BYTES), 1)
    threads = min(resources.threads or 1, cpus)
    workers = min(resources.workers or most, max(trials, 1), cpus // threads)
    if per_trial and resources.threads is None:
        threads = max(cpus // workers, 1)
    return ResourceSplit(workers, threads, per_trial)
