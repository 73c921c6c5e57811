"""Tables of landmarks: how well each arm finds them, where it fails, and what others published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.analysis.arms import Arm
from bench.analysis.landmarks import THRESHOLDS, estimate
from bench.data.manifest import CLOTHES_TYPES, LANDMARKS
from bench.paper.published import PublishedRow, PublishedTable, published
from bench.report.cells import Measured, Printed, Table

QUOTED = ("landmark_error", "landmark_detection")
"""Published tables of landmarks, none of them measured here."""


def landmark_tables(study: dict[str, Any], arms: Sequence[Arm]) -> Iterator[Table]:
    """A study's tables of landmarks; none for a study without them.

    Args:
        study: The study's record.
        arms: Its arms as measured.
    """
    placed = [arm for arm in arms if _places(arm)]
    if not placed:
        return
    name = study["name"]
    yield _detection(name, placed)
    yield _by_landmark(name, placed)
    systems = _one_of_each_system(placed, study["control"])
    if len(systems) > 1:
        for key in QUOTED:
            yield _beside_published(study, systems, published()[key])


def _places(arm: Arm) -> bool:
    return bool(arm.trials) and all(t.record.landmarks is not None for t in arm.trials.values())


def _detection(name: str, arms: Sequence[Arm]) -> Table:
    """NE by arg-max and soft-arg-max, and the share of landmarks detected."""
    heads: dict[str, dict[str, Any]] = {
        "NE": {},
        "NE (soft-arg-max)": {"soft": True},
        **{f"PDL % < {t:g}": {"threshold": t} for t in THRESHOLDS["image"]},
        "garment: error": {"size": "garment"},
        **{
            f"garment: PDL % < {t:g}": {"size": "garment", "threshold": t}
            for t in THRESHOLDS["garment"]
        },
    }
    rows = tuple(
        {"arm": arm.name}
        | {
            head: Measured(estimate(arm, **asked), "threshold" in asked)
            for head, asked in heads.items()
        }
        for arm in arms
    )
    return Table(
        f"{name}.detection",
        "Landmarks: error and detection",
        "Visible landmarks alone, each weighing the same whatever image it is in (the table "
        "before this one weighs images). NE: distance as a share of the image's "
        "width and height. Garment: distance in pixels over the longer side of the box around the "
        "garment's annotated landmarks. PDL: percentage of detected landmarks, those nearer than "
        "the threshold. Places are the pixel maps' arg-max, or what a pose branch says; "
        "soft-arg-max is the maps' expected place. A dash: not in the record.",
        ("arm", *heads),
        rows,
    )


def _by_landmark(name: str, arms: Sequence[Arm]) -> Table:
    """NE of every landmark and of every clothes type."""
    rows = tuple(
        {"arm": arm.name}
        | {
            head.capitalize(): Measured(estimate(arm, landmark=channel), False)
            for channel, head in enumerate(LANDMARKS)
        }
        | {
            head.capitalize(): Measured(estimate(arm, kind=kind), False)
            for kind, head in CLOTHES_TYPES.items()
        }
        for arm in arms
    )
    heads = [head.capitalize() for head in (*LANDMARKS, *CLOTHES_TYPES.values())]
    return Table(
        f"{name}.by_landmark",
        "Landmarks: error by landmark and by clothes type",
        "NE of visible landmarks: distance as a share of the image's width and height; lower is "
        "better.",
        ("arm", *heads),
        rows,
    )


def _one_of_each_system(arms: Sequence[Arm], control: str) -> list[Arm]:
    """The control, or the first arm, of each kind of model."""
    first: dict[str, Arm] = {}
    for arm in sorted(arms, key=lambda arm: arm.name != control):
        spec = next(iter(arm.trials.values())).record.spec
        first.setdefault(str(spec.get("model", {}).get("kind")), arm)
    return list(first.values())


def _beside_published(
    study: dict[str, Any], systems: Sequence[Arm], table: PublishedTable
) -> Table:
    """What the systems of a study score beside figures that are quoted."""
    if table.key == "landmark_error":
        asked: dict[str, dict[str, Any]] = {"landmark_ne": {}}
        scale = 1.0
    else:
        asked = {
            f"pck_{name.replace(' ', '_')}": {"size": "garment", "threshold": 0.2, "kind": kind}
            for kind, name in CLOTHES_TYPES.items()
        }
        scale = 100.0
    heads = {metric: HEADS[metric] for metric in table.metrics}
    rows: list[dict[str, Any]] = [
        {"row": arm.name, "source": f"measured here, on {study['data']['label']}"}
        | {head: Measured(estimate(arm, **asked[m]), scale != 1) for m, head in heads.items()}
        for arm in systems
    ]
    bound = next(iter(systems[0].trials.values())).record.data.get("mean_position_error")
    if bound is not None and "landmark_ne" in heads:
        rows.append(
            {
                "row": "always the mean position",
                heads["landmark_ne"]: bound,
                "source": rows[0]["source"],
            }
        )
    rows += [
        {"row": row.name, "source": f"quoted: {row.quoted_from}"}
        | {head: _printed(row, metric, scale) for metric, head in heads.items()}
        for row in table.rows
    ]
    return Table(
        f"{study['name']}.{table.key}",
        table.title,
        table.note,
        ("row", *heads.values(), "source"),
        tuple(rows),
    )


def _printed(row: PublishedRow, metric: str, scale: float) -> Printed:
    """A quoted figure; in a column of percent, one printed as a fraction is shown as percent."""
    value = round(scale * row.values[metric], 6)
    return Printed(row.printed[metric] if scale == 1 else f"{value:g}", value)


HEADS = {
    "landmark_ne": "NE",
    "pck_upper": "PCK@0.2 % upper",
    "pck_lower": "PCK@0.2 % lower",
    "pck_full_body": "PCK@0.2 % full body",
}
"""Metrics of the published tables, and their column heads."""
