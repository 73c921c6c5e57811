"""A tuned study while it runs: each arm's search, then the winners' trials.

The test images are looked at last: no winner is trained before every arm's is fixed. Light until
it begins: a study whose searches are complete needs no KerasTuner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.data.manifest import Manifest
from bench.store.outcomes import stored_score
from bench.store.plan import PlannedTrial
from bench.store.searches import (
    Proposal,
    SearchLog,
    mean_score,
    read_search,
    search_path,
    set_aside,
)
from bench.store.trials import Store
from bench.study.design import Design
from bench.study.space import feature_specs, judged
from bench.study.trial import TrialSpec
from bench.tuning.winners import most_proposals, search_plans, tuned_record, winners, winners_trials

if TYPE_CHECKING:
    from bench.tuning.oracle import ArmSearch


class _Running:
    """An arm's search while it runs: trials to hand out, and proposals that wait for them."""

    def __init__(self, search: ArmSearch) -> None:
        self.search = search
        self.waiting: dict[int, dict[str, float | None]] = {}
        self.queue: deque[PlannedTrial] = deque()
        for proposal in search.pending():
            self._take(proposal)

    @property
    def turn(self) -> tuple[bool, int, int]:
        """Where an arm stands in the line: first those with a trial at hand, then the idlest."""
        return not self.queue, len(self.waiting), len(self.search.search.proposals)

    def next_trial(self, most: int) -> PlannedTrial | None:
        """A trial of a proposal; None where there is none before another ends.

        Args:
            most: Most proposals to wait for at the same time.
        """
        while not self.queue:
            if len(self.waiting) >= most:
                return None
            proposal = self.search.ask()
            if proposal is None:
                return None
            if proposal.trials:
                self._take(proposal)
        return self.queue.popleft()

    def _take(self, proposal: Proposal) -> None:
        plan = self.search.plan
        specs = plan.trials(proposal.values, proposal.epochs)
        for identity, spec in zip(proposal.trials, specs, strict=True):
            name = f"{plan.arm}, proposal {proposal.number + 1}"
            self.queue.append(PlannedTrial(identity, name, spec.seed, spec, stored=False))
        self.waiting[proposal.number] = {}

    def answer(self, identity: str, score: float | None, error: str | None) -> None:
        """Count in a trial's score, wherever a proposal waits for it."""
        for number in list(self.waiting):
            proposal = self.search.search.proposals[number]
            if identity not in proposal.trials:
                continue
            known = self.waiting[number]
            known[identity] = score
            if len(known) == len(proposal.trials):
                del self.waiting[number]
                values = [float("nan") if v is None else v for v in known.values()]
                self.search.tell(number, mean_score(values), error)


