"""A tuned study's part of the report: best settings, expected best against budget, the space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.analysis.tuning import (
    FEWEST_PROPOSALS,
    best_so_far,
    coordinate,
    expected_best,
    importances,
)
from bench.report.cells import Measured, Table, Trials
from bench.report.drawing import Figure, about, colours_of, count, literal, set_style
from bench.report.tables import PERCENT
from bench.searches import Search

Searches = Mapping[str, Search]
EDGE = 0.02
"""A best setting within this share of a range's end says that the range is too narrow."""


def tuning_tables(study: dict[str, Any], searches: Searches, arms: Sequence[Arm]) -> list[Table]:
    """Each arm's best setting beside its test, and the importance of each setting.

    Args:
        study: Its record.
        searches: Its searches by arm; empty for a study that is not tuned.
        arms: Its arms as measured.
    """
    if not searches:
        return []
    tables = [_winners(study, searches, arms)]
    rows = list(_importance_rows(study, searches))
    if rows:
        tables.append(
            Table(
                f"{study['name']}.importance",
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


def _winners(study: dict[str, Any], searches: Searches, arms: Sequence[Arm]) -> Table:
    metric = study["tuning"]["metric"]
    percent = metric in PERCENT
    head = PERCENT.get(metric, metric)
    validation, test = f"validation {head}", f"test {head}"
    rows: list[dict[str, Any]] = []
    for arm in arms:
        search = searches.get(arm.name)
        if search is None:
            continue
        best = search.best() if search.complete else None
        score = None if best is None or best.score is None else best.score
        rows.append(
            {
                "arm": arm.name,
                "setting": "–" if best is None else _point(best.values, best.epochs),
                "proposals": _counts(search),
                "epochs": search.spent,
                validation: None if score is None else f"{100 * score:.1f}" if percent else score,
                test: Measured(arm.estimate(metric), percent),
            }
        )
    return Table(
        f"{study['name']}.tuned",
        "Each arm at its best",
        f"{_how(study)} The validation score is that of the best of many, and so too good; the "
        "test is at seeds that no proposal has seen, on images that were not looked at before "
        "every arm's setting was fixed, with a 95 % interval over seeds and test images.",
        ("arm", "setting", "proposals", "epochs", validation, test),
        tuple(rows),
    )


def _how(study: dict[str, Any]) -> str:
    tuning = study["tuning"]
    seeds = ", ".join(str(seed) for seed in tuning["seeds"])
    return (
        f"{tuning['algorithm'].capitalize()} search by KerasTuner, the same budget for every arm; "
        f"proposals are judged by {tuning['metric']} on the validation images, mean over tuning "
        f"seeds {seeds}."
    )


def _counts(search: Search) -> Trials:
    failed = sum(p.error is not None for p in search.proposals)
    planned = search.content["budget"]["proposals"] or len(search.proposals)
    return Trials(sum(p.answered for p in search.proposals), planned, failed)


def _point(values: Mapping[str, Any], epochs: int | None) -> str:
    parts = [f"{path.rsplit('.', 1)[-1]} {_short(value)}" for path, value in values.items()]
    if epochs is not None and "train.epochs" not in values:
        parts.append(f"epochs {epochs}")
    return ", ".join(parts)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def _importance_rows(study: dict[str, Any], searches: Searches) -> Iterator[dict[str, Any]]:
    for arm, search in searches.items():
        whole = search.whole()
        scores = [float("nan") if p.score is None else p.score for p in whole]
        for found in importances([p.values for p in whole], scores, study["tuning"]["space"]):
            yield {
                "arm": arm,
                "setting": found.path,
                "importance": found.mean,
                "deviation": found.spread,
                "explained": found.explained,
            }


def tuning_warnings(study: dict[str, Any], searches: Searches) -> Iterator[str]:
    """What a reader must know of a study's searches.

    Args:
        study: Its record.
        searches: Its searches by arm; empty for a study that is not tuned.
    """
    tuning = study.get("tuning")
    if tuning is None:
        return
    for arm in tuning["searches"]:
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
        for path, value in _at_an_edge(tuning["space"], search):
            yield (
                f"{arm}: the best {path}, {_short(value)}, lies at the end of its range; the best "
                "there is may lie beyond."
            )
    spent = {(len(s.proposals), s.spent) for s in searches.values() if s.complete}
    if len({proposals for proposals, _ in spent}) > 1 and tuning["algorithm"] != "random":
        yield "The arms did not have the same number of proposals."
    elif len({epochs for _, epochs in spent}) > 1:
        yield "The arms had the same budget of proposals, and not the same number of epochs."
    if tuning["algorithm"] == "hyperband":
        whole = next(iter(searches.values()), None)
        stopped = 0 if whole is None else len(whole.proposals) - len(whole.whole())
        yield (
            f"Hyperband stopped early: {stopped} of each arm's proposals were judged on partial "
            "training, at the same rungs for every arm, and a setting that starts slowly may have "
            "been lost. Only those that were trained for all epochs could win. Each rung trains "
            "from the first epoch."
        )


def _at_an_edge(space: Mapping[str, Any], search: Search) -> Iterator[tuple[str, Any]]:
    best = search.best()
    for path, value in (best.values if best else {}).items():
        if space[path]["kind"] != "choice" and not EDGE < coordinate(space[path], value) < 1 - EDGE:
            yield path, value


def tuning_figures(
    study: dict[str, Any], searches: Searches, arms: Sequence[Arm]
) -> Iterator[Figure]:
    """Expected best against budget, and the space, one panel a setting.

    Args:
        study: Its record.
        searches: Its searches by arm; empty for a study that is not tuned.
        arms: Its arms as measured.
    """
    shown = {arm: search for arm, search in searches.items() if search.whole()}
    if not shown:
        return
    set_style()
    colours = colours_of(arms)
    yield _expected(study, shown, colours)
    yield _space(study, shown, colours)


def _expected(study: dict[str, Any], searches: Searches, colours: dict[str, Any]) -> Figure:
    metric, direction = study["tuning"]["metric"], study["tuning"]["direction"]
    scale = 100.0 if metric in PERCENT else 1.0
    label = f"best validation {PERCENT.get(metric, metric)}"
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    rows = []
    for arm, search in searches.items():
        colour, name = colours[arm], literal(arm, 60)
        scores = _scores(search)
        curve = expected_best([s for _, s in scores], direction)
        left.plot(curve.budget, scale * curve.expected, color=colour, lw=2, label=name)
        left.fill_between(
            curve.budget, scale * curve.low, scale * curve.high, color=colour, alpha=0.15, lw=0
        )
        epochs = np.cumsum([p.spent for p in search.proposals])
        found = best_so_far([s for _, s in _scores(search, every=True)], direction)
        right.step(epochs, scale * found, where="post", color=colour, lw=2)
        rows += [
            {"arm": arm, "curve": "expected", "budget": int(n), "best": e, "low": lo, "high": hi}
            for n, e, lo, hi in zip(
                curve.budget, curve.expected, curve.low, curve.high, strict=True
            )
        ]
        rows += [
            {"arm": arm, "curve": "as it went", "budget": int(n), "best": best}
            for n, best in zip(epochs, found, strict=True)
        ]
    left.set(xlabel="proposals", ylabel=label, title="expected")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(xlabel="epochs spent, a tuning seed", title="as it went")
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize="small",
                  loc="center left", bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    figure.tight_layout()
    return Figure(
        f"{study['name']}.expected_best",
        "Expected best validation score against budget",
        "Left: expected best of n proposals and where it falls in 90 of 100 searches (Dodge et al. "
        "2019), from the proposals made"
        + (
            ""
            if study["tuning"]["algorithm"] == "random"
            else ", which were not independent draws here, so that it is about their order alone"
        )
        + ". Where two curves cross, the lead depends on how much was tuned. Right: the best so "
        "far in the order of proposing. A failed proposal counts as the worst. "
        f"{_how(study)} {about(study)}",
        figure,
        pd.DataFrame(rows),
    )


def _scores(search: Search, *, every: bool = False) -> list[tuple[dict[str, Any], float]]:
    """Proposals and their scores, NaN where they failed; those stopped early only where asked."""
    whole = {p.number for p in search.whole()}
    last = max((p.spent for p in search.proposals if p.rung is not None), default=None)
    return [
        (p.values, p.score if p.score is not None and p.number in whole else float("nan"))
        for p in search.proposals
        if every or last is None or p.spent == last
    ]


def _space(study: dict[str, Any], searches: Searches, colours: dict[str, Any]) -> Figure:
    metric, space = study["tuning"]["metric"], study["tuning"]["space"]
    scale = 100.0 if metric in PERCENT else 1.0
    columns = min(len(space), 3)
    lines = -(-len(space) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4 * columns, 3.2 * lines), sharey=True, squeeze=False
    )
    for axis, (path, dimension) in zip(axes.flat, space.items(), strict=False):
        for number, (arm, search) in enumerate(searches.items()):
            best = search.best()
            # Arms side by side where values are single ones.
            shift = (number - (len(searches) - 1) / 2) * 0.5 / len(searches)
            for values, score, star in (
                (p.values, p.score, best is not None and p.number == best.number)
                for p in search.whole()
            ):
                if path in values and score is not None:
                    place = _place(dimension, values[path], shift)
                    axis.plot([place], [scale * score], "*" if star else "o", color=colours[arm],
                              ms=14 if star else 6, alpha=1.0 if star else 0.6,
                              mec="white", zorder=3 if star else 2)  # fmt: skip
        if dimension["kind"] == "choice":
            labels = [literal(_short(value)) for value in dimension["values"]]
            axis.set_xticks(range(len(labels)), labels)
        else:
            axis.set_xscale(dimension["scale"])
            axis.set_xlim(*_ends(dimension))
        axis.set_xlabel(path)
    for axis in axes.flat[len(space) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel(f"validation {PERCENT.get(metric, metric)}")
    handles = [
        plt.Line2D([], [], marker="o", ls="", color=colours[arm], label=literal(arm, 60))
        for arm in searches
    ]
    figure.legend(handles=handles, frameon=False, fontsize="small", loc="center left",
                  bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    figure.tight_layout()
    rows = [
        {"arm": arm, "proposal": p.number + 1, **p.values, "epochs": p.spent, "score": p.score,
         "error": p.error}
        for arm, search in searches.items()
        for p in search.proposals
    ]  # fmt: skip
    return Figure(
        f"{study['name']}.space",
        "Where the proposals lie, and what they scored",
        f"One dot a proposal that was trained for all its epochs, stars: each arm's best. "
        f"{_how(study)} {about(study)}",
        figure,
        pd.DataFrame(rows),
    )


def _place(dimension: Mapping[str, Any], value: Any, shift: float) -> float:
    if dimension["kind"] == "choice":
        return float(dimension["values"].index(value)) + shift
    return float(value)


def _ends(dimension: Mapping[str, Any]) -> tuple[float, float]:
    """A range's ends with a little room."""
    low, high = float(dimension["low"]), float(dimension["high"])
    if dimension["scale"] == "log":
        room = (high / low) ** 0.04
        return low / room, high * room
    room = (high - low) * 0.04
    return low - room, high + room
