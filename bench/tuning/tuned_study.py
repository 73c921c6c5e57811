"""A tuned study while it runs: each arm's search, then the winners' trials.

The test images are looked at last: no winner is trained before every arm's is fixed. Light until
it begins: a study whose searches are complete needs no KerasTuner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager

from bench.data.manifest import Manifest
from bench.store.outcomes import stored_score
from bench.store.plan import PlannedTrial
from bench.store.searches import SearchLog, read_search, search_path, supersede
from bench.store.trials import Store
from bench.study.design import Design
from bench.study.trial import TrialSpec
from bench.train.status import IN_STORE, TrialStatus
from bench.tuning.allowance import Allowance
from bench.tuning.running_search import RunningSearch
from bench.tuning.winners import (
    most_proposals,
    search_plans,
    searched_features,
    tuned_record,
    winners,
    winners_trials,
)


class TunedStudy:
    """A tuned study while it runs: a source of trials (`bench.engine.scheduler.Source`).

    Args:
        design: The study.
        manifest: Its data.
        store: The store.
        only: Names of the only arms to tune; empty for all.
        rerun: Begin every search anew, and train again what is in the store.
        allowance: Trials that the run may still begin; None for any number.

    Attributes:
        found: Called with each trial that had ended before its turn came.
    """

    def __init__(
        self,
        design: Design,
        manifest: Manifest,
        store: Store,
        only: Sequence[str],
        rerun: bool,
        allowance: Allowance | None = None,
    ) -> None:
        assert design.tuning is not None, "only a tuned study has searches"
        self._design, self._manifest, self._store = design, manifest, store
        self._tuning = design.tuning
        plans = search_plans(design, manifest)
        self.plans = [plan for plan in plans if not only or plan.arm in only]
        self._rerun, self._allowance = rerun, allowance or Allowance(None)
        if rerun:
            for plan in self.plans:
                supersede(search_path(store.root, plan.id))
        self._running: list[RunningSearch] | None = None
        self._winners: deque[PlannedTrial] | None = None
        self._tests: list[PlannedTrial] = []
        self._outcomes: dict[str, TrialStatus] = {}
        self._asked: dict[str, bool] = {}
        """Trials that the study asked for -> whether it was the one to hand them out."""
        self._stored_before = self._answered() * len(self._tuning.seed_list)
        self.found: Callable[[PlannedTrial], None] = lambda trial: None
        self.write()

    @property
    def searched(self) -> bool:
        """Whether every arm's search is complete."""
        return all(
            search is not None and search.complete
            for search in (read_search(search_path(self._store.root, p.id)) for p in self.plans)
        )

    @property
    def idle(self) -> bool:
        """Whether there is nothing to train before the winners' own trials."""
        return self.searched

    @property
    def fruitless(self) -> list[str]:
        """What to say of arms whose search is complete and has no winner."""
        won = winners(self.plans, self._store)
        arms = [plan.arm for plan in self.plans if plan.arm not in won] if self.searched else []
        return [f"{arm}: every proposal failed" for arm in arms]

    def write(self) -> None:
        """Record the study as far as it is."""
        record = tuned_record(self._design, self._manifest, self._store)
        self._store.write_study(record)

    def tested(self) -> list[PlannedTrial]:
        """The winners' trials, once every search is complete."""
        won = winners(self.plans, self._store) if self.searched else {}
        return list(winners_trials(self._design, won, self._manifest, self._store))

    def feature_specs(self) -> list[TrialSpec]:
        """Trials that between them need every feature that the rest of the study needs."""
        return searched_features(self._design, self.plans)

    @property
    def left(self) -> int:
        """Trials that are left to train, at most."""
        most = sum(most_proposals(plan.budget) for plan in self.plans)
        tested = [trial.id for trial in self.tested()]
        done = sum(i in self._outcomes or self._has(i) for i in tested)
        return (most - self._answered()) * len(self._tuning.seed_list) + (
            len(self.plans) * len(self._design.seeds) - done
        )

    def _answered(self) -> int:
        searches = (read_search(search_path(self._store.root, p.id)) for p in self.plans)
        return sum(p.answered for search in searches if search for p in search.proposals)

    @property
    def finished(self) -> int:
        """Trials that were trained now."""
        return sum(
            handed_out and self._outcomes.get(identity) is TrialStatus.FINISHED
            for identity, handed_out in self._asked.items()
        )

    @property
    def stored(self) -> int:
        """Trials that were in the store already, or that another study or run trained."""
        stored = sum(self._outcomes.get(identity) in IN_STORE for identity in self._asked)
        return self._stored_before + stored - self.finished

    @property
    def diverged(self) -> list[str]:
        """Winners' trials that diverged; a proposal that does so has its answer."""
        return self._tests_that(TrialStatus.DIVERGED)

    @property
    def failed(self) -> list[str]:
        """Winners' trials that failed, and arms without a winner."""
        return [*self._tests_that(TrialStatus.FAILED), *self.fruitless]

    def _tests_that(self, status: TrialStatus) -> list[str]:
        return [trial.name for trial in self._tests if self._outcomes.get(trial.id) is status]

    def begin(self, pool: dict[str, RunningSearch]) -> None:
        """Open every search, as it stands in its file.

        Args:
            pool: Searches that the run has opened, by identity: arms and studies that ask for the
                same search share it.

        Raises:
            BenchError: Another run is at one of them, or this KerasTuner cannot continue it.
        """
        from bench.tuning.oracle import ArmSearch, versions

        for plan in self.plans:
            if plan.id not in pool:
                log = SearchLog(search_path(self._store.root, plan.id), plan, versions())
                pool[plan.id] = RunningSearch(ArmSearch(plan, log))
        self._running = list({plan.id: pool[plan.id] for plan in self.plans}.values())

    def next_batch(self, workers: int, busy: Container[str]) -> list[PlannedTrial]:
        """The next trial to train, alone; none where there is none before another ends.

        Arms take turns. With as many arms as workers, or more, each waits for one proposal at a
        time: what it proposes then depends on the answers alone, not on which worker was faster.

        Args:
            workers: Trials that are trained at the same time.
            busy: Identities of trials that are in training for whichever study.
        """
        assert self._running is not None, "begin first"
        most = -(-workers // len(self._running))
        while self._allowance.left and (trial := self._next(most)) is not None:
            if self._known(trial):
                continue
            self._asked.setdefault(trial.id, trial.id not in busy)
            if trial.id not in busy:
                self._allowance.take(1)
                return [trial]
        return []

    def _next(self, most: int) -> PlannedTrial | None:
        running = self._running or []
        for search in sorted(running, key=lambda search: search.turn):
            trial = search.next_trial(most)
            if trial is not None:
                return trial
        if self._winners is None:
            if any(not search.search.search.complete for search in running):
                return None
            self.write()
            self._tests = self.tested()
            self._winners = deque(self._tests)
        return self._winners.popleft() if self._winners else None

    def _known(self, trial: PlannedTrial) -> bool:
        """Whether a trial has ended already; proposals that wait for it then get their answer."""
        if trial.id not in self._outcomes:
            if self._has(trial.id):
                self._outcomes[trial.id] = TrialStatus.STORED
            elif self._store.diverged(trial.id) and not self._rerun:
                self._outcomes[trial.id] = TrialStatus.DIVERGED
            else:
                return False
        if trial.id not in self._asked:
            self._asked[trial.id] = False
            self.found(trial)
        self._answer(trial.id)
        return True

    def _has(self, identity: str) -> bool:
        return not self._rerun and self._store.has(identity)

    def ended(self, identity: str, status: TrialStatus) -> None:
        """A trial ended, whoever handed it out."""
        self._outcomes[identity] = status
        self._answer(identity)

    def _answer(self, identity: str) -> None:
        waiting = [search for search in self._running or () if search.waits_for(identity)]
        if not waiting:
            return
        score, error = None, None
        if self._outcomes[identity] in IN_STORE:
            score = stored_score(self._store, identity, self._tuning.metric)
            error = None if score is not None else f"has no {self._tuning.metric}"
        else:
            failures = self._store.failures(identity)
            error = failures[-1]["error"] if failures else "failed"
        for search in waiting:
            search.answer(identity, score, error)


@contextmanager
def opened(studies: Sequence[TunedStudy]) -> Iterator[None]:
    """Some studies' searches, open for this run alone, and recorded at the end.

    Raises:
        BenchError: Another run is at one of them, or this KerasTuner cannot continue it.
    """
    pool: dict[str, RunningSearch] = {}
    try:
        for study in studies:
            study.begin(pool)
        yield
    finally:
        for running in pool.values():
            running.search.close()
        for study in studies:
            study.write()
