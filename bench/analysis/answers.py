"""What a study's comparisons say, in a few sentences: the answer to the question that it asks."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.arms import Arm, Effect, by_size, controls, effects
from bench.metrics.catalogue import ACCURACY, COMPARED, Metric
from bench.store.studies import StudyRecord

VERDICTS = ("better", "worse", "equivalent")
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


def shown_difference(effect: Effect, metric: Metric) -> str:
    """A difference with its interval, as a sentence has it: `-1.2 [-1.9, -0.5]`."""
    found, digits = effect.difference, 1 if metric.percent else 3
    mean, low, high = (
        f"{x * metric.scale:+.{digits}f}" for x in (found.mean, found.low, found.high)
    )
    return f"{mean} [{low}, {high}]" if found.half_width == found.half_width else mean


def _meaning(study: StudyRecord, effect: Effect, metric: Metric, control: str) -> str:
    meaning = study.answers[effect.arm][effect.verdict].strip().rstrip(".")
    return (
        f"{meaning[:1].upper()}{meaning[1:]}: {effect.arm} is {effect.verdict}"
        f"{' to' if effect.equivalent else ' than'} {control}, {shown_difference(effect, metric)} "
        f"{_unit(metric)} at {effect.difference.seeds} seeds."
    )


def _by_verdict(found: Sequence[Effect], metric: Metric, control: str) -> list[str]:
    """What has no answer of its own: arms of one verdict in one sentence."""
    sentences = []
    for verdict in VERDICTS:
        alike = [effect for effect in found if effect.verdict == verdict]
        if alike:
            named = _named(alike, metric)
            than = "to" if verdict == "equivalent" else "than"
            sentences.append(
                f"{verdict.capitalize()} {than} {control} in {metric.in_words}: {named}."
            )
    open_ = [effect for effect in found if not effect.settled]
    if open_:
        named = _named(open_, metric)
        sentences.append(f"Open, in {metric.in_words} against {control}: {named}.")
    return sentences


def _named(found: Sequence[Effect], metric: Metric) -> str:
    named = [
        f"{effect.arm} {shown_difference(effect, metric)} at {effect.difference.seeds} seeds"
        for effect in found[:MOST_NAMED]
    ]
    more = len(found) - MOST_NAMED
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _unit(metric: Metric) -> str:
    return f"points of {metric.in_words}" if metric.percent else f"of {metric.in_words}"
