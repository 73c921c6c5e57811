"""When each trial is trained: a Ray Tune searcher that hands out what its sources give it.

A list of trials is the simplest source (`bench.engine.trial_batches`); a tuned study, whose next
trial depends on how earlier ones ended, is another (`bench.tuning.tuned_study`). One run of Ray
Tune trains them all, so that each worker imports Keras once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ray.tune.search import Searcher

from bench.engine.memory import LOWER, is_out_of_memory
from bench.files.disk import disk_full
from bench.files.locks import is_locked
from bench.store.plan import PlannedTrial
from bench.store.trials import FailureKind, Store
from bench.train.status import TrialStatus

RETRIES = 2
"""How often a trial is tried again whose worker process, or its machine, was lost."""

Event = Callable[[PlannedTrial, TrialStatus], None]
"""Called with a trial and what happened to it."""


class Source(Protocol):
    """Where trials come from."""

    def next_batch(self, workers: int, busy: Container[str]) -> list[PlannedTrial]:
        """Trials for one worker; none where there are none before another trial ends, or at all.

        Args:
            workers: Batches that are trained at the same time.
            busy: Identities of trials that were handed out and have not ended; their end is told
                to every source, whichever handed them out.
        """

    def ended(self, identity: str, status: TrialStatus) -> None:
        """A trial ended in one of `bench.train.status.ENDED`, whichever source it came from."""


class SourceSearcher(Searcher):
    """Asks each source in turn for trials, and tells all of them how each ended.

    A trial whose worker was lost comes again after all others, in a batch of its own: one of a
    batch may have taken the others down with it. One that ran out of memory comes again once, when
    nothing else is in training. One that another run is training is waited for, and trained here if
    that run gives it up.

    Ray must not ask ahead: `tune.TuneConfig(max_concurrent_trials=...)` has it ask only when a
    worker is free, so that a study that proposes knows every score that there is.

    Args:
        sources: Where trials come from, the first one first.
        store: The store.
        event: Told of what becomes of each trial.
        workers: Batches that are trained at the same time.

    Attributes:
        outcomes: Trial id -> how it ended.
    """

    def __init__(self, sources: Sequence[Source], store: Store, event: Event, workers: int) -> None:
        super().__init__()
        self._sources, self._store, self._event = sources, store, event
        self._workers = workers
        self._running: dict[str, dict[str, PlannedTrial]] = {}
        """Ray's trial, which is a batch of ours -> its trials that have not ended, by id."""
        self._busy: dict[str, PlannedTrial] = {}
        self._elsewhere: list[PlannedTrial] = []
        self._again: deque[PlannedTrial] = deque()
        self._alone: deque[PlannedTrial] = deque()
        """Trials that ran out of memory beside others, and are to come again."""
        self._were_alone: set[str] = set()
        self._losses = Counter[str]()
        self._failures_before: dict[str, int] = {}
        self._error: Exception | None = None
        self.outcomes: dict[str, TrialStatus] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next batch as a worker takes it, `FINISHED`, or None to be asked again."""
        batch = self._next_batch()
        if not batch:
            return None if self._busy else self.FINISHED
        self._running[trial_id] = {trial.id: trial for trial in batch}
        self._busy |= self._running[trial_id]
        for trial in batch:
            self._failures_before[trial.id] = len(self._store.failure_paths(trial.id))
        return {
            "trials": [
                {"id": t.id, "spec": t.spec.model_dump(mode="json"), "keep": t.keep} for t in batch
            ],
        }

    def _next_batch(self) -> list[PlannedTrial]:
        if batch := self._from_sources():
            return batch
        self._look_elsewhere()
        # A source may go on, now that it knows what ended elsewhere.
        if batch := self._from_sources():
            return batch
        if self._again:
            return [self._again.popleft()]
        return [self._alone.popleft()] if self._alone and not self._running else []

    def _from_sources(self) -> list[PlannedTrial]:
        batches = (source.next_batch(self._workers, self._busy) for source in self._sources)
        return next((batch for batch in batches if batch), [])

    def started(self, trial_id: str) -> None:
        """A worker began a batch."""
        first = next(iter(self._running[trial_id].values()))
        self._event(first, TrialStatus.STARTED)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Trials of a batch ended, and others are still to come."""
        with self._errors_kept():
            batch = self._running[trial_id]
            if result["next"] is not None:
                self._event(batch[result["next"]], TrialStatus.STARTED)
            for identity, status in result["outcomes"]:
                self._report(batch.pop(identity), TrialStatus(status))
            if result["disk_full"] is not None:
                raise disk_full(result["disk_full"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A batch ended; where its worker was lost, `lost` is told next, with the reason."""
        if result is not None and not error:
            self.on_trial_result(trial_id, result)
            del self._running[trial_id]

    def lost(self, trial_id: str, why: str | None) -> None:
        """A batch's worker was lost, and with it what had not ended.

        Args:
            trial_id: Ray's name of the batch.
            why: Ray's message.
        """
        with self._errors_kept():
            out_of_memory = is_out_of_memory(why or "")
            for trial in self._running.pop(trial_id).values():
                self._event(trial, TrialStatus.LOST)
                self._losses[trial.id] += 1
                if out_of_memory and trial.id not in self._were_alone:
                    self._were_alone.add(trial.id)
                    self._alone.append(trial)
                elif not out_of_memory and self._losses[trial.id] <= RETRIES:
                    self._again.append(trial)
                else:
                    self._give_up(trial, why, out_of_memory)

    def _give_up(self, trial: PlannedTrial, why: str | None, out_of_memory: bool) -> None:
        """Record that a trial was lost too often."""
        kind, error = FailureKind.CRASHED, f"the worker process died, {RETRIES + 1} times"
        if out_of_memory:
            kind = FailureKind.OUT_OF_MEMORY
            error = f"out of memory, with nothing in training beside it; {LOWER}"
        failure = {
            "kind": kind,
            "error": error,
            "traceback": why or "no message",
            "spec": trial.spec.model_dump(mode="json"),
        }
        self._store.write_failure(trial.id, failure)
        self._report(trial, TrialStatus.FAILED)

    @contextmanager
    def _errors_kept(self) -> Iterator[None]:
        """Keep an error for `check`: raised now, Ray would take it for the trial's own."""
        try:
            yield
        except Exception as error:
            self._error = self._error or error

    def check(self) -> None:
        """End the run where it cannot go on.

        Raises:
            BenchError: A worker could not write any more.
            Exception: A source or the store failed, when it was told how a trial ended.
        """
        if self._error is not None:
            raise self._error

    def _look_elsewhere(self) -> None:
        """Trials that another run was training: either it ended one, or it gave one up."""
        waiting, self._elsewhere = self._elsewhere, []
        for trial in waiting:
            if is_locked(self._store.claim(trial.id)):
                self._elsewhere.append(trial)
            elif self._store.has(trial.id):
                self._report(trial, TrialStatus.STORED)
            elif len(self._store.failure_paths(trial.id)) > self._failures_before[trial.id]:
                self._report(trial, TrialStatus.FAILED)
            else:
                self._again.append(trial)

    def _report(self, trial: PlannedTrial, status: TrialStatus) -> None:
        self._event(trial, status)
        if status is TrialStatus.ELSEWHERE:
            self._elsewhere.append(trial)
            return
        del self._busy[trial.id]
        self.outcomes[trial.id] = status
        for source in self._sources:
            source.ended(trial.id, status)

    def __getstate__(self) -> dict[str, Any]:
        # Ray saves its searcher with its own state, which is scratch: the store and the searches'
        # files are the truth.
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: see `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a run goes on from the store and the searches' files."""
        raise NotImplementedError("a run goes on from its results folder")
