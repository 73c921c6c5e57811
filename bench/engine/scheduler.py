"""A Ray Tune searcher that hands out what is to be trained, as answers come in.

First the trials that are known beforehand, then those of tuned studies, where KerasTuner proposes
(`bench.tuning.oracle`) and the winners follow. One run of Ray Tune trains them all, so that each
worker imports Keras once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ray.tune.search import Searcher

from bench.engine.config import WorkerConfig
from bench.engine.session import Session
from bench.engine.tune import RETRIES, Event, Watcher, for_worker, lost, tune_once
from bench.files.locks import is_locked
from bench.store.plan import PlannedTrial
from bench.store.trials import Store


class Source(Protocol):
    """Where trials come from while others run; a tuned study is one."""

    def next_trial(self, workers: int) -> PlannedTrial | None:
        """The next trial to train; None where there is none before another ends."""

    def ended(self, identity: str, outcome: str) -> None:
        """A trial `finished`, `diverged`, `failed` or was `stored`, whoever asked for it."""


class SourceSearcher(Searcher):
    """Asks each source in turn for the next trial, and tells all of them what became of it.

    Ray must not ask ahead: `tune.TuneConfig(max_concurrent_trials=...)` holds it to the trials
    that run, so that an oracle that is asked knows every answer that there is. A trial whose worker
    was lost comes again, a few times; one that another run is training is waited for.

    Args:
        trials: Trials that are known beforehand.
        sources: Where further ones come from, the first one first.
        store: The store.
        event: Told of what becomes of trials that Ray does not end: given up, or stored elsewhere.
        handed: Called with each trial that is handed to Ray.
        workers: Trials that run at the same time.
        limit: Most trials to hand out; None for all.
    """

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        sources: Sequence[Source],
        store: Store,
        event: Event,
        handed: Callable[[PlannedTrial], None],
        workers: int,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self._trials, self._sources, self._store = deque(trials), sources, store
        self._event, self._handed = event, handed
        self._workers, self._left = workers, limit
        self._running: dict[str, PlannedTrial] = {}
        self._elsewhere: list[PlannedTrial] = []
        self._losses = Counter[str]()
        self.outcomes: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as Ray's worker takes it, `FINISHED`, or None to be asked again."""
        self._look_elsewhere()
        trial = None if self._left == 0 else self._next()
        if trial is None:
            return None if self._running or self._elsewhere else self.FINISHED
        self._running[trial_id] = trial
        if self._left is not None:
            self._left -= 1
        self._handed(trial)
        return {"trials": for_worker([trial])}

    def _next(self) -> PlannedTrial | None:
        if self._trials:
            return self._trials.popleft()
        live = {trial.id for trial in (*self._running.values(), *self._elsewhere)}
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
        told = {} if error or result is None else dict(result["outcomes"])
        outcome = told.get(trial.id, "lost")
        if outcome == "elsewhere":
            self._elsewhere.append(trial)
            return
        if outcome == "lost":
            self._losses[trial.id] += 1
            if self._losses[trial.id] <= RETRIES:
                self._again(trial)
                return
            outcome = "failed"
            self._store.write_failure(trial.id, lost(trial, None))
            self._event(trial.id, outcome)
        self._tell(trial, outcome)

    def _look_elsewhere(self) -> None:
        """What other runs were training: told of once it is stored, trained once it is given up."""
        waiting, self._elsewhere = self._elsewhere, []
        for trial in waiting:
            if self._store.has(trial.id) or self._store.failures(trial.id):
                outcome = "stored" if self._store.has(trial.id) else "failed"
                self._event(trial.id, outcome)
                self._tell(trial, outcome)
            elif is_locked(self._store.claim(trial.id)):
                self._elsewhere.append(trial)
            else:
                self._again(trial)

    def _again(self, trial: PlannedTrial) -> None:
        self._trials.append(trial)
        if self._left is not None:
            self._left += 1

    def _tell(self, trial: PlannedTrial, outcome: str) -> None:
        self.outcomes[trial.id] = outcome
        for source in self._sources:
            source.ended(trial.id, outcome)

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its searcher with its own state, which is scratch: the searches' files are the
        # truth.
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a run goes on from the store and the searches' files."""
        raise NotImplementedError("a search goes on from its file in the results folder")


def run_with_sources(
    trials: Sequence[PlannedTrial],
    sources: Sequence[Source],
    config: WorkerConfig,
    session: Session,
    event: Event,
    names: dict[str, str],
    limit: int | None,
) -> dict[str, str]:
    """Train trials, and then what sources bring, in one run of Ray Tune.

    Args:
        trials: Trials that are known beforehand.
        sources: Where further ones come from.
        config: Where to read and write.
        session: The Ray to run on.
        event: Told of each trial's start and end.
        names: Trial id -> how it is named to a person; gains what is handed out.
        limit: Most trials of the sources to hand out; None for all.

    Returns:
        Trial id -> `finished`, `stored`, `diverged` or `failed`.
    """

    def handed(trial: PlannedTrial) -> None:
        names[trial.id] = trial.name

    most = None if limit is None else len(trials) + max(limit, 0)
    workers, store = session.shares.workers, Store(config.results)
    search = SourceSearcher(trials, sources, store, event, handed, workers, most)
    tune_once([], config, session, Watcher(event), search)
    return search.outcomes
