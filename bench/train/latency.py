"""How long a LiteRT file takes for one image, and how much memory: each in a process of its own.

A process that has just begun has no memory to spare from earlier work, and no other library's
threads. Light: neither TensorFlow nor Keras is imported in it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.files.signals import ProcessPool
from bench.store.phone import Latency

WARM_UP = 3
"""Runs that do not count: the first ones reserve memory and fill the caches."""

FEWEST_RUNS, MOST_RUNS, SECONDS = 10, 100, 2.0
"""Runs of a measurement: as many as take so long, within these bounds."""

_STATUS = Path("/proc/self/status")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure_latency(path: Path, image: np.ndarray, threads: int, *, xnnpack: bool) -> Latency:
    """Run a LiteRT file on one image again and again, in a new process.

    Args:
        path: The file.
        image: `(1, side, side, 3)` uint8.
        threads: Threads to compute with.
        xnnpack: Whether by XNNPACK, or by LiteRT's plain kernels.
    """
    with ProcessPool(1) as process:
        return process.submit(_measured, path, image, threads, xnnpack).result()


def interpreter(path: Path, threads: int, *, xnnpack: bool = True) -> Any:
    """LiteRT's interpreter of a file, its tensors allocated.

    Args:
        path: The file.
        threads: Threads to compute with.
        xnnpack: Whether by XNNPACK, or by LiteRT's plain kernels.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=kernels)
    made.allocate_tensors()
    return made


def _measured(path: Path, image: np.ndarray, threads: int, xnnpack: bool) -> Latency:
    import ai_edge_litert.interpreter  # noqa: F401 - its own memory is not the model's

    before = _memory("VmRSS")
    model = interpreter(path, threads, xnnpack=xnnpack)
    (place,) = (about["index"] for about in model.get_input_details())
    seconds: list[float] = []
    for run in range(WARM_UP + MOST_RUNS):
        begun = time.perf_counter()
        model.set_tensor(place, image)
        model.invoke()
        if run >= WARM_UP:
            seconds.append(time.perf_counter() - begun)
        if len(seconds) >= FEWEST_RUNS and sum(seconds) >= SECONDS:
            break
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    peak = _memory("VmHWM")
    return Latency(
        threads=threads,
        xnnpack=xnnpack,
        runs=len(seconds),
        median=float(median),
        low=float(low),
        high=float(high),
        peak_bytes=None if before is None or peak is None else max(peak - before, 0),
    )


def _memory(what: str) -> int | None:
    """Bytes of this process's memory, now (`VmRSS`) or at most so far (`VmHWM`); Linux says."""
    try:
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = (line.split() for line in lines if line.startswith(f"{what}:"))
    return next((int(words[1]) * 1024 for words in found), None)
