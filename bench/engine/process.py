"""What a process of Ray's does first: its output goes to a file, and it uses its own cores only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def limit_threads(threads: int) -> None:
    """Give this process its part of the cores; before Keras' backend is imported.

    Also asks for deterministic kernels, and that a GPU's memory is taken only as needed, so that
    several trials fit on it.
    """
    os.environ |= {
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_DETERMINISTIC_OPS": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen="
        f"{str(threads > 1).lower()} --xla_gpu_deterministic_ops=true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def thread_limit() -> int:
    """What `limit_threads` was given; 0 before."""
    return int(os.environ.get("OMP_NUM_THREADS", "0"))


def redirect_output(log: Path) -> None:
    """Send everything this process prints, its C++ libraries included, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


@contextmanager
def output_in(log: Path) -> Iterator[None]:
    """Send what this process prints meanwhile, its C++ libraries included, to a file."""
    before = [os.dup(1), os.dup(2)]
    redirect_output(log)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, saved in enumerate(before, start=1):
            os.dup2(saved, stream)
            os.close(saved)


@contextmanager
def as_if_missing(*modules: str) -> Iterator[None]:
    """Keep modules from being imported meanwhile.

    Keras imports some where it finds them, for what no trial uses, and a worker would start a
    second later.
    """
    blocked = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]
