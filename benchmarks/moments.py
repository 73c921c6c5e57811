"""A plug-in that notes when each process of a run began, imported what is heavy, and started Ray.

`overhead.py` names it in `ROPANET_BENCH_PLUGINS`, which a run's driver and workers import; so that
where the seconds before the first training step go is seen without a line in the bench itself.
Each moment is a line of JSON in the file that `BENCH_MOMENTS` names.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

FILE = "BENCH_MOMENTS"
HEAVY = ("ray", "ray.tune", "tensorflow", "keras", "bench.train.fitting", "bench.train.loop")


def note(what: str, at: float | None = None) -> None:
    """Add a moment: this process, what happened, and when, in seconds since the epoch."""
    moment = {"process": os.getpid(), "what": what, "at": time.time() if at is None else at}
    line = json.dumps(moment) + "\n"
    with Path(os.environ[FILE]).open("a") as file:  # one short write: lines do not mix
        file.write(line)


def process_began() -> float:
    """When this process was started, in seconds since the epoch; to a hundredth."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")


class _Noting:
    """A loader that notes when a module's import begins and ends."""

    def __init__(self, loader: Any, name: str) -> None:
        self._loader, self._name = loader, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        note(f"import {self._name}")
        self._loader.exec_module(module)
        note(f"imported {self._name}")
        if self._name == "ray":
            _note_init(module)


class _Finder:
    """Finds the heavy modules as Python would, and has their import noted."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in HEAVY:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Noting(spec.loader, name)  # type: ignore[assignment]
        return spec


def _note_init(ray: Any) -> None:
    plain = ray.init

    def init(*words: Any, **options: Any) -> Any:
        note("ray.init")
        try:
            return plain(*words, **options)
        finally:
            note("ray.init done")

    ray.init = init


if FILE in os.environ:
    note("began", process_began())
    note("plug-in read")
    if "ray" in sys.modules:
        _note_init(sys.modules["ray"])
    sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]
