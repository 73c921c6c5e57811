"""A study's record made by hand: what a test does not name has a value of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.store.studies import StudyRecord

LEAST: dict[str, Any] = {
    "title": "A study",
    "description": "",
    "profile": "laptop",
    "profile_description": "small",
    "design": "factorial",
    "axes": [],
    "seeds": [0],
    "reproduces": [],
    "margin": 5.0,
    "bench_version": "0.1.0",
    "semantics": 1,
}
DATA = {"source": "phantom", "label": "phantom (not DeepFashion)", "fingerprint": "f"}


def recorded(
    name: str,
    arms: Mapping[str, Mapping[str, str]],
    data: Mapping[str, Any] | None = None,
    **fields: Any,
) -> StudyRecord:
    """A study's record, from what a file of it would hold.

    Args:
        name: Its name.
        arms: Arm -> seed -> identity of the trial; the first arm is the control.
        data: What to say of the data beside source, label and fingerprint.
        fields: Other keys of the record.
    """
    return StudyRecord.from_json(
        LEAST
        | {"name": name, "data": DATA | dict(data or {}), "control": next(iter(arms), "none")}
        | {"arms": [{"name": n, "levels": {}, "trials": trials} for n, trials in arms.items()]}
        | fields
    )
