"""Progress of a long command: one live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from bench.report.units import duration
from bench.train.status import ENDED, TrialStatus

if TYPE_CHECKING:
    from bench.engine.resources import ResourceSplit
    from bench.engine.retrain import Retraining
    from bench.store.plan import PlannedTrial
    from bench.store.studies import StudyRecord

PLAIN_SECONDS = 10.0
"""Off a terminal, a line at most this often."""


@contextmanager
def phase_bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for work in named phases; yields `say(phase, done, total)`."""
    if not console.is_terminal:
        yield _plain_phases(console)
        return
    with _bar(console) as bar:
        tasks: dict[str, int] = {}

        def say(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done, total=total)  # type: ignore[arg-type]

        yield say


def _plain_phases(console: Console) -> Callable[[str, int, int], None]:
    last: dict[str, float] = {}

    def say(phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - last.get(phase, float("-inf")) >= PLAIN_SECONDS:
            last[phase] = now
            console.print(f"  {phase}: {done:,} of {total:,}", highlight=False)

    return say


class TrialDisplay:
    """Trials done, running, failed, in the store already, and the time left.

    Args:
        console: Where to show it.
        total: Trials to run.
        stored: Trials of the study that are in the store already.
        ended: Called with the identity of each trial that was trained and stored.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        stored: int,
        ended: Callable[[str], None] | None = None,
    ) -> None:
        self._console, self._ended = console, ended
        self._total, self._stored = total, stored
        self._running: set[str] = set()
        self._counts = Counter[TrialStatus]()
        self._begun = time.monotonic()
        self._bar = _bar(console) if console.is_terminal else None
        self._last = float("-inf")

    def __enter__(self) -> TrialDisplay:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("trials", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, trial: PlannedTrial, status: TrialStatus) -> None:
        """Something happened to a trial."""
        if status is TrialStatus.STARTED:
            self._running.add(trial.id)
        else:
            self._running.discard(trial.id)
        if status in ENDED:
            self._counts[status] += 1
        if status is TrialStatus.FINISHED and self._ended is not None:
            self._ended(trial.id)
        if status in (TrialStatus.FAILED, TrialStatus.DIVERGED):
            self._console.print(
                f"  {status}: {trial.name}",
                style="red" if status is TrialStatus.FAILED else "yellow",
                markup=False,
            )
        # A line tells of what ended: as the next trial begins, the one before still counts.
        if self._bar is not None or status is not TrialStatus.STARTED:
            self._show()

    def look(self, study: StudyRecord, trials: int) -> None:
        """A study was looked at, and so many trials are to come before the next look."""
        from bench.report.looks import look_line

        self._total += trials
        self._console.print(f"  {look_line(study)}", markup=False, highlight=False)
        if self._bar is not None:
            self._bar.update(self._task, total=self._total)

    def _show(self) -> None:
        done = self._counts.total()
        parts = [f"{len(self._running)} running"]
        for status in (TrialStatus.FAILED, TrialStatus.DIVERGED):
            if self._counts[status]:
                parts.append(f"{self._counts[status]} {status}")
        if self._stored:
            parts.append(f"{self._stored} in the store already")
        if done:
            each = (time.monotonic() - self._begun) / done
            parts.append(f"about {duration(each * (self._total - done))} left")
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=f"trials ({', '.join(parts)})")
            return
        now = time.monotonic()
        if done and (done == self._total or now - self._last >= PLAIN_SECONDS):
            self._last = now
            self._console.print(
                f"  trials: {done} of {self._total} ({', '.join(parts)})", highlight=False
            )


def trial_bar(
    console: Console, ended: Callable[[str], None] | None = None
) -> Callable[[int, int, ResourceSplit], TrialDisplay]:
    """What shows the trials of a run: says what each may use, then makes its display.

    Args:
        console: Where to show it.
        ended: As `TrialDisplay` takes it.
    """

    def show(total: int, stored: int, split: ResourceSplit) -> TrialDisplay:
        each = f"{split.cpus} CPU" + (f" and {split.gpus:g} GPU" if split.gpus else "")
        console.print(f"{total} trials to train, {split.workers} at a time, {each} each")
        return TrialDisplay(console, total, stored, ended)

    return show


def retraining(cache: Path, workers: int | None, data: Path | None, console: Console) -> Retraining:
    """How stored trials are trained again, with their progress shown.

    Args:
        cache: Cache folder.
        workers: Trials at the same time; None for as many as fit.
        data: Folder of the data; None for where the studies say it is.
        console: Where to show it.
    """
    from bench.engine.resources import Resources
    from bench.engine.retrain import Retraining

    return Retraining(
        cache,
        Resources(workers),
        phases=lambda: phase_bar(console),
        trials_shown=trial_bar(console),
        data=data,
    )


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn("line" if console.options.ascii_only else "dots"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        redirect_stdout=False,
        redirect_stderr=False,
    )
