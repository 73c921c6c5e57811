"""A study in two stores: what can be compared, and whether the two agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.analysis.arms import Arm
from bench.analysis.load import load_arms
from bench.analysis.replication import (
    Agreement,
    ArmReplication,
    EffectReplication,
    Turn,
    answer_of,
    arm_replications,
    effect_replications,
)
from bench.analysis.trial_pairs import ONLY_A, ONLY_B, TrialReplication, trial_replications
from bench.errors import BenchError
from bench.files.yaml import did_you_mean
from bench.metrics.catalogue import COMPARED, METRICS
from bench.store.agreement import TOLERANCE, Verdict
from bench.store.studies import StudyRecord
from bench.store.trials import Store

IN_WORDS = {
    Agreement.IDENTICAL: "identical",
    Agreement.AGREES: "within the margin",
    Agreement.DIFFERS: "different",
    Agreement.CANNOT_TELL: "cannot be told",
}
"""How comparisons are counted in a sentence."""


@dataclass(frozen=True)
class Rerun:
    """A study in two stores, compared.

    Args:
        a: Its record in the first store.
        b: In the second.
        warnings: What the reader must know: other data, other semantics, arms that only one has.
        arms: Its arms, metric by metric.
        effects: Its effects.
        trials: Its trials.
    """

    a: StudyRecord
    b: StudyRecord
    warnings: list[str]
    arms: list[ArmReplication]
    effects: list[EffectReplication]
    trials: list[TrialReplication]

    @cached_property
    def answer(self) -> Agreement:
        """Whether the rerun agrees."""
        return answer_of(self.arms, self.effects)

    @cached_property
    def in_both(self) -> list[TrialReplication]:
        """The trials that both stores have."""
        return [trial for trial in self.trials if trial.verdict not in (ONLY_A, ONLY_B)]

    @property
    def verdicts(self) -> Counter[str]:
        """How many trials are identical, within tolerance, different, or in one store alone."""
        return Counter(trial.verdict for trial in self.trials)

    @cached_property
    def suspects(self) -> dict[str, list[tuple[Any, Any]]]:
        """Inputs that differ between trials that do not agree, first suspects first -> values."""
        found: dict[str, list[tuple[Any, Any]]] = {}
        for trial in self.trials:
            if trial.verdict != Verdict.IDENTICAL:
                for name, pair in trial.changed.items():
                    known = found.setdefault(name, [])
                    if pair not in known:
                        known.append(pair)
        return found

    @cached_property
    def sentence(self) -> str:
        """The answer in words, with what it stands on."""
        told = Counter(arm.agreement for arm in self.arms)
        counts = ", ".join(f"{told[how]} {word}" for how, word in IN_WORDS.items() if told[how])
        basis = f"of {len(self.arms)} comparisons of arms {counts or 'none could be made'}"
        same = f"{self.verdicts[Verdict.IDENTICAL]} of {len(self.in_both)} trials are identical"
        alone = len(self.trials) - len(self.in_both)
        same += f", {alone} more are in one store alone" if alone else ""
        said = {
            Agreement.IDENTICAL: "The rerun agrees, with identical results",
            Agreement.AGREES: "The rerun agrees",
            Agreement.DIFFERS: f"The rerun differs in {_listed(list(self._differing()))}",
            Agreement.CANNOT_TELL: "Whether the rerun agrees cannot be told",
        }[self.answer]
        first = next(iter(self.suspects), None)
        suspect = f"; first suspect: {first}" if first is not None else ""
        return f"{said}: {basis}; {same}{suspect}."

    def to_json(self) -> dict[str, Any]:
        """The comparison as `--json` prints it."""
        return {
            "study": self.a.name,
            "answer": self.answer.value,
            "sentence": self.sentence,
            "warnings": self.warnings,
            "arms": [arm.to_json() for arm in self.arms],
            "effects": [effect.to_json() for effect in self.effects],
            "trials": [trial.to_json() for trial in self.trials],
        }

    def _differing(self) -> Iterator[str]:
        by_arm: dict[str, list[str]] = {}
        for arm in self.arms:
            if arm.agreement is Agreement.DIFFERS:
                by_arm.setdefault(arm.arm, []).append(METRICS[arm.metric].short)
        yield from (f"{arm} ({', '.join(metrics)})" for arm, metrics in by_arm.items())
        for effect in self.effects:
            if effect.turn is Turn.TURNED:
                metric = METRICS[effect.a.metric].short
                yield f"{effect.a.arm} against {effect.control} ({metric}, turned round)"


def common_studies(a: Store, b: Store, names: Sequence[str] | None = None) -> list[str]:
    """Names of the studies that two stores have in common.

    Args:
        a: The first store.
        b: The second.
        names: Those that are asked for; None for all.

    Raises:
        BenchError: A store is not there, lacks one that is asked for, or they have none in common.
    """
    for store in (a, b):
        if not store.root.is_dir():
            raise BenchError("there is no such folder", where=str(store.root))
    held = [[study.name for study in store.chosen(None)] for store in (a, b)]
    common = [name for name in held[0] if name in held[1]]
    if not common:
        theirs = set(b.ids())
        shared = sum(identity in theirs for identity in a.ids())
        raise BenchError(
            f"{a.root} and {b.root} have no study in common: the first holds {', '.join(held[0])}, "
            f"the second {', '.join(held[1])}. They share {shared} trials",
            fix="run one study into both (`bench run STUDY --results DIR` trains only what is "
            "missing), or read each by itself: bench report",
        )
    for name in names or ():
        if name not in common:
            lacking = [s for s, there in zip((a, b), held, strict=True) if name not in there]
            raise BenchError(
                f"no study `{name}` in {' and in '.join(str(store.root) for store in lacking)}",
                where="--study",
                fix=did_you_mean(name, common, f"in both: {', '.join(common)}"),
            )
    return list(dict.fromkeys(names)) if names else common


def compare_study(a: Store, b: Store, name: str, tolerance: float = TOLERANCE) -> Rerun:
    """A study in two stores, compared arm by arm, effect by effect and trial by trial.

    Data of another fingerprint is compared as other images of the same kind; margins are those of
    the first store.

    Args:
        a: The first store.
        b: The second.
        name: The study, in both.
        tolerance: Largest difference of a probability that counts as rounding.

    Raises:
        BenchError: The two are of data that no accuracy can be compared on, share no arm, or a
            trial cannot be read.
    """
    (one,), (other,) = a.chosen([name]), b.chosen([name])
    _check_comparable(one, other)
    mine, theirs = load_arms(a, one), load_arms(b, other)
    if not {arm.name for arm in mine} & {arm.name for arm in theirs}:
        raise BenchError(
            f"its arms have no name in common: {_listed([arm.name for arm in mine])} in {a.root}, "
            f"{_listed([arm.name for arm in theirs])} in {b.root}",
            where=f"study {name}",
            fix="read each by itself: bench report",
        )
    same_data = one.data.fingerprint == other.data.fingerprint
    margins = {metric.name: one.margin_in(metric) for metric in COMPARED.values()}
    return Rerun(
        a=one,
        b=other,
        warnings=list(_warnings(one, other, mine, theirs)),
        arms=arm_replications(mine, theirs, margins, same_data=same_data),
        effects=effect_replications(mine, theirs, margins),
        trials=list(trial_replications((one, mine), (other, theirs), tolerance)),
    )


def _check_comparable(one: StudyRecord, other: StudyRecord) -> None:
    """Refuse data of another kind or with other classes: an accuracy there is another quantity."""
    mine, theirs = one.data, other.data
    known = mine.class_names is not None and theirs.class_names is not None
    unlike = known and mine.class_names != theirs.class_names
    if mine.source != theirs.source or unlike:
        raise BenchError(
            f"is of {mine.label} in the first store and of {theirs.label} in the second"
            + (", which have other classes" if mine.source == theirs.source else "")
            + ": accuracies on one say nothing of the other",
            where=f"study {one.name}",
            fix="each store's own verdicts can still be read side by side: bench report",
        )


def _warnings(
    one: StudyRecord, other: StudyRecord, mine: Sequence[Arm], theirs: Sequence[Arm]
) -> Iterator[str]:
    """What the reader must know of a comparison that is not of like with like."""
    if one.data.fingerprint != other.data.fingerprint:
        yield (
            f"The data is not the same: {one.data.label}, fingerprint {one.data.fingerprint[:16]}, "
            f"in A; {other.data.label}, {other.data.fingerprint[:16]}, in B. Arms are compared as "
            "tested on other images, and effects by their verdicts; no trial can be the same."
        )
    if one.semantics != other.semantics:
        yield (
            f"A is of semantics {one.semantics}, B of {other.semantics}: the same settings are "
            "meant to give other numbers. Arms and effects are compared as they are; trials need "
            "not be the same."
        )
    if one.profile != other.profile:
        yield f"A ran under the profile {one.profile}, B under {other.profile}."
    if (one.margin, one.margins) != (other.margin, other.margins):
        yield "The two state other margins; those of A are used for both."
    for name, arms, others in (("A", mine, theirs), ("B", theirs, mine)):
        measured = {arm.name for arm in others if arm.trials}
        alone = [arm.name for arm in arms if arm.trials and arm.name not in measured]
        if alone:
            yield f"Arms that are finished in {name} alone: {_listed(alone)}."


def _listed(names: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
