"""A tuned study's tables, and what a reader must know of its searches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.analysis.arms import Arm
from bench.analysis.tuning import FEWEST_PROPOSALS, coordinate, importances
from bench.metrics.catalogue import metric_named
from bench.report.cells import Table, Trials
from bench.report.drawing import count
from bench.report.tables.arms import measured
from bench.store.searches import Search
from bench.store.studies import RecordedTuning, StudyRecord
from bench.study.tuning import EPOCHS

EDGE = 0.02
"""A best setting within this share of a range's end says that the range is too narrow."""


def tuning_tables(study: StudyRecord, arms: Sequence[Arm]) -> list[Table]:
    """Each arm's best setting beside its test, and the importance of each setting.

    Args:
        study: Its record.
        arms: Its arms as measured, with their searches.
    """
    tuned = [(arm, arm.search) for arm in arms if arm.search is not None]
    if study.tuning is None or not tuned:
        return []
    tables = [_winners(study.name, study.tuning, tuned)]
    rows = list(_importance_rows(study.tuning, tuned))
    if rows:
        tables.append(
            Table(
                f"{study.name}.importance",
                "Importance of each setting",
                "Loss of R² of a random forest, fitted to an arm's proposals, when a setting's "
                "values are shuffled among them (permutation importance, mean and standard "
                "deviation of 30 shuffles). Explained: the forest's R² on proposals that it has "
                "not seen; at or below 0 it has learned nothing, and the importances mean nothing. "
                f"For arms with at least {FEWEST_PROPOSALS} scored proposals.",
                ("arm", "setting", "importance", "deviation", "explained"),
                tuple(rows),
            )
        )
    return tables


def _winners(name: str, tuning: RecordedTuning, tuned: Sequence[tuple[Arm, Search]]) -> Table:
    metric = metric_named(tuning.metric)
    validation, test = f"validation {metric.label}", f"test {metric.label}"
    rows: list[dict[str, Any]] = []
    for arm, search in tuned:
        best = search.best() if search.complete else None
        score: float | str | None = None if best is None else best.score
        if isinstance(score, float) and metric.percent:
            score = f"{metric.scale * score:.1f}"
        rows.append(
            {
                "arm": arm.name,
                "setting": "–" if best is None else _point(best.values, best.epochs),
                "proposals": _counts(search),
                "epochs": search.spent,
                validation: score,
                test: measured(arm, metric),
            }
        )
    return Table(
        f"{name}.tuned",
        "Each arm at its best",
        f"{how_tuned(tuning)} The validation score is that of the best of many, and so too good; "
        "the test is at seeds that no proposal has seen, on images that were not looked at before "
        "every arm's setting was fixed, with a 95 % interval over seeds and test images.",
        ("arm", "setting", "proposals", "epochs", validation, test),
        tuple(rows),
    )


def how_tuned(tuning: RecordedTuning) -> str:
    """How a study was tuned, in a sentence."""
    seeds = ", ".join(str(seed) for seed in tuning.seeds)
    return (
        f"{tuning.algorithm.capitalize()} search by KerasTuner, the same budget for every arm; "
        f"proposals are judged by {tuning.metric} on the validation images, mean over tuning "
        f"seeds {seeds}."
    )


def _counts(search: Search) -> Trials:
    failed = sum(p.error is not None for p in search.proposals)
    planned = search.content["budget"]["proposals"] or len(search.proposals)
    return Trials(sum(p.answered for p in search.proposals), planned, failed)


def _point(values: Mapping[str, Any], epochs: int | None) -> str:
    trained = dict(values) if epochs is None else {**values, EPOCHS: epochs}
    parts = (f"{path.rsplit('.', 1)[-1]} {short(value)}" for path, value in trained.items())
    return ", ".join(parts)


def short(value: Any) -> str:
    """A setting's value as a table has room for."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def _importance_rows(
    tuning: RecordedTuning, tuned: Sequence[tuple[Arm, Search]]
) -> Iterator[dict[str, Any]]:
    for arm, search in tuned:
        # A point that was proposed twice is one observation.
        whole = list({p.trials: p for p in reversed(search.whole())}.values())
        scores = [float("nan") if p.score is None else p.score for p in whole]
        for found in importances([p.values for p in whole], scores, tuning.space):
            yield {
                "arm": arm.name,
                "setting": found.path,
                "importance": found.mean,
                "deviation": found.spread,
                "explained": found.explained,
            }


def tuning_warnings(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[str]:
    """What a reader must know of a study's searches.

    Args:
        study: Its record.
        arms: Its arms as measured, with their searches.
    """
    tuning = study.tuning
    if tuning is None:
        return
    searches = {arm.name: arm.search for arm in arms if arm.search is not None}
    for arm in tuning.searches:
        search = searches.get(arm)
        if search is None or not search.complete:
            done = 0 if search is None else sum(p.answered for p in search.proposals)
            yield f"{arm}: the search is not complete ({count(done, 'proposal')} answered)."
            continue
        failed = [p for p in search.proposals if p.error is not None]
        if failed:
            yield (
                f"{arm}: {len(failed)} of {count(len(search.proposals), 'proposal')} failed and "
                f"count as tried; the first: {failed[0].error}."
            )
        repeated = len(search.proposals) - len({(p.trials, p.epochs) for p in search.proposals})
        if repeated:
            yield (
                f"{arm}: {repeated} of {count(len(search.proposals), 'proposal')} repeated an "
                "earlier one, and told nothing new."
            )
        for path, value in _at_an_edge(tuning.space, search):
            yield (
                f"{arm}: the best {path}, {short(value)}, lies at the end of its range; the best "
                "there is may lie beyond."
            )
    complete = {arm: search for arm, search in searches.items() if search.complete}
    early = [arm for arm, search in complete.items() if _ended_early(search)]
    for arm in early:
        yield (
            f"{arm}: the search ended after {count(len(complete[arm].proposals), 'proposal')}, "
            f"before its budget was spent: {complete[arm].ended}."
        )
    if not early and len({search.spent for search in complete.values()}) > 1:
        yield "The arms had the same number of proposals, and not the same number of epochs."
    if tuning.algorithm == "hyperband":
        whole = next(iter(searches.values()), None)
        stopped = 0 if whole is None else len(whole.proposals) - len(whole.whole())
        yield (
            f"Hyperband stopped early: {stopped} of each arm's proposals were judged on partial "
            "training, at the same rungs for every arm, and a setting that starts slowly may have "
            "been lost. Only those that were trained for all epochs could win. Each rung trains "
            "from the first epoch."
        )


def _ended_early(search: Search) -> bool:
    budget = search.content["budget"]
    if budget["epochs"] is not None:
        return bool(search.spent < budget["epochs"])
    return len(search.proposals) < (budget["proposals"] or 0)


def _at_an_edge(space: Mapping[str, Any], search: Search) -> Iterator[tuple[str, Any]]:
    best = search.best()
    for path, value in (best.values if best else {}).items():
        if space[path]["kind"] != "choice" and not EDGE < coordinate(space[path], value) < 1 - EDGE:
            yield path, value
