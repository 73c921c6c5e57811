"""Checks what a study asks: that its margins, answers and looks are of arms that it has."""

from __future__ import annotations

from bench.errors import BenchError
from bench.files.yaml import did_you_mean
from bench.metrics.catalogue import metric_named
from bench.study.design import COMPARED_ARMS, Design

FOUND_BY = {"landmarks": "has_landmarks", "detections": "of_items"}
"""What a metric requires -> what says of a system's settings that it has it."""


def check_question(design: Design) -> None:
    """Check that a study's margins, answers and looks can have an effect.

    Raises:
        BenchError: With file, line and column of one that cannot.
    """
    _check_margins(design)
    _check_answers(design)
    if design.until is None:
        return
    why = None
    if design.tuning is not None:
        why = "a tuned study has fixed seeds: each arm's search would have to wait for its looks"
    elif design.arm_count > COMPARED_ARMS:
        why = (
            f"a study that goes on until it is settled has at most {COMPARED_ARMS:,} arms; this "
            f"one has {design.arm_count:,}"
        )
    elif len({arm.spec.arithmetic for arm in design.arms()} - {None}) > 1:
        why = (
            "arms in several arithmetics, or on several backends, are trained by other processes, "
            "and cannot be looked at together"
        )
    if why is not None:
        where = str(design.source.where(("seeds",)))
        raise BenchError(why, where=where, fix=f"seeds: {len(design.seeds)}")
    metric = design.until.metric
    if not _has(design, metric):
        raise BenchError(
            f"no arm has {metric}, which is to settle it: {_lacking(metric)}",
            where=str(design.source.where(("seeds", "metric"))),
            fix="metric: accuracy",
        )


def _check_margins(design: Design) -> None:
    margin = design.study.margin
    for metric in margin if isinstance(margin, dict) else ():
        if not _has(design, metric):
            raise BenchError(
                f"no arm has {metric}: {_lacking(metric)}",
                where=str(design.source.where(("margin", metric))),
                fix="leave that margin out",
            )


def _lacking(metric: str) -> str:
    needed = metric_named(metric).requires
    return "none detects garments" if needed == "detections" else "none finds landmarks"


def _has(design: Design, metric: str) -> bool:
    needed = metric_named(metric).requires
    if needed not in FOUND_BY or design.arm_count > COMPARED_ARMS:
        return True
    return any(getattr(arm.spec.model, FOUND_BY[needed]) for arm in design.arms())


def _check_answers(design: Design) -> None:
    """An answer for an arm that is not there would never be given."""
    overlay = design.study.profiles.get(design.profile)  # type: ignore[call-overload]
    if overlay is not None and (overlay.axes or overlay.design):
        return  # the profile has other arms; the study's own are checked without it
    known = [arm.name for arm in design.arms()] if design.study.answers else []
    for name in design.study.answers:
        if name not in known:
            raise BenchError(
                f"an answer is about the arm `{name}`, which the study does not have",
                where=str(design.source.where(("answers", name))),
                fix=did_you_mean(name, known, f"its arms: {'; '.join(known[:20])}"),
            )
        if name == design.control.name:
            raise BenchError(
                f"an answer is about `{name}`, which the other arms are compared with",
                where=str(design.source.where(("answers", name))),
                fix="name another arm",
            )
