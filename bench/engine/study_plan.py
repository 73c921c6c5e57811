"""What `bench plan` shows: arms, trials, features and cost of a run before it starts. Light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.sources import data_label
from bench.engine.request import ResolvedStudy, StudyRequest, check_only, resolve
from bench.engine.sizes import check_sizes
from bench.metrics.catalogue import COMPARED
from bench.store.plan import (
    Cost,
    FeatureNeed,
    PlannedTrial,
    cost_of,
    feature_needs,
    planned_trial,
)
from bench.store.trials import Store
from bench.study.design import Arm, Design
from bench.study.presets import profile_settings
from bench.tuning.winners import (
    TuningCost,
    expected_trials,
    search_plans,
    searched_features,
    tuning_cost,
)

if TYPE_CHECKING:
    from bench.analysis.expected import Expectation

SHOWN_ARMS = 40
"""Arms that a plan names; a larger grid has a number only."""
COUNTED_TRIALS = 20_000
"""Up to this many trials are looked up in the store; a larger grid is only sized."""
SAMPLED_ARMS = 300
"""Arms that the cost of a larger grid is estimated from."""


@dataclass(frozen=True)
class ArmPlan:
    """An arm of a plan.

    Args:
        name: Name of the arm.
        levels: Axis -> label of its level.
        trials: Its trials; None where they were not looked up.
        stored: How many of them are in the store; None where they were not looked up.
    """

    name: str
    levels: dict[str, str]
    trials: int | None = None
    stored: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The arm as plain values, for `json.dumps`."""
        plain: dict[str, Any] = {"name": self.name, "levels": self.levels}
        if self.trials is not None:
            plain |= {"trials": self.trials, "stored": self.stored}
        return plain


