"""Tables of landmarks: how well each arm finds them, where it fails, and what others published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.analysis.arms import Arm
from bench.analysis.landmarks import THRESHOLDS, estimate, predicted_landmarks
from bench.data.manifest import CLOTHES_TYPES, LANDMARKS
from bench.metrics.catalogue import LANDMARK_ERROR
from bench.paper.published import PublishedRow, PublishedTable, published
from bench.report.cells import Measured, Printed, Table
from bench.report.tables.published import caveat
from bench.store.record import Landmarks
from bench.store.studies import StudyRecord

QUOTED = ("landmark_error", "landmark_detection")
"""Published tables of landmarks, none of them measured here."""

MOST_ARMS = 100
"""Of a larger study, only the control and so many more arms are looked at in detail."""

DETECTION: dict[str, dict[str, Any]] = {
    "NE": {},
    "NE (soft-arg-max)": {"soft": True},
    **{f"PDL % < {t:g}": {"threshold": t} for t in THRESHOLDS["image"]},
    "garment: error": {"size": "garment"},
    **{
        f"garment: PDL % < {t:g}": {"size": "garment", "threshold": t}
        for t in THRESHOLDS["garment"]
    },
}
"""Column head -> what is estimated."""

BY_LANDMARK: dict[str, dict[str, Any]] = {
    **{name.capitalize(): {"landmark": channel} for channel, name in enumerate(LANDMARKS)},
    **{name.capitalize(): {"kind": kind} for kind, name in CLOTHES_TYPES.items()},
}

PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    LANDMARK_ERROR.name: (LANDMARK_ERROR.short, {}),
    **{
        f"pck_{name.replace(' ', '_')}": (
            f"PCK@0.2 % {name}",
            {"size": "garment", "threshold": 0.2, "kind": kind},
        )
        for kind, name in CLOTHES_TYPES.items()
    },
}
"""Metric of the published tables -> its column head, and what is estimated."""


def landmark_tables(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Table]:
    """A study's tables of landmarks; none for a study without them.

    Args:
        study: The study's record.
        arms: Its arms as measured.
    """
    ordered = sorted(arms, key=lambda arm: arm.name != study.control)
    able = [arm for arm in ordered if arm.has_landmarks]
    detection, by_landmark = [], []
    systems: dict[str, tuple[str, list[Landmarks], float | None]] = {}
    for arm in able[:MOST_ARMS]:
        # One arm at a time: a large study's landmarks would not fit into memory.
        by_seed = predicted_landmarks(arm)
        if not by_seed:
            continue
        detection.append(_row(arm, by_seed, DETECTION))
        by_landmark.append(_row(arm, by_seed, BY_LANDMARK))
        trial = next(iter(arm.trials.values()))
        system = str(trial.spec.get("model", {}).get("kind"))
        systems.setdefault(system, (arm.name, by_seed, arm.mean_position_error))
    if not detection:
        return
    name, left_out = study.name, len(able) - MOST_ARMS
    more = f" {left_out} arms more are not shown." if left_out > 0 else ""
    yield Table(
        f"{name}.detection",
        "Landmarks: error and detection",
        "Visible landmarks alone, each weighing the same whatever image it is in (the table before "
        "this one weighs images). NE: distance as a share of the image's width and height. "
        "Garment: distance in pixels over the longer side of the box around the garment's "
        "annotated landmarks. PDL: percentage of detected landmarks, those nearer than the "
        "threshold. Places are the pixel maps' arg-max, or what a pose branch says; soft-arg-max "
        f"is the maps' expected place. A dash: not in the record.{more}",
        ("arm", *DETECTION),
        tuple(detection),
    )
    yield Table(
        f"{name}.by_landmark",
        "Landmarks: error by landmark and by clothes type",
        "NE of visible landmarks: distance as a share of the image's width and height; lower is "
        f"better.{more}",
        ("arm", *BY_LANDMARK),
        tuple(by_landmark),
    )
    if len(systems) > 1:
        for key in QUOTED:
            found = _beside_published(study, list(systems.values()), published()[key])
            yield replace(found, note=found.note.rstrip() + caveat(study, able))


def _row(
    arm: Arm, by_seed: Sequence[Landmarks], columns: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """An arm's estimates, those of a share in percent."""
    return {"arm": arm.name} | {
        head: Measured(estimate(by_seed, **what), "threshold" in what)
        for head, what in columns.items()
    }


def _beside_published(
    study: StudyRecord,
    systems: Sequence[tuple[str, Sequence[Landmarks], float | None]],
    table: PublishedTable,
) -> Table:
    """What one arm of each system scores beside figures that are quoted."""
    scale = 1.0 if table.key == "landmark_error" else 100.0
    columns = {metric: PUBLISHED[metric] for metric in table.metrics}
    here = f"measured here, on {study.data.label}"
    rows: list[dict[str, Any]] = [
        {"row": name, "source": here}
        | {head: Measured(estimate(by_seed, **what), scale != 1) for head, what in columns.values()}
        for name, by_seed, _ in systems
    ]
    bound = systems[0][2]
    if bound is not None and LANDMARK_ERROR.name in columns:
        rows.append(
            {"row": "always the mean position", LANDMARK_ERROR.short: bound, "source": here}
        )
    rows += [
        {"row": row.name, "source": f"quoted: {row.quoted_from}"}
        | {head: _printed(row, metric, scale) for metric, (head, _) in columns.items()}
        for row in table.rows
    ]
    return Table(
        f"{study.name}.{table.key}",
        table.title,
        table.note,
        ("row", *(head for head, _ in columns.values()), "source"),
        tuple(rows),
    )


def _printed(row: PublishedRow, metric: str, scale: float) -> Printed:
    """A quoted figure; in a column of percent, one printed as a fraction is shown as percent."""
    value = round(scale * row.values[metric], 6)
    return Printed(row.printed[metric] if scale == 1 else f"{value:g}", value)
