"""The looks at a study that goes on until it is settled: in a line, and as a table."""

from __future__ import annotations

from typing import Any

from bench.analysis.answers import difference_in_words
from bench.metrics.catalogue import COMPARED, Metric
from bench.report.cells import Table
from bench.store.studies import RecordedComparison, StudyRecord

MOST_OPEN = 6
"""Open arms that a line names; it counts the others."""


def look_line(study: StudyRecord) -> str:
    """The last look at a study, such as `mask_gate at 8 seeds: 3 of 5 settled; open: ...`."""
    assert study.until is not None and study.looks, "there has been no look"
    last, metric = study.looks[-1], COMPARED[study.until.metric]
    ends = {name: found for look in study.looks for name, found in look.arms.items()}
    settled = sum(found.settled for found in ends.values())
    open_ = [f"{name} {_difference(found, metric)}" for name, found in ends.items()
             if not found.settled]  # fmt: skip
    line = f"{study.name} at {last.seeds} seeds: {settled} of {len(ends)} settled"
    if not open_:
        return line
    more = len(open_) - MOST_OPEN
    return f"{line}; open in {metric.in_words}: {', '.join(open_[:MOST_OPEN])}" + (
        f" and {more} more" if more > 0 else ""
    )


def looks_in_words(study: StudyRecord) -> str:
    """The looks so far, and those that were planned."""
    assert study.until is not None, "a study of fixed seeds has no looks"
    planned = ", ".join(str(seeds) for seeds in study.until.looks)
    by = COMPARED[study.until.metric].short
    return f"{len(study.looks)} so far, by {by}, of those at {planned} seeds"


def looks_table(study: StudyRecord) -> Table | None:
    """What was known when, a row an arm; None for a study of fixed seeds."""
    if study.until is None or not study.looks:
        return None
    metric = COMPARED[study.until.metric]
    names = list(dict.fromkeys(name for look in study.looks for name in look.arms))
    heads = [f"{look.seeds} seeds" for look in study.looks]
    rows: list[dict[str, Any]] = []
    for name in names:
        seen = [look.arms[name] for look in study.looks if name in look.arms]
        row: dict[str, Any] = {"arm": name, "verdict": seen[-1].verdict}
        for head, look in zip(heads, study.looks, strict=True):
            row[head] = _difference(look.arms[name], metric) if name in look.arms else ""
        rows.append(row)
    return Table(
        f"{study.name}.looks",
        f"Looks, by {metric.short}",
        "Arm minus control at each look, until the arm stopped. Intervals hold the truth at all "
        "looks together in 95 of 100 studies (repeated confidence intervals; the error is spent by "
        "Lan and DeMets' Pocock-like function), so they are wider than those of one look at a "
        "fixed number of seeds. Verdicts are corrected by Holm's method over the arms besides.",
        ("arm", *heads, "verdict"),
        tuple(rows),
    )


def _difference(found: RecordedComparison, metric: Metric) -> str:
    if found.difference is None:
        return "–"
    return difference_in_words(metric, found.difference, found.low, found.high)
