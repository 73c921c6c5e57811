"""A tuned study, start to end: each arm's search, its winner, and the winners' trials.

The test images are looked at last: no winner is trained before every arm's is fixed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bench
from bench.data.manifest import Manifest
from bench.design.budget import Budget, epochs_of
from bench.design.design import Design
from bench.design.space import feature_specs, judged, with_values
from bench.plan import PlannedTrial, study_record
from bench.searches import (
    Proposal,
    Search,
    SearchLog,
    SearchPlan,
    mean_score,
    read_search,
    search_path,
    set_aside,
)
from bench.spec import TrialSpec, trial_id
from bench.store import Store

if TYPE_CHECKING:
    from bench.engine.oracle import ArmSearch


def search_plans(design: Design, fingerprint: str) -> list[SearchPlan]:
    """Each arm's search over data of a fingerprint; none for a study that is not tuned."""
    if design.tuning is None:
        return []
    return [SearchPlan(arm.name, arm.spec, design.tuning, fingerprint) for arm in design.arms()]


def winners(plans: Sequence[SearchPlan], store: Store) -> dict[str, TrialSpec]:
    """Arm -> its best setting, of the arms whose search is complete and has one."""
    found = {}
    for plan in plans:
        search = read_search(search_path(store.root, plan.id))
        best = search.best() if search is not None and search.complete else None
        if best is not None:
            found[plan.arm] = winning_spec(plan.spec, best)
    return found


def winning_spec(spec: TrialSpec, best: Proposal) -> TrialSpec:
    """An arm's trial at its best setting, to be tested."""
    return with_values(spec, best.values, best.epochs)


def winners_trials(
    design: Design, won: dict[str, TrialSpec], manifest: Manifest, store: Store
) -> Iterator[PlannedTrial]:
    """The winners at the study's own seeds, seeds outermost."""
    for seed in design.seeds:
        for arm, winner in won.items():
            spec = winner.model_copy(update={"seed": seed})
            identity = trial_id(spec, manifest.fingerprint)
            yield PlannedTrial(identity, arm, seed, spec, store.has(identity))


def tuned_record(design: Design, manifest: Manifest, store: Store) -> dict[str, Any]:
    """A tuned study as the store keeps it for the report: its winners' trials, and its searches."""
    tuning = design.tuning
    assert tuning is not None, "only a tuned study has this record"
    plans = search_plans(design, manifest.fingerprint)
    trials = winners_trials(design, winners(plans, store), manifest, store)
    record = study_record(design, trials, manifest, bench.__version__)
    return record | {
        "tuning": {
            "algorithm": tuning.algorithm,
            "metric": tuning.metric,
            "direction": tuning.direction,
            "seeds": tuning.seed_list,
            "seed": tuning.seed,
            "factor": tuning.rung_factor if tuning.algorithm == "hyperband" else None,
            "space": {path: p.model_dump(mode="json") for path, p in tuning.parameters.items()},
            "searches": {
                plan.arm: {"id": plan.id, "budget": plan.budget.__dict__} for plan in plans
            },
        }
    }


@dataclass(frozen=True)
class TuningCost:
    """What a tuned study takes.

    Args:
        algorithm: How it is searched.
        metric: What proposals are judged by.
        proposals: Of each arm, at most; None where only the epochs are bounded.
        epochs: Of each arm, of each tuning seed; None where only the proposals are bounded.
        tuning_trials: Of all arms, at most.
        winner_trials: Of all arms.
        answered: Proposals of all arms that are answered already.
    """

    algorithm: str
    metric: str
    proposals: int | None
    epochs: int | None
    tuning_trials: int
    winner_trials: int
    answered: int


