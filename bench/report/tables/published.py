"""The paper's tables rebuilt: every published figure beside what was measured, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.analysis.arms import Arm
from bench.analysis.intervals import Estimate, over_seeds, wilson
from bench.analysis.verdicts import batch_distribution, judge, share_variance
from bench.metrics.catalogue import METRICS, Metric
from bench.metrics.outcomes import Outcomes, outcomes_of
from bench.paper.published import PublishedRow, PublishedTable, no_information, published
from bench.report.cells import Measured, Printed, Table
from bench.report.tables.arms import measured, trials_of
from bench.store.studies import StudyRecord

PUBLISHED_UNIT = {"percent": 1.0, "fraction": 100.0}
NO_INFORMATION = "no information (training frequencies)"
REPRODUCIBLE = ("table_1", "table_2")
RELEASED_BATCH = 4
"""Images whose score the released code prints (ledger rows 3 and 20)."""


def published_table(key: str, arms: Sequence[Arm], study: StudyRecord | None) -> Table:
    """A published table beside what was measured.

    Args:
        key: `table_1` or `table_2`.
        arms: Arms of the study that reproduces it; empty without one.
        study: That study's record.
    """
    table = published()[key]
    by_name = {arm.name: arm for arm in arms}
    rows = [_published_row(table, row, by_name.get(row.name), study) for row in table.rows]
    rows += _bounds(table, arms)
    heads = [
        f"{kind} {_head(metric)}"
        for metric in table.metrics
        for kind in ("published", "measured", "verdict")
    ]
    about, margin = "", ""
    if study:
        about = f" Measured on: {study.data.label}; profile {study.profile}."
        margin = f" of {study.margin:g} points"
    return Table(
        key,
        f"{table.source}: {table.title.lower()}",
        f"{table.note}{about} Published figures are as printed, never measured here; measured ones "
        "are means with 95 % intervals over seeds and test images (precision: over seeds alone; no "
        "information: over test images alone). Verdicts hold the measured mean against the "
        "published figure, itself one run on its own test images: reproduced where the interval of "
        f"their difference, corrected for all {cells()} published cells, lies within the study's "
        f"margin{margin}; not reproduced where it lies beyond it; else it cannot be told. Not "
        "comparable: other data than DeepFashion's official release, another scale, or another "
        "test set size.",
        ("row", "N published", *heads, "N measured", "test images", "seeds", "source"),
        tuple(rows),
    )


def quoted_table() -> Table:
    """What other works published on the full benchmark, for context."""
    table = published()["context"]
    rows = tuple(_published_row(table, row, None, None) for row in table.rows)
    heads = [f"published {_head(metric)}" for metric in table.metrics]
    return Table("quoted", table.title, table.note, ("row", *heads, "source"), rows)


def cells() -> int:
    """Published cells that can be measured, which the verdicts are corrected for."""
    tables = [published()[key] for key in REPRODUCIBLE]
    return sum(len(t.metrics) for t in tables for row in t.rows if not row.quoted_from)


def protocols_table(arms: Sequence[Arm], study: StudyRecord) -> Table | None:
    """Both protocols side by side: the whole test set, and batches of 4 as the code prints them.

    Args:
        arms: Arms of the study that reproduces Table 1.
        study: Its record.
    """
    table = published()["table_1"]
    by_name = {arm.name: arm for arm in arms}
    rows = [
        {
            "row": row.name,
            "metric": _head(metric),
            "published": Printed(row.printed[metric], 100 * row.values[metric]),
            **_protocols(by_name[row.name], metric),
        }
        for row in table.rows
        for metric in table.metrics
        if row.name in by_name and by_name[row.name].trials
    ]
    if not rows:
        return None
    return Table(
        f"{study.name}.protocols",
        "Table 1 under both protocols",
        "The released code prints the last batch's score alone (ledger row 20). Last batch: the "
        f"last {RELEASED_BATCH} test images, mean over seeds and each seed's. Batches: all whole "
        f"batches of {RELEASED_BATCH} consecutive test images of all seeds, the share that has so "
        f"many hits: what that protocol can print, and how often. Data: {study.data.label}."
        + caveat(study, arms),
        ("row", "metric", "published", "whole test set", "last batch", "by seed", *_batch_heads()),
        tuple(rows),
    )


def _batch_heads() -> list[str]:
    return [f"batches with {hits} of {RELEASED_BATCH}" for hits in range(RELEASED_BATCH + 1)]


def _protocols(arm: Arm, metric: str) -> dict[str, Any]:
    hits = arm.by_seed(metric)
    if hits is None or min(map(len, hits)) < RELEASED_BATCH:
        return {}
    last = 100 * np.array([row[-RELEASED_BATCH:].mean() for row in hits])
    spread = 100 * batch_distribution(hits, RELEASED_BATCH)
    return {
        "whole test set": measured(arm, METRICS[metric]),
        "last batch": f"{last.mean():.1f}",
        "by seed": ", ".join(f"{value:g}" for value in last),
        **{head: f"{share:.1f} %" for head, share in zip(_batch_heads(), spread, strict=True)},
    }


def _published_row(
    table: PublishedTable, printed: PublishedRow, arm: Arm | None, study: StudyRecord | None
) -> dict[str, Any]:
    quoted = f"quoted: {printed.quoted_from}" if printed.quoted_from else table.source
    row: dict[str, Any] = {"row": printed.name, "N published": printed.size, "source": quoted}
    scale = PUBLISHED_UNIT[table.unit]
    for metric in table.metrics:
        text = printed.printed[metric]
        value = round(scale * float(text), 6)
        # Columns are in percent: a fraction as printed, such as .93, is shown as 93.
        row[f"published {_head(metric)}"] = Printed(
            text if table.unit == "percent" else f"{value:g}", value
        )
    if arm is None:
        return row
    row["seeds"] = trials_of(arm)
    if not arm.trials:
        return row
    assert study is not None, "what is measured was measured in a study"
    row |= {"N measured": arm.sizes["train"], "test images": arm.sizes["test"]}
    for metric in table.metrics:
        row[f"measured {_head(metric)}"] = measured(arm, METRICS[metric])
        row[f"verdict {_head(metric)}"] = _verdict(arm, metric, printed, study)
    return row


def _verdict(arm: Arm, metric: str, printed: PublishedRow, study: StudyRecord) -> str:
    data, profile = not_comparable(study, [arm]), study.profile
    if data:
        return f"not comparable ({data})"
    if profile != "paper":
        return f"not comparable (profile {profile})"
    if arm.sizes["test"] != printed.size:
        return f"not comparable ({arm.sizes['test']:,} test images)"
    variance = share_variance(printed.values[metric], _published_images(metric, printed))
    margin = study.margin_in(METRICS[metric]) or 0.0
    found = judge(arm.estimate(metric), printed.values[metric], variance, margin, cells())
    shown = f"{100 * found.difference:+.1f}"
    if np.isfinite(found.low):
        shown += f" [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return f"{found.verdict} ({shown})"


def not_comparable(study: StudyRecord, arms: Sequence[Arm]) -> str:
    """Why measured figures are not held against published ones, by the data alone.

    Args:
        study: The study's record.
        arms: Arms whose trials have their own record of the data.

    Returns:
        Empty for the official release of DeepFashion.
    """
    for trial in (trial for arm in arms for trial in arm.trials.values()):
        if recorded := trial.data.get("release_differences"):
            return replace(study.data, release_differences=tuple(recorded)).not_comparable
    return study.data.not_comparable


def caveat(study: StudyRecord, arms: Sequence[Arm]) -> str:
    """What a table says that shows published figures beside measured ones of other data."""
    reason = not_comparable(study, arms)
    return f" Measured figures are not comparable with published ones ({reason})." if reason else ""


def _head(metric: str) -> str:
    return METRICS[metric].label


def _published_images(metric: str, printed: PublishedRow) -> float:
    """How many test images a published share is one of; for precision, those above 0.5."""
    size = float(printed.size or 0)
    if metric != "precision_pooled":
        return size
    return size * printed.values["recall_pooled"] / printed.values["precision_pooled"]


def _bounds(table: PublishedTable, arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    """The no-information rows: of the paper's data, and of the data in use."""
    bound = no_information(table.metrics)
    if bound:
        yield {
            "row": "always DeepFashion's commonest classes",
            "source": "computed from DeepFashion's class counts",
            **{
                f"published {_head(m)}": Printed(f"{100 * value:.2f}", round(100 * value, 2))
                for m, value in bound.items()
            },
        }
    largest = max(
        (trial for arm in arms for trial in arm.trials.values()),
        key=lambda trial: trial.data["images"]["train"],
        default=None,
    )
    if largest is None:
        return
    counts = np.array(largest.data["train_counts"], np.float64)
    labels = largest.read().predictions.labels.astype(np.int64)
    frequencies = np.tile(counts / counts.sum(), (len(labels), 1))
    outcomes = outcomes_of(frequencies, labels)
    yield {
        "row": NO_INFORMATION,
        "N measured": largest.data["images"]["train"],
        "test images": len(labels),
        "source": "computed from the training frequencies",
        **{
            f"measured {_head(m)}": Measured(_of_constant(METRICS[m], outcomes), True)
            for m in table.metrics
        },
    }


def _of_constant(metric: Metric, outcomes: Outcomes) -> Estimate:
    """A metric of predictions that no seed changes: only the test images vary."""
    if metric.depth is None:
        return over_seeds([value for value in [metric.score(outcomes)] if value is not None])
    hits, n = int((outcomes.ranks < metric.depth).sum()), len(outcomes.ranks)
    low, high = wilson(hits, n)
    nan = float("nan")
    return Estimate(hits / n, low, high, 0, n, nan, nan, nan)
