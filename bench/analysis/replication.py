"""A study measured twice: each arm's difference between the two, and whether its effects hold.

"Differs" is asked of all arms and metrics as one family, for a single one turns the answer: of two
measurements of the same truth, at most 5 % are called different anywhere. "Agrees" is asked of a
metric's arms, as `equivalent` is in `bench.analysis.arms`: for the answer all must agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from bench.analysis.arms import ALPHA, EQUIVALENT, Arm, Effect, advice
from bench.analysis.arms import controls as controls_of
from bench.analysis.arms import effects as effects_of
from bench.analysis.intervals import Estimate, holm
from bench.analysis.repeated import Difference, difference_of
from bench.study.study import FEWEST_SEEDS


class Agreement(StrEnum):
    """Whether two measurements of an arm agree; also the answer for a whole study."""

    IDENTICAL = "identical"
    AGREES = "agrees"
    DIFFERS = "differs"
    CANNOT_TELL = "cannot tell"


class Turn(StrEnum):
    """What became of an effect's verdict."""

    SAME = "the same"
    TURNED = "turned round"
    OTHER = "another"
    LOST = "told in A alone"
    GAINED = "told in B alone"


@dataclass(frozen=True)
class ArmReplication:
    """An arm measured twice, and whether the two agree.

    Args:
        arm: The arm.
        metric: The metric.
        a: The first measurement, over all its seeds.
        b: The second.
        difference: The second minus the first.
        margin: Largest difference that does not matter; None where none is known.
        p_differs: p-value of no difference, Holm-corrected over all arms and metrics; NaN for one
            that was not tested because both are identical.
        p_beyond: p-value of a difference beyond the margin, corrected over the metric's arms.
        agreement: The verdict.
        verdict: The same in words, with what would settle it.
    """

    arm: str
    metric: str
    a: Estimate
    b: Estimate
    difference: Difference
    margin: float | None
    p_differs: float
    p_beyond: float
    agreement: Agreement
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """The comparison as `--json` prints it, in the metric's stored unit."""
        return {
            "arm": self.arm,
            "metric": self.metric,
            "a": interval_json(self.a),
            "b": interval_json(self.b),
            "difference": interval_json(self.difference.mean) | {"seeds": self.difference.seeds},
            "paired_by_seed": self.difference.paired,
            "same_images": self.difference.same_images,
            "margin": self.margin,
            "p_no_difference_holm": self.p_differs,
            "p_beyond_margin_holm": self.p_beyond,
            "agreement": self.agreement.value,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class EffectReplication:
    """An arm's effect in two measurements, each judged by itself.

    Args:
        a: In the first.
        b: In the second.
        control: The arm that it is compared with.
    """

    a: Effect
    b: Effect
    control: str

    @property
    def turn(self) -> Turn:
        """What became of the verdict; "turned round" is better in one and worse in the other."""
        if not (self.a.settled or self.b.settled) or self.a.verdict == self.b.verdict:
            return Turn.SAME
        if not self.b.settled:
            return Turn.LOST
        if not self.a.settled:
            return Turn.GAINED
        return Turn.OTHER if EQUIVALENT in (self.a.verdict, self.b.verdict) else Turn.TURNED

    @property
    def same_sign(self) -> bool:
        """Whether both differences have the same sign, or both are 0."""
        return bool(np.sign(self.a.difference.mean) == np.sign(self.b.difference.mean))

    @property
    def overlap(self) -> bool | None:
        """Whether the two intervals overlap; None where either has none."""
        one, other = self.a.difference, self.b.difference
        if not np.isfinite([one.half_width, other.half_width]).all():
            return None
        return one.low <= other.high and other.low <= one.high

    def to_json(self) -> dict[str, Any]:
        """The comparison as `--json` prints it."""
        return {
            "arm": self.a.arm,
            "control": self.control,
            "metric": self.a.metric,
            "a": interval_json(self.a.difference) | {"verdict": self.a.verdict},
            "b": interval_json(self.b.difference) | {"verdict": self.b.verdict},
            "same_verdict": self.turn is Turn.SAME,
            "same_sign": self.same_sign,
            "intervals_overlap": self.overlap,
            "verdicts": self.turn.value,
        }


class _Found(NamedTuple):
    arm: str
    metric: str
    a: Estimate
    b: Estimate
    difference: Difference


def arm_replications(
    a: Sequence[Arm], b: Sequence[Arm], margins: Mapping[str, float | None], *, same_data: bool
) -> list[ArmReplication]:
    """Each arm that both have, metric by metric.

    Args:
        a: The first measurement's arms.
        b: The second's; arms are matched by name.
        margins: Metric -> largest difference that does not matter, None where none is known.
        same_data: Whether images of the same name are the same image.

    Returns:
        One for each arm and metric that both have, by arm.
    """
    others = {arm.name: arm for arm in b}
    found = []
    for one in a:
        other = others.get(one.name)
        if other is None or not one.trials or not other.trials:
            continue
        for metric in margins:
            difference = difference_of(one, other, metric, same_data=same_data)
            if np.isfinite(difference.mean.mean):
                ends = one.estimate(metric), other.estimate(metric)
                found.append(_Found(one.name, metric, *ends, difference))
    tested = [each for each in found if not each.difference.identical]
    differs = dict(zip(map(_key, tested), holm([e.difference.mean.p for e in tested]), strict=True))
    beyond: dict[tuple[str, str], float] = {}
    for metric, margin in margins.items():
        family = [each for each in tested if each.metric == metric]
        if margin is not None:
            p_values = holm([each.difference.mean.beyond(margin) for each in family])
            beyond |= dict(zip(map(_key, family), p_values, strict=True))
    arms = len({each.arm for each in found})
    nan = float("nan")
    return [
        _judged(each, margins[each.metric], differs.get(key, nan), beyond.get(key, nan), arms)
        for each in found
        for key in (_key(each),)
    ]


def effect_replications(
    a: Sequence[Arm], b: Sequence[Arm], margins: Mapping[str, float | None]
) -> list[EffectReplication]:
    """Each effect that both measurements have: an arm against its control, metric by metric.

    Args:
        a: The first measurement's arms.
        b: The second's.
        margins: Metric -> largest difference that does not matter.
    """
    found = []
    for control in controls_of(list(a)):
        for metric, margin in margins.items():
            mine, theirs = (effects_of(list(arms), control, metric, margin) for arms in (a, b))
            others = {effect.arm: effect for effect in theirs}
            found += [
                EffectReplication(effect, others[effect.arm], control)
                for effect in mine
                if effect.arm in others
            ]
    return found


def answer_of(arms: Sequence[ArmReplication], effects: Sequence[EffectReplication]) -> Agreement:
    """Whether the second measurement agrees with the first, as a whole.

    It differs where any arm does, or an effect turned round; it agrees where all arms do.
    """
    if any(arm.agreement is Agreement.DIFFERS for arm in arms):
        return Agreement.DIFFERS
    if any(effect.turn is Turn.TURNED for effect in effects):
        return Agreement.DIFFERS
    agreed = {arm.agreement for arm in arms}
    if agreed == {Agreement.IDENTICAL}:
        return Agreement.IDENTICAL
    alike = bool(agreed) and agreed <= {Agreement.IDENTICAL, Agreement.AGREES}
    return Agreement.AGREES if alike else Agreement.CANNOT_TELL


def interval_json(estimate: Estimate) -> dict[str, Any]:
    """A mean and its interval as `--json` prints them."""
    names = ("mean", "low", "high", "seeds", "images")
    return {name: getattr(estimate, name) for name in names}


def _key(found: _Found) -> tuple[str, str]:
    return found.arm, found.metric


def _judged(
    found: _Found, margin: float | None, differs: float, beyond: float, arms: int
) -> ArmReplication:
    agreement, verdict = _verdict(found.difference, margin, differs, beyond, arms)
    return ArmReplication(*found, margin, differs, beyond, agreement, verdict)


def _verdict(
    difference: Difference, margin: float | None, differs: float, beyond: float, arms: int
) -> tuple[Agreement, str]:
    seeds = difference.seeds
    if difference.identical:
        return Agreement.IDENTICAL, Agreement.IDENTICAL.value
    if seeds < FEWEST_SEEDS:
        few = f"too few seeds to tell ({seeds} of at least {FEWEST_SEEDS})"
        return Agreement.CANNOT_TELL, few
    if beyond < ALPHA:  # NaN is not
        return Agreement.AGREES, "agrees within the margin"
    if differs < ALPHA:
        return Agreement.DIFFERS, Agreement.DIFFERS.value
    wanted = "the same seeds in both would tell more"
    if difference.paired:
        wanted = advice(difference.mean, margin, arms)
    return Agreement.CANNOT_TELL, f"cannot tell at {seeds} seeds; {wanted}"