def tuning_cost(design: Design, plans: Sequence[SearchPlan], store: Store) -> TuningCost:
    """How many trials a tuned study is made of."""
    tuning = design.tuning
    assert tuning is not None, "only a tuned study has searches"
    searches = [read_search(search_path(store.root, plan.id)) for plan in plans]
    return TuningCost(
        algorithm=tuning.algorithm,
        metric=tuning.metric,
        proposals=plans[0].budget.proposals,
        epochs=plans[0].budget.epochs,
        tuning_trials=sum(_most_proposals(p.budget) for p in plans) * len(tuning.seed_list),
        winner_trials=len(plans) * len(design.seeds),
        answered=sum(p.answered for search in searches if search for p in search.proposals),
    )


def expected_trials(
    design: Design, plans: Sequence[SearchPlan], manifest: Manifest, store: Store
) -> list[PlannedTrial]:
    """What is left to train, each trial at its arm's own setting, which stands for the proposed."""
    left = []
    for plan in plans:
        budget, whole = plan.budget, max(epochs_of(plan.spec), 1)
        search = read_search(search_path(store.root, plan.id))
        done = [p for p in search.proposals if p.answered] if search is not None else []
        if budget.epochs is not None:
            rest = -(-(budget.epochs - sum(p.spent for p in done)) // whole)
        else:
            rest = (budget.proposals or 0) - len(done)
        for number in range(rest):
            left += [
                PlannedTrial(f"{plan.id}/{number}", plan.arm, spec.seed, spec, stored=False)
                for spec in plan.trials({}, None)
            ]
    tested = list(winners_trials(design, winners(plans, store), manifest, store))
    known = {trial.arm for trial in tested}
    left += [
        PlannedTrial(f"{plan.id}/test", plan.arm, seed, plan.spec, stored=False)
        for plan in plans
        if plan.arm not in known
        for seed in design.seeds
    ]
    return [*left, *tested]


def _most_proposals(budget: Budget) -> int:
    return budget.proposals if budget.proposals is not None else (budget.epochs or 0)


class _Running:
    """An arm's search while it runs: trials to hand out, and proposals that wait for them."""

    def __init__(self, search: ArmSearch) -> None:
        self.search = search
        self.waiting: dict[int, dict[str, float | None]] = {}
        self.queue: deque[PlannedTrial] = deque()
        for proposal in search.pending():
            self._take(proposal)

    @property
    def busy(self) -> tuple[int, int]:
        """By how much an arm is ahead of the others, whose turn comes first."""
        return len(self.waiting), len(self.search.search.proposals)

    def next_trial(self) -> PlannedTrial | None:
        """A trial of a proposal; None where there is none before another ends."""
        while not self.queue:
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
    """

    def __init__(
        self, design: Design, manifest: Manifest, store: Store, only: Sequence[str], rerun: bool
    ) -> None:
        self._design, self._manifest, self._store = design, manifest, store
        plans = search_plans(design, manifest.fingerprint)
        self.plans = [plan for plan in plans if not only or plan.arm in only]
        self._rerun = rerun
        if rerun:
            for plan in self.plans:
                set_aside(search_path(store.root, plan.id))
        self._running: list[_Running] | None = None
        self._winners: deque[PlannedTrial] | None = None
        self.outcomes: dict[str, str] = {}
        self.handed: dict[str, str] = {}
        self.tests: set[str] = set()
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
        """Arms whose search is complete and has no winner."""
        won = winners(self.plans, self._store)
        return [plan.arm for plan in self.plans if plan.arm not in won] if self.searched else []

    def write(self) -> None:
        """Record the study as far as it is."""
        record = tuned_record(self._design, self._manifest, self._store)
        self._store.write_study(self._design.study.name, record)

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
        most = sum(_most_proposals(plan.budget) for plan in self.plans)
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
    def failed(self) -> list[str]:
        """Winners' trials that failed, and arms without a winner.

        A proposal that fails, as one with too high a learning rate does, is an answer.
        """
        tests = [
            name
            for identity, name in self.handed.items()
            if identity in self.tests and self.outcomes.get(identity) == "failed"
        ]
        return [*tests, *(f"{arm}: every proposal failed" for arm in self.fruitless)]

    def begin(self) -> None:
        """Open every search, as it stands in its file.

        Raises:
            BenchError: Another run is at one of them, or this KerasTuner cannot go on with it.
        """
        from bench.engine.oracle import ArmSearch, versions

        opened: dict[str, _Running] = {}
        for plan in self.plans:
            # Arms that differ in what their space sets anyway are one search.
            if plan.id not in opened:
                log = SearchLog(search_path(self._store.root, plan.id), plan, versions())
                opened[plan.id] = _Running(ArmSearch(plan, log))
        self._running = list(opened.values())

    def close(self) -> None:
        """Let other runs have the searches."""
        for running in self._running or ():
            running.search.close()

    def next_trial(self) -> PlannedTrial | None:
        """The next trial to train; None where there is none before another ends.

        Arms take turns: whoever waits for the fewest proposals, then whoever has had the fewest.
        """
        assert self._running is not None, "begin first"
        while True:
            trial = self._next()
            if trial is None:
                return None
            if not self._known(trial):
                self.handed[trial.id] = trial.name
                return trial

    def _next(self) -> PlannedTrial | None:
        for running in sorted(self._running or (), key=lambda running: running.busy):
            trial = running.next_trial()
            if trial is not None:
                return trial
        if self._winners is None:
            if any(not running.search.search.complete for running in self._running or ()):
                return None
            self.write()
            self._winners = deque(self.tested())
            self.tests = {trial.id for trial in self._winners}
        return self._winners.popleft() if self._winners else None

    def _known(self, trial: PlannedTrial) -> bool:
        """Whether a trial is finished already; what waits for it is told."""
        if trial.id in self.outcomes:
            self._tell(trial.id)
            return True
        if self._rerun or not self._store.has(trial.id):
            return False
        self.stored += 1
        self.outcomes[trial.id] = "stored"
        self._tell(trial.id)
        return True

    def _has(self, identity: str) -> bool:
        return not self._rerun and self._store.has(identity)

    def ended(self, identity: str, outcome: str) -> None:
        """A trial `finished` or `failed`, whoever asked for it."""
        self.outcomes[identity] = outcome
        self._tell(identity)

    def _tell(self, identity: str) -> None:
        tuning = self._design.tuning
        assert tuning is not None
        score, error = None, None
        if self.outcomes[identity] == "failed":
            failures = self._store.failures(identity)
            error = failures[-1]["error"] if failures else "failed"
        else:
            value = self._store.summary(identity)["metrics"].get(tuning.metric)
            score = None if value is None else float(value)
            error = None if score is not None else f"has no {tuning.metric}"
        for running in self._running or ():
            running.answer(identity, score, error)


@contextmanager
def opened(studies: Sequence[TunedStudy]) -> Iterator[None]:
    """Some studies' searches, open for this run alone, and recorded at the end.

    Raises:
        BenchError: Another run is at one of them, or this KerasTuner cannot go on with it.
    """
    try:
        for study in studies:
            study.begin()
        yield
    finally:
        for study in studies:
            study.close()
            study.write()


def study_searches(store: Store, study: dict[str, Any]) -> dict[str, Search]:
    """The searches of a recorded study, by arm; empty for one that is not tuned.

    Raises:
        BenchError: A search cannot be read.
    """
    searches = (study.get("tuning") or {}).get("searches", {})
    found = {
        arm["name"]: read_search(search_path(store.root, searches[arm["name"]]["id"]))
        for arm in study["arms"]
        if arm["name"] in searches
    }
    return {arm: search for arm, search in found.items() if search is not None}


def searched_trials(store: Store, study: dict[str, Any]) -> dict[str, str]:
    """The trials of a recorded study's searches, and how each is named to a person."""
    return {
        identity: f"{arm}, proposal {proposal.number + 1}"
        for arm, search in study_searches(store, study).items()
        for proposal in search.proposals
        for identity in proposal.trials
    }
