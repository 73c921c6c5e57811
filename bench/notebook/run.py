"""Studies and single trials, run from a notebook as `bench run` runs them.

Ray's workers train them, so that the notebook's own process imports neither Keras nor TensorFlow,
and a trial gives the same bytes as from the command line. A script calls these under
`if __name__ == "__main__":`, as whatever starts processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing import current_process
from os import PathLike
from pathlib import Path
from typing import Any

from bench.cli.console import SafeConsole
from bench.cli.progress import phase_bar, trial_bar
from bench.engine.config import RunOptions
from bench.engine.request import StudyRequest, resolve_read
from bench.engine.resources import Resources
from bench.engine.run import run as run_studies
from bench.engine.training import TrialGroup, train
from bench.errors import BenchError
from bench.files.yaml import Located
from bench.notebook.results import Results, StudyResults
from bench.store.plan import planned
from bench.store.record import TrialRecord
from bench.store.trials import Store
from bench.study.settings.training import Backend
from bench.study.study import read_study
from bench.study.trial import TrialSpec

Folder = str | PathLike[str]


def run(
    study: Folder,
    *,
    results: Folder = "results",
    cache: Folder = ".cache",
    data: Folder | None = None,
    profile: str | None = None,
    only: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    until_settled: bool = False,
    scale_to_data: bool = False,
    backend: Backend | None = None,
    workers: int | None = None,
    limit: int | None = None,
) -> StudyResults:
    """Train the trials of a study that are not in the results folder yet.

    Args:
        study: The study's YAML.
        results: Results folder.
        cache: Folder for the phantom, weights and features.
        data: Folder of the data; None for the phantom.
        profile: `smoke`, `laptop` or `paper`; None for `paper` with data and `laptop` without.
        only: Names of the only arms to run; empty for all.
        settings: Dotted path -> value, above the study's own.
        until_settled: Whether to go on after the study's fixed seeds until it is settled.
        scale_to_data: Whether sizes that are more than the data has are made to fit it.
        backend: What Keras is to compute with; None for what the study says.
        workers: Trials at the same time; None for as many as fit.
        limit: Train at most this many trials.

    Returns:
        The study's results. Trials that failed are printed, and have their `status` in `frame()`.

    Raises:
        BenchError: The study, the data or the weights are at fault, and nothing was trained.
    """
    _check_guarded()
    request = StudyRequest(
        Path(study),
        None if data is None else Path(data),
        profile,
        tuple(only),
        dict(settings or {}),
        until_settled,
        backend,
        scale_to_data=scale_to_data,
    )
    options = RunOptions(Path(results), Path(cache), limit=limit)
    console = SafeConsole(highlight=False, file=sys.stdout)
    (found,) = run_studies(
        [request],
        options,
        Resources(workers),
        phases=partial(phase_bar, console),
        trials_shown=trial_bar(console),
    )
    return Results(results).study(found.study)


def run_trial(
    spec: TrialSpec | Mapping[str, Any],
    *,
    results: Folder = "results",
    cache: Folder = ".cache",
    data: Folder | None = None,
    profile: str | None = None,
) -> TrialRecord:
    """Train one trial, unless it is in the results folder already or is known to diverge.

    Args:
        spec: The trial: what a study's `base` holds, and a `seed`; or a stored trial's `spec`, as
            it is or changed.
        results: Results folder; the trial is stored there.
        cache: Folder for the phantom, weights and features.
        data: Folder of the data; None for the phantom.
        profile: `smoke`, `laptop` or `paper`, for what the spec does not say; None for `paper` with
            data and `laptop` without.

    Returns:
        The finished trial: `metrics`, `history`, `predictions` and the rest.

    Raises:
        BenchError: The spec, the data or the weights are at fault, or the trial failed.

    Example::

        bench.run_trial({"preset": "ropanet", "model.gate": "none", "seed": 3}, profile="smoke")
    """
    _check_guarded()
    plain = dict(spec.model_dump(mode="json") if isinstance(spec, TrialSpec) else spec)
    seed = plain.pop("seed", 0)
    file = Located({"base": {"preset": "ropanet"} | plain, "seeds": [seed]}, {}, "spec")
    request = StudyRequest(Path(file.file), None if data is None else Path(data), profile)
    options = RunOptions(Path(results), Path(cache))
    console = SafeConsole(highlight=False, file=sys.stdout)
    phases = partial(phase_bar, console)
    with phases() as say:
        resolved = resolve_read(read_study(file), file, request, options.cache, generate=say)
    assert resolved.manifest is not None, "a run generates its phantom"
    store = Store(options.results)
    (trial,) = planned(resolved.design, resolved.manifest, store)
    if not trial.stored and not store.diverged(trial.id):
        group = TrialGroup.over(
            resolved.manifest,
            resolved.data_root,
            [trial],
            arithmetic=trial.spec.arithmetic or "native",
            options=options,
            profile=resolved.design.profile,
            log=options.results / "logs" / f"{trial.id}.{os.getpid()}.log",
        )
        train([group], Resources(), 1, phases=phases, trials_shown=trial_bar(console))
    if not store.has(trial.id):
        *_, last = store.failures(trial.id)
        raise BenchError(
            f"the trial {last['kind']}: {last['error']}",
            where=str(store.root / "failures" / trial.id),
            fix="its traceback is there",
        )
    return store.read(trial.id)


def _check_guarded() -> None:
    """Refuse to run in a process that is importing the script which started it.

    Raises:
        BenchError: It is: a run started the process, and would be started again and again.
    """
    # As multiprocessing itself knows it, which would say so only after the run has waited for
    # what its parent has locked.
    if getattr(current_process(), "_inheriting", False):
        raise BenchError(
            "a process that a run started came upon the run itself",
            fix='put the call under `if __name__ == "__main__":`',
        )
