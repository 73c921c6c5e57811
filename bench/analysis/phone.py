"""What a phone's form of a model gives up: its results beside the Keras model's, and what it costs.

Each form is compared with the very model that it was made of, on the same test images, so a
difference is paired by seed and image and has the same verdicts as one between arms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.analysis.arms import Arm, judge
from bench.analysis.intervals import Estimate, over_results
from bench.analysis.verdicts import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED
from bench.files.atomic import finite
from bench.metrics.catalogue import ACCURACY, COMPARED
from bench.store.phone import FORMS, FormName, Latency, PhoneRecord
from bench.store.studies import StudyRecord

SAME = "the same on every image"
"""Verdict of a form whose results differ on no image at any seed."""

_Value = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""What is estimated of (Keras' values, LiteRT's), `(images,)` each."""


@dataclass(frozen=True)
class MeasuredForm:
    """A form of an arm's models.

    Args:
        arm: The arm.
        form: The form.
        records: Seed -> its record.
    """

    arm: Arm
    form: FormName
    records: dict[int, PhoneRecord]

    @property
    def first(self) -> PhoneRecord:
        """The record of the lowest seed: what the form costs, which no weights change."""
        return self.records[min(self.records)]

    @property
    def unsupported(self) -> str:
        """The operations that rule the form out; empty where it is there."""
        return self.first.unsupported

    @property
    def refused(self) -> dict[int, str]:
        """Seed -> what XNNPACK says where it does not run the form's file."""
        return {s: record.refused for s, record in sorted(self.records.items()) if record.refused}

    @property
    def timed(self) -> PhoneRecord:
        """The record that has latencies: the lowest seed's, or the next one that was timed."""
        return next((r for _, r in sorted(self.records.items()) if r.latency), self.first)

    def latency(self, *, all_threads: bool = False, xnnpack: bool = True) -> Latency | None:
        """On one thread or on all of the machine's; None where it was not measured."""
        threads = int(self.timed.environment.get("threads", 1)) if all_threads else 1
        return self.timed.timed(threads, xnnpack=xnnpack)

    @property
    def changed(self) -> float:
        """Share of images, over all seeds, whose most probable class is another than in Keras."""
        return float(np.mean([record.changed for record in self.records.values()]))

    def to_json(self) -> dict[str, Any]:
        """What it costs, as plain values, for `json.dumps`; nothing of what is ruled out."""
        first, accuracy = self.first, self.estimate(ACCURACY.name)
        return {
            "arm": self.arm.name,
            "form": self.form,
            "seeds": sorted(self.records),
            "unsupported": self.unsupported or None,
            "refused": self.refused,
            "parameters": first.parameters,
            "flops": first.flops,
            "bytes": first.bytes or None,
            "images": first.images or None,
            "accuracy": None if accuracy is None else accuracy.mean,
            "changed": None if self.unsupported else self.changed,
            "latency": [asdict(latency) for latency in self.timed.latency],
            "environment": self.timed.environment,
        }

    def estimate(self, metric: str) -> Estimate | None:
        """The form's own value of a metric; None where it does not have it."""
        return self._over(metric, lambda keras, litert: litert)

    def difference(self, metric: str) -> Estimate | None:
        """LiteRT minus Keras, paired by seed and image; None where it does not have the metric."""
        return self._over(metric, lambda keras, litert: litert - keras)

    def same(self, metric: str) -> bool:
        """Whether no image has another value than in Keras, at any seed."""
        return all(
            record.scores[metric].keras == record.scores[metric].litert
            for record in self.records.values()
            if metric in record.scores
        )

    def _over(self, metric: str, value: _Value) -> Estimate | None:
        seeds = [s for s, record in sorted(self.records.items()) if metric in record.scores]
        if not seeds:
            return None
        scores = [self.records[seed].scores[metric] for seed in seeds]
        rows = [
            value(np.array(one.keras, np.float64), np.array(one.litert, np.float64))
            for one in scores
        ]
        return over_results(rows, [self.arm.trials[seed].images for seed in seeds])


@dataclass(frozen=True)
class FormEffect:
    """What a form changes in a metric of an arm.

    Args:
        of: The form.
        metric: The metric.
        difference: LiteRT minus Keras.
        p_holm: p-value of no difference, corrected over the arms; NaN where it cannot be told.
        verdict: `better`, `worse`, `equivalent`, `the same on every image`, or why it cannot be
            told.
    """

    of: MeasuredForm
    metric: str
    difference: Estimate
    p_holm: float
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """The effect as plain values, for `json.dumps`; null for what cannot be told."""
        return finite(
            {
                "metric": self.metric,
                "difference": self.difference.mean,
                "low": self.difference.low,
                "high": self.difference.high,
                "seeds": self.difference.seeds,
                "p_holm": self.p_holm,
                "verdict": self.verdict,
            }
        )


