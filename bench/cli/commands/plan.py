"""`bench plan`: what a run would do and cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.console import out, print_json
from bench.cli.options import (
    CACHE,
    RESULTS,
    AsJson,
    Backend,
    Cache,
    Data,
    KeepModels,
    Only,
    Profile,
    Results,
    ScaleToData,
    Set,
    Study,
    UntilSettled,
    study_request,
)
from bench.cli.render import plain_grid, plain_table
from bench.report.units import disk_size, duration, operations

if TYPE_CHECKING:
    from bench.engine.study_plan import StudyPlan
    from bench.store.plan import Cost, FeatureNeed
    from bench.tuning.winners import TuningCost

app = typer.Typer()


@app.command(epilog="Example:\n\n  bench plan mask_gate --data /data/DeepFashion")
def plan(
    study: Study,
    data: Data = None,
    profile: Profile = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    only: Only = None,
    settings: Set = None,
    until_settled: UntilSettled = False,
    backend: Backend = None,
    keep_models: KeepModels = None,
    scale: ScaleToData = False,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, and do nothing."""
    from bench.engine.study_plan import plan_study

    request = study_request(
        study, data, profile, only, settings, until_settled, backend, keep_models, scale
    )
    found = plan_study(request, results, cache)
    if as_json:
        print_json(found.to_json())
    else:
        print_plan(out, found)


def print_plan(console: Console, plan: StudyPlan) -> None:
    """Print a plan for a person."""
    study = plan.design.study
    console.print(f"[bold]{study.name}[/]  {escape(study.title)}")
    grid = plain_grid()
    for name, value in (*_design_rows(plan), *_work_rows(plan)):
        grid.add_row(f"  {name}", escape(value))
    console.print(grid)
    counted = any(arm.trials is not None for arm in plan.arms_shown)
    table = plain_table(("arm", *(["in the store"] if counted else [])), numeric=("in the store",))
    for arm in plan.arms_shown:
        table.add_row(escape(arm.name), *([f"{arm.stored} of {arm.trials}"] if counted else []))
    console.print(table)
    if plan.arms > len(plan.arms_shown):
        console.print(f"  ... and {plan.arms - len(plan.arms_shown):,} more arms")


def _design_rows(plan: StudyPlan) -> Iterator[tuple[str, str]]:
    from bench.study.study import DesignKind

    design = plan.design
    yield "data", plan.data
    yield from (("note", note) for note in plan.resolved.notes)
    yield "profile", f"{design.profile}: {plan.profile_description}"
    resolution = f", resolution {design.resolution}" if design.resolution else ""
    yield "design", f"{design.kind}{resolution}, control: {design.control.name}"
    of_grid = ""
    if design.kind in (DesignKind.FRACTIONAL, DesignKind.RANDOM):
        of_grid = f" of a grid of {design.grid_size:,} cells"
    yield "arms", f"{plan.arms:,}{of_grid}"
    if design.until is None:
        yield "seeds", f"{len(design.seeds)}"
    else:
        yield (
            "seeds",
            f"{design.until.first} at the first look, {design.until.most} at most, until it is "
            f"settled by {design.until.metric}; the trials below are those of the first look",
        )
        yield from _expected_rows(plan)
    if plan.tuning is not None:
        yield "tuning", _tuning_text(plan.tuning)
    counted = ""
    if plan.stored is not None:
        counted = f", {plan.stored:,} in the store, {plan.trials - plan.stored:,} to train"
    yield "trials", f"{plan.trials:,}{counted}"


def _expected_rows(plan: StudyPlan) -> Iterator[tuple[str, str]]:
    """Seeds to expect at some true differences; the first look's trials say how much seeds vary."""
    from bench.metrics.catalogue import COMPARED

    assert plan.design.until is not None, "a study of fixed seeds is not simulated"
    metric = COMPARED[plan.design.until.metric]
    if not plan.expected:
        yield "to expect", "known after the first look, which shows how much seeds vary"
        return
    each = [
        f"{found.difference * metric.scale:g}: about {found.seeds:.0f} seeds, {found.settled:.0%}"
        for found in plan.expected
    ]
    yield (
        "to expect",
        f"if arms truly differ by, seeds each, and share settled: {'; '.join(each)} (simulated at "
        "the spread of the stored trials)",
    )


def _work_rows(plan: StudyPlan) -> Iterator[tuple[str, str]]:
    yield from (_feature_row(need) for need in plan.features)
    cost = plan.cost
    if cost is None:
        return
    sampled = f" (from {cost.sampled:,} trials chosen at random)" if cost.sampled else ""
    yield (
        "operations",
        f"{operations(cost.trial_flops)} of training, {operations(cost.feature_flops)} of "
        f"features{sampled}",
    )
    yield (
        "disk",
        f"{disk_size(cost.feature_bytes)} of features, {disk_size(cost.trial_bytes)} of records"
        + (f", {disk_size(cost.model_bytes)} of trained weights" if cost.model_bytes else ""),
    )
    if cost.training_bytes != 0:
        yield "GPU memory", _memory_text(cost.training_bytes)
    if plan.stored != plan.trials:
        yield "time", _time_text(cost)


def _memory_text(trial_bytes: float | None) -> str:
    """What the largest trial takes of a GPU, and how many of them fit on this machine's."""
    from bench.engine.memory import LOWER
    from bench.engine.resources import gpu_bytes, trials_a_gpu

    if trial_bytes is None:
        return "not known for a trial of this backbone in training"
    text, memory = f"about {disk_size(trial_bytes)} a trial at most", gpu_bytes()
    if memory is None:
        return text
    fit = trials_a_gpu(trial_bytes, memory)
    if not fit:
        return f"{text}, more than this machine's GPU of {disk_size(memory)} has; {LOWER}"
    return f"{text}: {fit} at a time on a GPU of {disk_size(memory)} (`--gpus-per-trial auto`)"


def _feature_row(need: FeatureNeed) -> tuple[str, str]:
    backbone = need.backbone
    return (
        f"{'features of' if backbone.frozen else 'pixels for'} {backbone.name}",
        f"weights {backbone.weights}: {len(need.rows):,} images shared by all trials, "
        f"{need.missing:,} to extract, {disk_size(need.bytes_to_write)}",
    )


def _time_text(cost: Cost) -> str:
    if cost.seconds is None:
        return "not known: no finished trial in the store is like these"
    return (
        f"about {duration(cost.seconds)} of training, one trial after another, at the rate of "
        "those in the store"
    )


def _tuning_text(tuning: TuningCost) -> str:
    budget = (("proposals", tuning.proposals), ("epochs", tuning.epochs))
    each = " or ".join(f"{number:,} {what}" for what, number in budget if number)
    return (
        f"{tuning.algorithm}, {each} per arm, judged by {tuning.metric}: at most "
        f"{tuning.tuning_trials:,} trials, {tuning.answered:,} proposals answered; then "
        f"{tuning.winner_trials:,} trials of the winners"
    )
