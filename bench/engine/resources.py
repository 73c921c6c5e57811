"""What a run may use, and how it is divided among trials. Light: the command line fills it in."""

from __future__ import annotations

import math
import subprocess
from dataclasses import dataclass
from typing import Literal

WORKER_BYTES = 1_500_000_000
"""Memory that a worker on the CPU is taken to need, for the default number of workers."""


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    Args:
        workers: Trials at the same time; None for as many as cores, memory or GPUs allow.
        threads: CPU threads a trial; None for one on the CPU, so that a trial gives the same bytes
            whatever runs beside it, and for its part of the cores on a GPU.
        gpus_per_trial: GPUs a trial, fractions too; None for one where there are GPUs; `auto` for
            as small a part as holds the largest trial.
        address: A Ray cluster to use; None starts Ray on this machine.
    """

    workers: int | None = None
    threads: int | None = None
    gpus_per_trial: float | Literal["auto"] | None = None
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


USABLE = 0.9
"""Share of a GPU's memory that trials are given; the rest is lost to fragments."""

BACKEND_BYTES = 1_000_000_000
"""What a process takes of a GPU for the backend's own libraries and their scratch, about."""


def gpu_bytes() -> int | None:
    """Memory of this machine's smallest NVIDIA GPU in bytes; None where its driver names none."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
        return min(int(line) for line in said.split()) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def trials_a_gpu(trial_bytes: float, memory: int) -> int:
    """How many trials fit on a GPU; 0 where one needs more than there is.

    Args:
        trial_bytes: What the largest takes (`bench.study.cost.training_bytes`).
        memory: The GPU's memory in bytes.
    """
    return int(USABLE * memory // (trial_bytes + BACKEND_BYTES))


def share_of_gpu(fit: int) -> float:
    """The share for each of some trials on a GPU, as Ray counts them: in ten-thousandths."""
    return math.floor(10_000 / max(fit, 1)) / 10_000


def divide(
    resources: Resources, trials: int, have: dict[str, float], fit: int = 1
) -> ResourceSplit:
    """Divide what a cluster has among concurrent trials.

    Args:
        resources: What may be used.
        trials: Trials to run; no more workers than these.
        have: `CPU`, `GPU` and `memory` (bytes), as Ray counts them.
        fit: Trials that fit on a GPU, for `gpus_per_trial: auto`.
    """
    cpus, gpus = max(int(have.get("CPU", 1)), 1), float(have.get("GPU", 0))
    per_trial = resources.gpus_per_trial
    if per_trial == "auto":
        per_trial = share_of_gpu(fit) if gpus else 0.0
    elif per_trial is None:
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
