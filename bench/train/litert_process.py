"""A LiteRT file run in a process of its own: what it answers, how long it takes, its memory.

A process that has just begun has no memory to spare from earlier work, and no other library's
threads; and a file that brings LiteRT down takes nothing with it. Light: neither TensorFlow nor
Keras is imported in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.files.signals import ProcessPool
from bench.store.phone import Latency

WARM_UP = 3
"""Runs that do not count: the first ones reserve memory and fill the caches."""

FEWEST_RUNS, MOST_RUNS, SECONDS = 10, 100, 2.0
"""Runs of a measurement: as many as take so long, within these bounds."""

Answers = dict[str, np.ndarray]
"""Output of a model -> its values for every image."""

_Found = TypeVar("_Found")
_STATUS = Path("/proc/self/status")


class NotRunError(Exception):
    """LiteRT does not run a file; the message says why."""


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

    Raises:
        NotRunError: It does not run.
    """
    return _apart(_measured, path, image, threads, xnnpack)


def answers_of_file(path: Path, images: Path, *, xnnpack: bool) -> Answers:
    """What a LiteRT file answers to images, one at a time, in a new process.

    Args:
        path: The file.
        images: NumPy's file of them, `(n, side, side, 3)` uint8.
        xnnpack: Whether by XNNPACK, or by LiteRT's plain kernels.

    Raises:
        NotRunError: It does not run; XNNPACK refuses some files that the plain kernels run.
    """
    return _apart(_answered, path, images, xnnpack)


def _apart(work: Callable[..., _Found], *arguments: Any) -> _Found:
    """Do some work in a new process."""
    with ProcessPool(1) as process:
        try:
            return process.submit(work, *arguments).result()
        except BrokenProcessPool:
            why = "its process came down"
        except RuntimeError as error:
            why = " ".join(str(error).split())
    raise NotRunError(why)


def _answered(path: Path, images: Path, xnnpack: bool) -> Answers:
    run = _interpreter(path, processors(), xnnpack=xnnpack).get_signature_runner()
    given = np.load(images, mmap_mode="r", allow_pickle=False)
    each = [run(image=given[row : row + 1]) for row in range(len(given))]
    return {output: np.concatenate([one[output] for one in each]) for output in each[0]}


def _interpreter(path: Path, threads: int, *, xnnpack: bool) -> Any:
    """LiteRT's interpreter of a file, its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=kernels)
    made.allocate_tensors()
    return made


def _measured(path: Path, image: np.ndarray, threads: int, xnnpack: bool) -> Latency:
    import ai_edge_litert.interpreter  # noqa: F401 - its own memory is not the model's

    before = _memory("VmRSS")
    model = _interpreter(path, threads, xnnpack=xnnpack)
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
