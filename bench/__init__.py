"""RopaNet Bench: reproduce a vision paper's tables and take its claims apart.

    import bench

    gates = bench.Results("results/reference").study("mask_gate")
    gates.frame()      # a row a trial: settings, metrics, timings, hardware
    gates.effects()    # arm against control: difference, interval, verdict
    gates.plot()       # the report's figure, as Matplotlib axes

docs/notebook.ipynb goes from there to a figure of one's own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.errors import BenchError
    from bench.notebook.results import Results, StudyResults
    from bench.notebook.run import run, run_trial

__all__ = ["BenchError", "Results", "StudyResults", "__version__", "run", "run_trial"]
__version__ = "0.1.0"

_HOMES = {
    "BenchError": "bench.errors",
    "Results": "bench.notebook.results",
    "StudyResults": "bench.notebook.results",
    "run": "bench.notebook.run",
    "run_trial": "bench.notebook.run",
}
"""Where each name is defined: imported when it is first used, as most of the bench needs none."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
