"""Tables of landmarks and attributes: what is measured, what is quoted, and in which unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.analysis.arms import Arm, Trial
from bench.metrics.outcomes import Outcomes
from bench.report.cells import Measured, Printed
from bench.report.tables.attributes import attributes_table
from bench.report.tables.landmarks import landmark_tables
from bench.store.record import AttributeRecord, Landmarks, Predictions, TrialRecord
from tests.store.recorded import recorded

IMAGES = np.array([f"{number}.jpg" for number in range(30)], dtype=object)
STUDY = recorded("s", {"RopaNet": {}})


def arm(name: str, kind: str, shift: float, *, placed: bool = True, answered: bool = False) -> Arm:
    rng = np.random.default_rng(0)
    visibility = np.zeros((30, 8), np.int8)
    visibility[:10, 4:6] = visibility[10:20, :4] = -1
    true = rng.random((30, 8, 2)).astype("f4")
    put = Landmarks(IMAGES, visibility, true, true + np.array([shift, 0], "f4"), None,
                    np.full((30, 2), 300, np.int32))  # fmt: skip
    attributes = AttributeRecord(
        IMAGES, tuple("abcd"), np.array([1, 2, 3, 4], np.int8),
        np.where(rng.random((30, 4)) < 0.3, 1, -1).astype("i1"), rng.random((30, 4)).astype("f2"),
    )  # fmt: skip
    said = Predictions(IMAGES, np.zeros(30, int), np.ones((30, 1), "f4"))
    model = {"kind": kind, "attributes": "where_annotated" if answered else "none"}
    about: dict[str, Any] = {"spec": {"model": model}, "data": {"mean_position_error": 0.2},
                             "timings": {}, "environment": {}}  # fmt: skip
    record = TrialRecord(
        name, about["spec"], about["data"], {}, [], said, put if placed else None,
        attributes=attributes if answered else None,
    )  # fmt: skip
    none = np.zeros(30)
    trial = Trial(
        about=about, images=tuple(IMAGES), metrics={}, history={}, gated=False,
        read=lambda: record,
        outcomes=Outcomes(none, none, none, none, none, none if placed else None,
                          lambda: none, lambda: None),
    )  # fmt: skip
    return Arm(name, {}, None, {0: trial, 1: trial}, 2, {})


def tables(*arms: Arm) -> dict[str, Any]:
    return {table.name: table for table in landmark_tables(STUDY, arms)}


def test_measured_rows_stand_beside_quoted_ones_and_are_told_apart() -> None:
    points = arm("FashionNet", "fashionnet", 0.04)
    found = tables(arm("other", "fashionnet", 0.3), points, arm("RopaNet", "ropanet", 0.02),
                   arm("prior", "prior", 0.0, placed=False))  # fmt: skip
    error = found["s.landmark_error"]
    measured = [row for row in error.rows if isinstance(row["NE"], Measured)]
    assert [row["row"] for row in measured] == ["RopaNet", "other"], "one arm of each system"
    assert measured[0]["NE"].estimate.mean == pytest.approx(0.02, abs=1e-6)
    assert all(row["source"].startswith("measured here, on phantom") for row in measured)
    quoted = [row for row in error.rows if isinstance(row["NE"], Printed)]
    assert len(quoted) == 3 and all(row["source"].startswith("quoted: ") for row in quoted)
    assert str(quoted[0]["NE"]) == "0.0813"

    detected = found["s.landmark_detection"].rows
    assert str(detected[-1]["PCK@0.2 % upper"]) == "96.5"
    assert detected[0]["PCK@0.2 % lower"].estimate.mean == 1


def test_errors_are_shown_by_landmark_and_by_clothes_type_and_what_is_not_there_is_a_dash() -> None:
    found = tables(arm("RopaNet", "ropanet", 0.03))
    assert "s.landmark_error" not in found, "a single system is compared with nothing"
    row = found["s.by_landmark"].rows[0]
    assert row["Left collar"].estimate.mean == pytest.approx(0.03, abs=1e-6)
    assert row["Lower"].estimate.images == 30 and row["Upper"].estimate.seeds == 2
    detection = found["s.detection"].rows[0]
    assert str(detection["NE (soft-arg-max)"]) == "–"
    assert detection["PDL % < 0.02"].estimate.mean == 0
    assert detection["PDL % < 0.05"].estimate.mean == 1
    assert not tables(arm("prior", "prior", 0.0, placed=False))


def test_attributes_are_shown_of_the_arms_that_predict_them() -> None:
    arms = [arm("with", "fashionnet", 0, answered=True), arm("without", "fashionnet", 0)]
    table = attributes_table("s", arms)
    assert table is not None
    assert [row["arm"] for row in table.rows] == ["with", "always the commonest attributes"]
    assert table.rows[0]["all top-5 %"].estimate.mean == 1  # of four
    assert table.rows[1]["texture top-3 %"] == 100
    assert attributes_table("s", arms[1:]) is None
