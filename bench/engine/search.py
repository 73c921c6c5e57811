"""A Ray Tune searcher that hands out what is to be trained, as answers come in.

First the trials that are known beforehand, then those of tuned studies, where KerasTuner proposes
(`bench.engine.oracle`) and the winners follow. One run of Ray Tune trains them all, so that each
worker imports Keras once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ray.tune.search import Searcher

from bench.plan import PlannedTrial


class Source(Protocol):
    """Where trials come from while others run; a tuned study is one."""

    def next_trial(self, workers: int) -> PlannedTrial | None:
        """The next trial to train; None where there is none before another ends."""

    def ended(self, identity: str, outcome: str) -> None:
        """A trial `finished` or `failed`, whoever asked for it."""


class SourceSearcher(Searcher):
    """Asks each source in turn for the next trial, and tells all of them what became of it.

    Ray must not ask ahead: `tune.TuneConfig(max_concurrent_trials=...)` holds it to the trials
    that run, so that an oracle that is asked knows every answer that there is.

    Args:
        trials: Trials that are known beforehand.
        sources: Where further ones come from, the first one first.
        handed: Called with each trial that is handed to Ray.
        workers: Trials that run at the same time.
        limit: Most trials to hand out; None for all.
    """

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        sources: Sequence[Source],
        handed: Callable[[PlannedTrial], None],
        workers: int,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self._workers = workers
        self._trials, self._sources = deque(trials), sources
        self._handed, self._left = handed, limit
        self._running: dict[str, PlannedTrial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as Ray's worker takes it, `FINISHED`, or None to be asked again."""
        trial = None if self._left == 0 else self._next()
        if trial is None:
            return None if self._running and self._left != 0 else self.FINISHED
        self._running[trial_id] = trial
        if self._left is not None:
            self._left -= 1
        self._handed(trial)
        return {"trial": {"id": trial.id, "spec": trial.spec.model_dump(mode="json")}}

    def _next(self) -> PlannedTrial | None:
        if self._trials:
            return self._trials.popleft()
        live = {trial.id for trial in self._running.values()}
        for source in self._sources:
            while (trial := source.next_trial(self._workers)) is not None:
                # Whoever asked for it first has it trained; both are told.
                if trial.id not in live:
                    return trial
        return None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell every source what became of a trial."""
        trial = self._running.pop(trial_id, None)
        if trial is None:
            return
        finished = not error and (result or {}).get("outcome") == "finished"
        for source in self._sources:
            source.ended(trial.id, "finished" if finished else "failed")

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its searcher with its own state, which is scratch: the searches' files are the
        # truth.
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a run goes on from the store and the searches' files."""
        raise NotImplementedError("a search goes on from its file in the results folder")


def searcher(
    trials: Sequence[PlannedTrial],
    sources: Sequence[Source],
    names: dict[str, str],
    workers: int,
    limit: int | None,
) -> SourceSearcher:
    """A searcher that adds what it hands out to the names of a display.

    Args:
        trials: Trials that are known beforehand.
        sources: Where further ones come from.
        names: Trial id -> how it is named to a person.
        workers: Trials that run at the same time.
        limit: Most trials of the sources to hand out; None for all.
    """

    def handed(trial: PlannedTrial) -> None:
        names[trial.id] = trial.name

    most = None if limit is None else len(trials) + max(limit, 0)
    return SourceSearcher(trials, sources, handed, workers, most)
