"""What a study's comparisons say, in a few sentences: the answer to the question that it asks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

from bench.analysis.arms import EQUIVALENT, Arm, Effect, by_size, controls, effects
from bench.analysis.verdicts import CANNOT_TELL
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
    metric = deciding_metric(study)
    sentences = []
    for control, found in deciding_effects(study, arms).items():
        told = [e for e in found if e.settled and study.answers.get(e.arm, {}).get(e.verdict)]
        sentences += [_meaning(study, effect, metric, control) for effect in told]
        others = [effect for effect in by_size(found) if effect not in told]
        sentences += _by_verdict(others, metric, control)
    return sentences


def deciding_metric(study: StudyRecord) -> Metric:
    """The metric that a study is decided by: the one that it goes on by, or accuracy."""
    return COMPARED[study.until.metric] if study.until else ACCURACY


def deciding_effects(study: StudyRecord, arms: Sequence[Arm]) -> dict[str, list[Effect]]:
    """Each control of a study -> the effects against it in the metric that decides."""
    metric = deciding_metric(study)
    margin = study.margin_in(metric)
    return {
        control: effects(list(arms), control, metric.name, margin)
        for control in controls(list(arms))
    }


def in_one_sentence(study: StudyRecord, arms: Sequence[Arm]) -> str:
    """What a study found: what its settled arms mean, or else how many arms have which verdict.

    Args:
        study: Its record.
        arms: Its arms.

    Returns:
        A sentence with the interval that it stands on.
    """
    metric = deciding_metric(study)
    by_control = deciding_effects(study, arms)
    found = [effect for each in by_control.values() for effect in each]
    if not found:
        return f"Nothing can be compared with {study.control} yet."
    against = study.control if len(by_control) == 1 else "their controls"
    asked = [effect for effect in found if effect.arm in study.answers]
    told = [
        f"{_clause(says)} ({effect.arm} {_difference(effect, metric)})"
        for effect in asked
        if (says := study.answers[effect.arm].get(effect.verdict))
    ]
    if told:
        open_ = ", ".join(effect.arm for effect in asked if not effect.settled)
        said = _capital("; ".join(told)) + f", in {_unit(metric)} against {against}"
        return f"{said}; open: {open_}." if open_ else f"{said}."
    first = by_size(found)[0]
    size = f"{_difference(first, metric)} {_unit(metric)}"
    if len(found) == 1:
        how = (
            f"is {_beside(first.verdict, against)}"
            if first.settled
            else f"cannot be told from {against}"
        )
        return f"{first.arm} {how}: {size}."
    return f"{_counted(found, against)}; the largest difference is that of {first.arm}, {size}."


def _counted(found: Sequence[Effect], against: str) -> str:
    (how, _), *others = counts = [*tally(found).items()]
    if others:
        each = [
            f"{n} {'is' if n == 1 else 'are'} {'open' if how == CANNOT_TELL else how}"
            for how, n in counts
        ]
        return f"Of {len(found)} compared with {against}, {' and '.join(each)}"
    if how == CANNOT_TELL:
        return f"None of {len(found)} can be told from {against}"
    return f"All {len(found)} are {_beside(how, against)}"


def tally(found: Iterable[Effect]) -> dict[str, int]:
    """How many effects have which verdict; those that are not settled are `cannot tell`."""
    counts = Counter(effect.verdict if effect.settled else CANNOT_TELL for effect in found)
    return {how: counts[how] for how in (*get_args(Outcome), CANNOT_TELL) if counts[how]}


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
    meaning = _capital(_clause(study.answers[effect.arm][effect.verdict]))
    return (
        f"{meaning}: {effect.arm} is {_beside(effect.verdict, control)}, "
        f"{_difference(effect, metric)} {_unit(metric)} at {effect.difference.seeds} seeds."
    )


def _clause(text: str) -> str:
    """What a study's file says a verdict would mean, as a part of a sentence."""
    return text.strip().rstrip(".")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _by_verdict(found: Sequence[Effect], metric: Metric, control: str) -> list[str]:
    """What has no answer of its own: arms of one verdict in one sentence."""
    sentences = []
    for verdict in get_args(Outcome):
        alike = [effect for effect in found if effect.verdict == verdict]
        if alike:
            said = _capital(_beside(verdict, control))
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