@dataclass(frozen=True)
class StudyPlan:
    """What a run of a study would do.

    Args:
        resolved: The study over its data.
        arms: Number of arms.
        trials: Number of trials; of a tuned study, at most.
        arms_shown: The first `SHOWN_ARMS` arms.
        stored: How many of the trials are in the store; None where they were not looked up.
        features: Feature maps that the trials share.
        cost: What the missing trials would take; None for a phantom that does not exist yet.
        tuning: The searches of a tuned study; None for any other.
        expected: What to expect of one that goes on until it is settled, by the arms' true
            difference; None where no stored trials say how much seeds differ, or for fixed seeds.
    """

    resolved: ResolvedStudy
    arms: int
    trials: int
    arms_shown: tuple[ArmPlan, ...]
    stored: int | None = None
    features: tuple[FeatureNeed, ...] = ()
    cost: Cost | None = None
    tuning: TuningCost | None = None
    expected: Sequence[Expectation] | None = None

    @property
    def design(self) -> Design:
        """The study under its profile."""
        return self.resolved.design

    @property
    def data(self) -> str:
        """The data as every table and figure names it."""
        manifest = self.resolved.manifest
        return data_label(manifest) if manifest else "phantom, generated on the first run"

    @property
    def profile_description(self) -> str:
        """What the profile is for."""
        return str(profile_settings(self.design.profile)["description"])

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values, for `json.dumps`."""
        design = self.design
        return {
            "study": design.study.name,
            "title": design.study.title,
            "profile": design.profile,
            "profile_description": self.profile_description,
            "design": design.kind,
            "resolution": design.resolution,
            "grid": design.grid_size,
            "control": design.control.name,
            "arms": self.arms,
            "seeds": list(design.seeds),
            "trials": self.trials,
            "data": self.data,
            "stored": self.stored,
            "notes": list(self.resolved.notes),
            "arms_shown": [arm.to_json() for arm in self.arms_shown],
            "features": [_feature_json(need) for need in self.features],
            "cost": None if self.cost is None else _cost_json(self.cost),
            "tuning": None if self.tuning is None else _tuning_json(self.tuning),
            "expected": [
                {"difference": e.difference, "settled": e.settled, "seeds": e.seeds}
                for e in self.expected or ()
            ],
        }


def plan_study(request: StudyRequest, results: Path, cache: Path) -> StudyPlan:
    """Work out what a run would do, and do nothing.

    Args:
        request: The study.
        results: Results folder.
        cache: Cache folder.

    Raises:
        BenchError: The study or its data is at fault.
    """
    resolved, store = resolve(request, cache), Store(results)
    design = resolved.design
    check_only(design, request)
    total = design.arm_count * len(design.seeds)
    whole = total <= COUNTED_TRIALS
    arms = list(design.sampled_arms(COUNTED_TRIALS if whole else SAMPLED_ARMS))
    if request.only:
        arms = [arm for arm in arms if arm.name in request.only]
    if resolved.manifest is not None:
        check_sizes(design, resolved.manifest, arms)
    plan = StudyPlan(
        resolved,
        arms=len(arms) if whole else design.arm_count,
        trials=len(arms) * len(design.seeds) if whole else total,
        arms_shown=tuple(ArmPlan(arm.name, arm.levels) for arm in arms[:SHOWN_ARMS]),
    )
    if design.tuning is not None:
        return _plan_searches(plan, request, store, cache)
    if resolved.manifest is None:
        return plan
    if design.until is not None:
        plan = replace(plan, expected=_expected(design, store))
    return _plan_trials(plan, arms, store, cache, whole=whole)


def _expected(design: Design, store: Store) -> list[Expectation] | None:
    """Seeds to expect where all arms differ by some amount, at the spread of the stored trials."""
    from bench.analysis.arms import controls
    from bench.analysis.expected import SIZES_OF_INTEREST, expectation
    from bench.analysis.load import load_arms
    from bench.analysis.sequential import growing

    assert design.until is not None, "a study of fixed seeds is not simulated"
    study = store.study(design.study.name)
    metric = COMPARED[design.until.metric]
    margin = study.margin_in(metric) if study else None
    arms = {arm.name: arm for arm in load_arms(store, study)} if study else {}
    pairs = [arm.against_control(arms[arm.against], metric.name) for arm in arms.values()
             if arm.against in arms]  # fmt: skip
    known = [pair for pair in pairs if pair is not None and np.isfinite(pair.seed_variance)]
    if study is None or margin is None or not known:
        return None
    return [
        expectation(
            size * margin,
            growing(design.until.first, design.until.most),
            arms=max(len(arms) - len(controls(list(arms.values()))), 1),
            margin=margin,
            seed_variance=float(np.mean([pair.seed_variance for pair in known])),
            of_images=float(np.mean([pair.image_variance for pair in known])),
        )
        for size in SIZES_OF_INTEREST
    ]


def _plan_trials(
    plan: StudyPlan, arms: Sequence[Arm], store: Store, cache: Path, *, whole: bool
) -> StudyPlan:
    """Add features and cost, and where the arms are all there are, what the store has."""
    manifest = plan.resolved.manifest
    assert manifest is not None, "without data there are no identities"
    trials = [
        planned_trial(arm.name, arm.trial(seed), manifest, store, plan.design.keep_models)
        for arm in arms
        for seed in plan.design.seeds
    ]
    needs = feature_needs([trial.spec for trial in trials], manifest, cache)
    distinct = list({trial.id: trial for trial in trials}.values())
    cost = cost_of(distinct, needs, manifest, store)
    plan = replace(plan, features=tuple(needs))
    if whole:
        return replace(
            plan,
            trials=len(distinct),
            stored=sum(trial.stored for trial in distinct),
            arms_shown=tuple(_counted(arm, trials) for arm in plan.arms_shown),
            cost=cost,
        )
    # The features are those of the sampled arms; the trials' part grows with their number.
    scale = plan.trials / len(trials)
    return replace(
        plan,
        cost=replace(
            cost,
            trial_flops=cost.trial_flops * scale,
            trial_bytes=cost.trial_bytes * scale,
            model_bytes=cost.model_bytes * scale,
            seconds=None if cost.seconds is None else cost.seconds * scale,
            sampled=len(trials),
        ),
    )


def _counted(arm: ArmPlan, trials: Sequence[PlannedTrial]) -> ArmPlan:
    own = [trial for trial in trials if trial.arm == arm.name]
    return replace(arm, trials=len(own), stored=sum(trial.stored for trial in own))


def _plan_searches(plan: StudyPlan, request: StudyRequest, store: Store, cache: Path) -> StudyPlan:
    """Add the searches of a tuned study: their settings are not known yet, their number is."""
    design, manifest = plan.design, plan.resolved.manifest
    searches = [
        search
        for search in search_plans(design, manifest)
        if not request.only or search.arm in request.only
    ]
    tuning = tuning_cost(design, searches, store)
    plan = replace(plan, tuning=tuning, trials=tuning.tuning_trials + tuning.winner_trials)
    if manifest is None:
        return plan
    left = expected_trials(design, searches, manifest, store)
    needs = feature_needs(searched_features(design, searches), manifest, cache)
    return replace(
        plan,
        stored=plan.trials - sum(not trial.stored for trial in left),
        features=tuple(needs),
        cost=cost_of(left, needs, manifest, store),
    )


def _feature_json(need: FeatureNeed) -> dict[str, Any]:
    return {
        "backbone": need.backbone.name,
        "weights": need.backbone.weights,
        "trained": not need.backbone.frozen,
        "images": len(need.rows),
        "missing": need.missing,
        "bytes_to_write": need.bytes_to_write,
    }


def _cost_json(cost: Cost) -> dict[str, Any]:
    return {
        "trial_flops": cost.trial_flops,
        "feature_flops": cost.feature_flops,
        "feature_bytes": cost.feature_bytes,
        "trial_bytes": cost.trial_bytes,
        "model_bytes": cost.model_bytes,
        "seconds": cost.seconds,
        "training_bytes": cost.training_bytes,
        "sampled": cost.sampled,
    }


def _tuning_json(tuning: TuningCost) -> dict[str, Any]:
    return {
        "algorithm": tuning.algorithm,
        "metric": tuning.metric,
        "proposals": tuning.proposals,
        "epochs": tuning.epochs,
        "tuning_trials": tuning.tuning_trials,
        "winner_trials": tuning.winner_trials,
        "answered": tuning.answered,
    }
