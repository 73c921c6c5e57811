"""What a store has and a tracker has not, written to it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bench.analysis.load import load_arms
from bench.errors import BenchError
from bench.report.drawing import draw
from bench.report.figures.catalogue import FIGURES
from bench.report.reuse import digest_of
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from bench.systems.registry import load_plugins
from bench.trackers.tracker import StudyFigures, TrackedTrial, Tracker

Say = Callable[[str, int, int], None]
"""Called with (phase, done, total)."""

TRACKERS = {
    "tensorboard": ("bench.trackers.tensorboard:TensorBoard", "tensorboard:DIR"),
    "mlflow": ("bench.trackers.mlflow:MLflow", "mlflow:URI"),
    "wandb": ("bench.trackers.wandb:WandB", "wandb:PROJECT"),
}
"""Kind of a tracker -> the class, made of what follows the colon; and how it is written."""


@dataclass(frozen=True)
class Logged:
    """What a tracker was given.

    Args:
        trials: Trials that it did not have.
        there: Trials that it had.
        figures: Figures that it did not have.
    """

    trials: int
    there: int
    figures: int

    def to_json(self) -> dict[str, int]:
        """The numbers as `--json` prints them."""
        return {"trials": self.trials, "there": self.there, "figures": self.figures}


def log(
    store: Store, to: str, studies: Sequence[str] | None = None, *, figures: bool = True, say: Say
) -> Logged:
    """Write the finished trials of studies, and their report's figures, to a tracker, each once.

    Args:
        store: The store.
        to: The tracker, such as `tensorboard:runs`.
        studies: Names of the studies; None for all.
        figures: Whether to log figures too.
        say: Shows the progress.

    Raises:
        BenchError: The store holds no such study, or a trial cannot be read; there is no such
            tracker, its library is missing, or it does not answer.
    """
    load_plugins()  # the figures show their metrics
    chosen = store.chosen(studies)
    with _errors_of(to):
        tracker = open_tracker(to)
        trials = there = drawn = 0
        for study in chosen:
            known = tracker.known(study.name)
            stored = [trial for trial in _trials(study) if store.has(trial[2])]
            new = [trial for trial in stored if trial[2] not in known]
            for done, (arm, seed, identity) in enumerate(new, start=1):
                record = store.read(identity, gates=False)
                tracker.add_trial(TrackedTrial(study.name, arm, seed, record))
                say(study.name, done, len(new))
            trials, there = trials + len(new), there + len(stored) - len(new)
            if figures and stored:
                drawn += _log_figures(store, study, tracker, known, say)
    return Logged(trials, there, drawn)


class RunLog:
    """Logs the trials of a run as they end; `log` does at its end what this could not.

    Args:
        store: The run's store.
        to: The tracker, as `log` takes it.
        studies: Names of the run's studies.
        warn: Called once, with what is wrong, where the tracker fails.

    Raises:
        BenchError: There is no such tracker, or its library is missing.
    """

    def __init__(
        self, store: Store, to: str, studies: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        self._store, self._to, self._names, self._warn = store, to, studies, warn
        self._tracker: Tracker | None = open_tracker(to)
        self._known: dict[str, set[str]] = {}
        self._places: dict[str, list[tuple[str, str, int]]] = {}

    def ended(self, identity: str) -> None:
        """Log a trial that was just stored, for each of the studies that it is a trial of.

        A tracker that fails is asked no more, so that it holds up no trial.
        """
        if self._tracker is None:
            return
        try:
            with _errors_of(self._to):
                self._add(self._tracker, identity)
        except (BenchError, OSError) as error:
            self._tracker = None
            self._warn(f"trials are logged at the end of the run: {error}")

    def _add(self, tracker: Tracker, identity: str) -> None:
        if identity not in self._places:  # a study that grows has others than a moment ago
            self._find_places()
        for study, arm, seed in self._places.get(identity, ()):
            if study not in self._known:
                self._known[study] = tracker.known(study)
            if identity not in self._known[study]:
                record = self._store.read(identity, gates=False)
                tracker.add_trial(TrackedTrial(study, arm, seed, record))

    def _find_places(self) -> None:
        self._places = {}
        for study in filter(None, map(self._store.study, self._names)):
            for arm, seed, identity in _trials(study):
                self._places.setdefault(identity, []).append((study.name, arm, seed))


def open_tracker(to: str) -> Tracker:
    """The tracker that a text names.

    Raises:
        BenchError: There is none of that kind, or its library is missing.
    """
    kind, _, place = to.partition(":")
    if kind not in TRACKERS or not place:
        forms = ", ".join(form for _, form in TRACKERS.values())
        raise BenchError(f"expected a tracker; found `{to}`", fix=f"one of {forms}")
    module, _, name = TRACKERS[kind][0].partition(":")
    try:
        tracker: Tracker = getattr(import_module(module), name)(place)
    except ModuleNotFoundError as error:
        raise BenchError(
            f"needs the package `{error.name}`, which is not installed",
            where=to,
            fix=f"pip install 'ropanet-bench[{kind}]'",
        ) from error
    return tracker


def _trials(study: StudyRecord) -> Iterator[tuple[str, int, str]]:
    for arm in study.arms:
        for seed, identity in sorted(arm.trials.items()):
            yield arm.name, seed, identity


def _log_figures(
    store: Store, study: StudyRecord, tracker: Tracker, known: set[str], say: Say
) -> int:
    """Log a study's figures unless it is known with the same ones; returns how many."""
    key = digest_of(store, study)[:12]
    if key in known:
        return 0
    arms, files = load_arms(store, study), list[Path]()
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as folder:
        for done, make in enumerate(FIGURES, start=1):
            files += [figure.write(Path(folder)) for figure in draw(make, study, arms)]
            say(f"figures of {study.name}", done, len(FIGURES))
        tracker.add_figures(StudyFigures(study.name, key, files))
    return len(files)


@contextmanager
def _errors_of(to: str) -> Iterator[None]:
    """One message for whatever a tracker raises: each has errors of its own."""
    try:
        yield
    except (BenchError, OSError):
        raise
    except Exception as error:
        first_line, _, _ = str(error).partition("\n")
        raise BenchError(
            f"{type(error).__name__}: {first_line}",
            where=to,
            fix="what was logged until then stays; the same command logs the rest",
        ) from error