class TunedStudy:
    """A tuned study while it runs.

    Args:
        design: The study.
        manifest: Its data.
        store: The store.
        only: Names of the only arms to tune; empty for all.
        rerun: Begin every search anew, and train again what is in the store.

    Attributes:
        found: Called with each trial that was finished already when its turn came.
    """

    def __init__(
        self, design: Design, manifest: Manifest, store: Store, only: Sequence[str], rerun: bool
    ) -> None:
        self._design, self._manifest, self._store = design, manifest, store
        plans = search_plans(design, manifest)
        self.plans = [plan for plan in plans if not only or plan.arm in only]
        self._rerun = rerun
        if rerun:
            for plan in self.plans:
                set_aside(search_path(store.root, plan.id))
        self._running: list[_Running] | None = None
        self._winners: deque[PlannedTrial] | None = None
        self.outcomes: dict[str, str] = {}
        self.handed: dict[str, str] = {}
        self.tests: list[PlannedTrial] = []
        self.found: Callable[[str], None] = lambda identity: None
        self._found: set[str] = set()
        self.stored = self._answered() * len(design.tuning.seed_list) if design.tuning else 0
        self.write()

    @property
    def searched(self) -> bool:
        """Whether every arm's search is complete."""
        return all(
            search is not None and search.complete
            for search in (read_search(search_path(self._store.root, p.id)) for p in self.plans)
        )

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
        return [
            form
            for plan in self.plans
            for spec in feature_specs(plan.tuning, plan.spec)
            for form in (judged(spec), spec)
        ]

    @property
    def left(self) -> int:
        """Trials that are left to train, at most."""
        tuning = self._design.tuning
        assert tuning is not None
        answered = self._answered()
        most = sum(most_proposals(plan.budget) for plan in self.plans)
        tested = [trial.id for trial in self.tested()]
        done = sum(i in self.outcomes or self._has(i) for i in tested)
        return (most - answered) * len(tuning.seed_list) + (
            len(self.plans) * len(self._design.seeds) - done
        )

    def _answered(self) -> int:
        searches = (read_search(search_path(self._store.root, p.id)) for p in self.plans)
        return sum(p.answered for search in searches if search for p in search.proposals)

    @property
    def finished(self) -> int:
        """Trials that were trained now."""
        return sum(self.outcomes.get(identity) == "finished" for identity in self.handed)

    @property
    def diverged(self) -> list[str]:
        """Winners' trials that diverged; of a proposal, as of one that fails, it is an answer."""
        return self._tests("diverged")

    @property
    def failed(self) -> list[str]:
        """Winners' trials that failed, and arms without a winner."""
        return [*self._tests("failed"), *self.fruitless]

    def _tests(self, outcome: str) -> list[str]:
        ended = (trial for trial in self.tests if self.outcomes.get(trial.id) == outcome)
        return [trial.name for trial in ended]

    def begin(self, pool: dict[str, _Running]) -> None:
        """Open every search, as it stands in its file.

        Args:
            pool: Searches that the run has opened, by identity: arms and studies that ask for the
                same search share it.

        Raises:
            BenchError: Another run is at one of them, or this KerasTuner cannot go on with it.
        """
        from bench.tuning.oracle import ArmSearch, versions

        for plan in self.plans:
            if plan.id not in pool:
                log = SearchLog(search_path(self._store.root, plan.id), plan, versions())
                pool[plan.id] = _Running(ArmSearch(plan, log))
        self._running = list({plan.id: pool[plan.id] for plan in self.plans}.values())

    def next_trial(self, workers: int) -> PlannedTrial | None:
        """The next trial to train; None where there is none before another ends.

        Arms take turns. With as many arms as workers, or more, each waits for one proposal at a
        time: what it proposes then depends on the answers alone, not on which worker was faster.

        Args:
            workers: Trials that run at the same time.
        """
        assert self._running is not None, "begin first"
        most = -(-workers // len(self._running))
        while True:
            trial = self._next(most)
            if trial is None:
                return None
            if not self._known(trial):
                self.handed[trial.id] = trial.name
                return trial

    def _next(self, most: int) -> PlannedTrial | None:
        for running in sorted(self._running or (), key=lambda running: running.turn):
            trial = running.next_trial(most)
            if trial is not None:
                return trial
        if self._winners is None:
            if any(not running.search.search.complete for running in self._running or ()):
                return None
            self.write()
            self.tests = self.tested()
            self._winners = deque(self.tests)
        return self._winners.popleft() if self._winners else None

    def _known(self, trial: PlannedTrial) -> bool:
        """Whether a trial is finished already; what waits for it is told."""
        if trial.id not in self.outcomes:
            if self._has(trial.id):
                self.outcomes[trial.id] = "stored"
            elif self._store.diverged(trial.id) and not self._rerun:
                self.outcomes[trial.id] = "diverged"
            else:
                return False
        if trial.id not in self.handed and trial.id not in self._found:
            self._found.add(trial.id)
            self.stored += self.outcomes[trial.id] != "diverged"
            self.found(trial.id)
        self._tell(trial.id)
        return True

    def _has(self, identity: str) -> bool:
        return not self._rerun and self._store.has(identity)

    def ended(self, identity: str, outcome: str) -> None:
        """A trial `finished`, `diverged`, `failed` or was `stored`, whoever asked for it."""
        self.outcomes[identity] = outcome
        if outcome == "stored" and identity in self.handed:
            self.stored += 1  # another run was faster
        self._tell(identity)

    def _tell(self, identity: str) -> None:
        tuning = self._design.tuning
        assert tuning is not None
        score, error = None, None
        if self.outcomes[identity] in ("diverged", "failed"):
            failures = self._store.failures(identity)
            error = failures[-1]["error"] if failures else "failed"
        else:
            score = stored_score(self._store, identity, tuning.metric)
            error = None if score is not None else f"has no {tuning.metric}"
        for running in self._running or ():
            running.answer(identity, score, error)


@contextmanager
def opened(studies: Sequence[TunedStudy]) -> Iterator[None]:
    """Some studies' searches, open for this run alone, and recorded at the end.

    Raises:
        BenchError: Another run is at one of them, or this KerasTuner cannot go on with it.
    """
    pool: dict[str, _Running] = {}
    try:
        for study in studies:
            study.begin(pool)
        yield
    finally:
        for running in pool.values():
            running.search.close()
        for study in studies:
            study.write()