def measured_forms(arms: Sequence[Arm]) -> list[MeasuredForm]:
    """Every arm's forms that were measured, in the order of the arms and of `FORMS`."""
    found = []
    for arm in arms:
        for form in FORMS:
            records = {s: t.phone[form] for s, t in arm.trials.items() if form in t.phone}
            if records:
                found.append(MeasuredForm(arm, form, records))
    return found


def form_effects(study: StudyRecord, forms: Sequence[MeasuredForm]) -> Iterator[FormEffect]:
    """Each form against the Keras model in every metric, Holm-corrected over the arms.

    Args:
        study: The study's record, which says what difference does not matter.
        forms: Its arms' forms.
    """
    for metric in COMPARED.values():
        for form in FORMS:
            alike = [one for one in forms if one.form == form and not one.unsupported]
            found = [(one, d) for one in alike if (d := one.difference(metric.name)) is not None]
            differences = [difference for _, difference in found]
            family = judge(metric.name, differences, study.margin_in(metric))
            for (one, difference), (p, verdict, _) in zip(found, family, strict=True):
                same = one.same(metric.name)
                yield FormEffect(one, metric.name, difference, p, SAME if same else verdict)


def verdicts_on_accuracy(effects: Iterable[FormEffect]) -> dict[tuple[str, FormName], str]:
    """(arm, form) -> the verdict on its top-1 accuracy."""
    return {
        (effect.of.arm.name, effect.of.form): effect.verdict
        for effect in effects
        if effect.metric == ACCURACY.name
    }


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Which points no other point beats: none is as cheap and gains more, or cheaper and as good.

    Args:
        costs: What is to be small, such as latencies.
        gains: What is to be large, such as accuracies.

    Returns:
        Their indices, the cheapest first.
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i]))
    front: list[int] = []
    for index in order:
        if not front or gains[index] > gains[front[-1]]:
            front.append(index)
    return front


@dataclass(frozen=True)
class Rivals:
    """The paper's backbone beside the one that it did not take (§4.3), under one system.

    Args:
        paper: A form of an arm on InceptionV3.
        vgg: The same form of the arm on VGG16.
        quantity: `file size`, `latency, 1 thread` or `latency, all threads`.
        ratio: InceptionV3's divided by VGG16's.
        verdict: `reproduced` where InceptionV3's is the smaller, `not reproduced`, or `cannot
            tell`.
    """

    paper: MeasuredForm
    vgg: MeasuredForm
    quantity: str
    ratio: float
    verdict: str


def rivals(forms: Sequence[MeasuredForm]) -> Iterator[Rivals]:
    """InceptionV3 against VGG16 in each form of each system that has both.

    Args:
        forms: A study's forms. Where several arms of a system stand on one of the two, the first
            is taken.
    """
    found: dict[tuple[str, str, str | None], MeasuredForm] = {}
    for one in forms:
        model = next(iter(one.arm.trials.values())).spec["model"]
        backbone = (model.get("backbone") or {}).get("name")
        if not one.unsupported:
            found.setdefault((model["kind"], one.form, backbone), one)
    for (kind, form, backbone), paper in found.items():
        vgg = found.get((kind, form, "vgg16"))
        if backbone != "inception_v3" or vgg is None:
            continue
        sizes = (paper.first.bytes, vgg.first.bytes)
        verdict = REPRODUCED if sizes[0] < sizes[1] else NOT_REPRODUCED
        yield Rivals(paper, vgg, "file size", sizes[0] / sizes[1], verdict)
        for every, quantity in ((False, "latency, 1 thread"), (True, "latency, all threads")):
            mine, theirs = (one.latency(all_threads=every) for one in (paper, vgg))
            if mine is not None and theirs is not None and (not every or mine.threads > 1):
                verdict = _faster(mine, theirs)
                yield Rivals(paper, vgg, quantity, mine.median / theirs.median, verdict)


def _faster(mine: Latency, theirs: Latency) -> str:
    if mine.high < theirs.low:
        return REPRODUCED
    return NOT_REPRODUCED if mine.low > theirs.high else CANNOT_TELL
