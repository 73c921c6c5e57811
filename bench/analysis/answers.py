"""What a study's comparisons say, in a few sentences: the answer to the question that it asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from bench.analysis.arms import EQUIVALENT, Arm, Effect, by_size, controls, effects
from bench.metrics.catalogue import ACCURACY, COMPARED, Metric
from bench.store.studies import StudyRecord
from bench.study.study import Outcome

MOST_NAMED = 8
"""Arms of one verdict that an answer names; it counts the others."""


def answer(study: StudyRecord, arms: Sequence[Arm]) -> list[str]:
    """Answer a study's question by its verdicts.

    Args:
        study: Its record; `answers` says what a verdict on an arm would mean.
        arms: Its arms.

    Returns:
        Sentences: what the settled arms mean that have an answer, then the others by verdict, then
        what is open; none where nothing can be compared.
    """
    metric = COMPARED[study.until.metric] if study.until else ACCURACY
    sentences = []
    for control in controls(list(arms)):
        found = effects(list(arms), control, metric.name, study.margin_in(metric))
        told = [e for e in found if e.settled and study.answers.get(e.arm, {}).get(e.verdict)]
        sentences += [_meaning(study, effect, metric, control) for effect in told]
        others = [effect for effect in by_size(found) if effect not in told]
        sentences += _by_verdict(others, metric, control)
    return sentences


def difference_in_words(metric: Metric, mean: float, low: float | None, high: float | None) -> str:
    """A difference with its interval, as a sentence has it: `-1.2 [-1.9, -0.5]`.

    Args:
        metric: Its metric.
        mean: The difference, as the metric is stored.
        low: Lower end of its interval; None or NaN where there is none.
        high: Upper end.
    """
    digits = 1 if metric.percent else 3
    ends = [end for end in (low, high) if end is not None and math.isfinite(end)]
    shown, *interval = (f"{value * metric.scale:+.{digits}f}" for value in (mean, *ends))
    return f"{shown} [{', '.join(interval)}]" if interval else shown


def _difference(effect: Effect, metric: Metric) -> str:
    found = effect.difference
    return difference_in_words(metric, found.mean, found.low, found.high)


def _beside(verdict: str, control: str) -> str:
    return f"{verdict} {'to' if verdict == EQUIVALENT else 'than'} {control}"


def _meaning(study: StudyRecord, effect: Effect, metric: Metric, control: str) -> str:
    meaning = study.answers[effect.arm][effect.verdict].strip().rstrip(".")
    return (
        f"{meaning[:1].upper()}{meaning[1:]}: {effect.arm} is {_beside(effect.verdict, control)}, "
        f"{_difference(effect, metric)} {_unit(metric)} at {effect.difference.seeds} seeds."
    )


def _by_verdict(found: Sequence[Effect], metric: Metric, control: str) -> list[str]:
    """What has no answer of its own: arms of one verdict in one sentence."""
    sentences = []
    for verdict in get_args(Outcome):
        alike = [effect for effect in found if effect.verdict == verdict]
        if alike:
            said = _beside(verdict.capitalize(), control)
            sentences.append(f"{said} in {metric.in_words}: {_named(alike, metric)}.")
    open_ = [effect for effect in found if not effect.settled]
    if open_:
        sentences.append(f"Open, in {metric.in_words} against {control}: {_named(open_, metric)}.")
    return sentences


def _named(found: Sequence[Effect], metric: Metric) -> str:
    named = [
        f"{effect.arm} {_difference(effect, metric)} at {effect.difference.seeds} seeds"
        for effect in found[:MOST_NAMED]
    ]
    more = len(found) - MOST_NAMED
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _unit(metric: Metric) -> str:
    return f"points of {metric.in_words}" if metric.percent else f"of {metric.in_words}"
