"""Detections, and garments found again in shops' images, beside chance and quoted figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.analysis.arms import Arm
from bench.analysis.intervals import over_seeds
from bench.metrics.catalogue import DETECTION, RETRIEVAL, Metric
from bench.metrics.detection import Detections
from bench.metrics.precision import Kind, average_precision, can_judge
from bench.metrics.retrieval import top
from bench.paper.published import PublishedTable, published
from bench.report.cells import Measured, Printed, Table
from bench.report.tables.arms import measured
from bench.store.studies import StudyRecord

NOTES = {
    "detections": (
        "Detections",
        "Average precision as COCO has it, the mean over the categories; landmarks by their "
        "similarity with DeepFashion2's sigmas, visible ones or all. Intervals count seeds and "
        "images.",
    ),
    "retrieval": (
        "Retrieval in shops",
        "Share of users' garments of which a right detection in a shop's image is among the first "
        "k, on detected boxes; a garment without a detection of its category is missed. Chance: a "
        "random order of the same gallery.",
    ),
}
QUOTED = {"detections": ("detections",), "retrieval": ("retrieval", "retrieval_full")}
"""Table -> the published tables that stand in it."""

GRADES = {
    "scale": ("small", "moderate", "large"),
    "occlusion": ("slight", "medium", "heavy"),
    "zoom_in": ("none", "medium", "large"),
    "viewpoint": ("not worn", "frontal", "side or back"),
}
HEADS: dict[Kind, str] = {
    "box": "box AP %", "mask": "mask AP %", "landmark": "landmark (visible) AP %",
}  # fmt: skip


def detection_tables(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Table]:
    """Average precision of boxes, masks and landmarks; and retrieval, beside chance."""
    for name, metrics in (("detections", DETECTION), ("retrieval", RETRIEVAL)):
        able = [arm for arm in arms if _has(arm, metrics)]
        if not able:
            continue
        here = f"measured here, on {study.data.label}"
        rows: list[dict[str, Any]] = [
            {"row": arm.name, "source": here}
            | {metric.label: measured(arm, metric) for metric in metrics.values()}
            for arm in able
        ]
        quoted = [published()[key] for key in QUOTED[name]]
        rows += [row for table in quoted for row in _quoted(table, metrics)]
        title, note = NOTES[name]
        yield Table(
            f"{study.name}.{name}",
            title,
            " ".join([note, *(table.note.strip() for table in quoted)]),
            ("row", *(metric.label for metric in metrics.values()), "source"),
            tuple(rows),
        )


def _has(arm: Arm, metrics: Mapping[str, Metric]) -> bool:
    return any(name in trial.metrics for trial in arm.trials.values() for name in metrics)


def _quoted(table: PublishedTable, metrics: Mapping[str, Metric]) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        cells = {
            metrics[name].label: Printed(f"{100 * value:.1f}", round(100 * value, 6))
            for name, value in row.values.items()
        }
        yield {"row": row.name, "source": f"quoted: {row.quoted_from}"} | cells


def subsets_table(study: StudyRecord, arms: Sequence[Arm]) -> Table | None:
    """The control's detections and retrieval among garments of each grade."""
    control = next((arm for arm in arms if arm.name == study.control), None)
    if control is None or not _has(control, DETECTION) or not can_judge():
        return None
    known = [
        (detections, top(ranks, 20))
        for outcomes in (trial.outcomes for trial in control.trials.values())
        if (detections := outcomes.detections()) is not None
        and (ranks := outcomes.retrieval_ranks) is not None
    ]
    rows = [
        {"row": f"{name.replace('_', '-')} {value}: {meaning}"} | _of_grade(known, name, value)
        for name, meanings in GRADES.items()
        for value, meaning in enumerate(meanings, start=1)
    ]
    return Table(
        f"{study.name}.subsets",
        f"{control.name}: by scale, occlusion, zoom-in and viewpoint",
        "Among garments of one grade; the others are neither asked for nor a fault to find. "
        "Retrieval over the users' garments of the grade. Means and 95 % intervals over seeds. The "
        "published tables of subsets have retrieval over fewer queries, those with more than five "
        "partners.",
        ("row", "garments", *HEADS.values(), "top-20 %"),
        tuple(rows),
    )


def _of_grade(
    known: Sequence[tuple[Detections, np.ndarray]], name: str, value: int
) -> dict[str, Any]:
    """An estimate of each column over seeds, of detections and their garments' top-20 hits."""
    grades = [np.array([i.grades[name] for items in d.truth for i in items]) for d, _ in known]
    cells: dict[str, Any] = {"garments": int((grades[0] == value).sum())}
    for kind, head in HEADS.items():
        of_seeds = [average_precision(d, kind, (name, value))["ap"] for d, _ in known]
        cells[head] = Measured(over_seeds(of_seeds), True)
    hits = [found[g == value] for (_, found), g in zip(known, grades, strict=True)]
    asked = [float(np.nanmean(h)) if np.isfinite(h).any() else float("nan") for h in hits]
    return cells | {"top-20 %": Measured(over_seeds(asked), True)}
