"""A tuned study's searches, winners and cost, as the store and the plan know them. Light."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import bench
from bench.data.attributes import data_identity
from bench.data.manifest import Manifest
from bench.store.plan import PlannedTrial, planned_trial, study_record
from bench.store.searches import Proposal, SearchPlan, read_search, search_path
from bench.store.studies import RecordedSearch, RecordedTuning, StudyRecord
from bench.store.trials import Store
from bench.study.budget import Budget, epochs_of
from bench.study.design import Design
from bench.study.space import at_draws, feature_specs, judged, with_values
from bench.study.trial import TrialSpec


def search_plans(design: Design, manifest: Manifest | None) -> list[SearchPlan]:
    """Each arm's search; none for a study that is not tuned.

    Args:
        design: The study.
        manifest: Its data; None for a phantom that is not drawn yet.
    """
    if design.tuning is None:
        return []

    def identify(spec: TrialSpec) -> str:
        return "not drawn yet" if manifest is None else data_identity(spec, manifest)

    return [SearchPlan(arm.name, arm.spec, design.tuning, identify) for arm in design.arms()]


def searched_features(design: Design, plans: Sequence[SearchPlan]) -> list[TrialSpec]:
    """Trials that between them need every feature of some searches and of their winners' tests."""
    return [
        trial
        for plan in plans
        for spec in feature_specs(plan.tuning, plan.spec)
        for trial in (
            *at_draws(judged(spec), plan.tuning.seed_list),
            *at_draws(spec, design.seeds),
        )
    ]


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
            yield planned_trial(arm, spec, manifest, store, design.keep_models)


def tuned_record(design: Design, manifest: Manifest, store: Store) -> StudyRecord:
    """A tuned study as the store keeps it for the report: its winners' trials, and its searches."""
    tuning = design.tuning
    assert tuning is not None, "only a tuned study has this record"
    plans = search_plans(design, manifest)
    trials = winners_trials(design, winners(plans, store), manifest, store)
    record = study_record(design, trials, manifest, bench.__version__)
    return replace(
        record,
        tuning=RecordedTuning(
            algorithm=tuning.algorithm,
            metric=tuning.metric,
            direction=tuning.direction,
            seeds=tuple(tuning.seed_list),
            seed=tuning.seed,
            factor=tuning.rung_factor if tuning.algorithm == "hyperband" else None,
            space={path: p.model_dump(mode="json") for path, p in tuning.parameters.items()},
            searches={plan.arm: RecordedSearch(plan.id, plan.budget) for plan in plans},
        ),
    )


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
        tuning_trials=sum(most_proposals(p.budget) for p in plans) * len(tuning.seed_list),
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
    keep = None if design.keep_models == "none" else design.keep_models
    left += [
        PlannedTrial(f"{plan.id}/test", plan.arm, seed, plan.spec, False, keep)
        for plan in plans
        if plan.arm not in known
        for seed in design.seeds
    ]
    return [*left, *tested]


def most_proposals(budget: Budget) -> int:
    """Proposals that a budget can pay for, at most."""
    return budget.proposals if budget.proposals is not None else (budget.epochs or 0)
