"""The tables of a phone: what each form costs, what it gives up, and what the paper chose by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.analysis.arms import Arm
from bench.analysis.phone import (
    FormEffect,
    MeasuredForm,
    form_effects,
    measured_forms,
    rivals,
    verdicts_on_accuracy,
)
from bench.metrics.catalogue import ACCURACY, METRICS
from bench.report.cells import Measured, Table
from bench.report.units import disk_size, operations
from bench.store.phone import FORMS, Latency
from bench.store.studies import StudyRecord

TITLES = {
    "float32": "float32",
    "float16": "float16",
    "dynamic_int8": "dynamic-range int8",
    "int8": "full int8",
}
"""Form -> its name on a page."""

WIDE = 1.5
"""Quartiles that lie so many times apart are those of a busy machine."""


def phone_tables(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Table]:
    """Costs, losses and the paper's choice; none where no form was measured.

    Args:
        study: The study's record.
        arms: Its arms as measured.
    """
    forms = measured_forms(arms)
    if not forms:
        return
    effects = list(form_effects(study, forms))
    yield costs_table(study, forms, effects)
    if effects:
        yield _losses_table(study, effects)
    claim = _claim_table(study, forms)
    if claim is not None:
        yield claim


def costs_table(
    study: StudyRecord, forms: Sequence[MeasuredForm], effects: Sequence[FormEffect]
) -> Table:
    """Size, time and memory of every form, beside its accuracy and the verdict on it.

    Args:
        study: The study's record.
        forms: Its arms' forms, at least one.
        effects: What each changes.
    """
    verdicts = verdicts_on_accuracy(effects)
    threads = max(int(form.timed.environment.get("threads", 1)) for form in forms)
    rows = [_costs(form, threads, verdicts.get((form.arm.name, form.form))) for form in forms]
    return Table(
        f"{study.name}.phone",
        "On a phone: what each form costs",
        f"LiteRT on {machines(forms)}: latencies are this machine's, not a phone's "
        "(docs/phone.md runs the same files on a device). Milliseconds of one image: the median, "
        "and the quartiles; by XNNPACK, LiteRT's usual kernels, where no column says otherwise. "
        "Memory: how far a new process grows at most, on one thread. Operations as backbone and "
        "system declare them. Size and latency do not depend on the weights; accuracy does, and "
        "says nothing where a backbone's are random. Changed: answers whose most probable class is "
        "another than the Keras model's. Top-1 and changed answers are those of all seeds; the "
        f"verdict is on top-1 against the Keras model. {described()} {refusals(forms)} "
        f"{busy(forms)}".rstrip(),
        tuple(rows[0]),
        tuple(rows),
    )


def described() -> str:
    """What each form is, in a sentence."""
    return "; ".join(f"{TITLES[form]}: {what}" for form, what in FORMS.items()) + "."


def refusals(forms: Sequence[MeasuredForm]) -> str:
    """The sentence on files that XNNPACK does not run; empty where it runs all."""
    named = "; ".join(
        f"{form.arm.name}, {TITLES[form.form]}: {len(form.refused)} of {len(form.records)} seeds"
        for form in forms
        if form.refused
    )
    return f"XNNPACK does not run, and LiteRT's plain kernels do: {named}." if named else ""


def machines(forms: Sequence[MeasuredForm]) -> str:
    """The processors that the forms were timed on."""
    found = (form.timed.environment for form in forms if form.timed.latency)
    named = {f"{about.get('processor')}, {_threads(about)}": None for about in found}
    return " and ".join(named) or "a processor that is not known"


def busy(forms: Sequence[MeasuredForm]) -> str:
    """The sentence on latencies whose quartiles lie far apart; empty where none do."""
    timed = [latency for form in forms for latency in form.timed.latency]
    wide = sum(latency.high > WIDE * latency.low for latency in timed)
    if not wide:
        return ""
    return (
        f"Of {wide} of {len(timed)} latencies the quartiles lie more than {WIDE:g} times apart: "
        "the machine had other work. Measure again with `bench phone --rerun` when it has none."
    )


def _threads(about: dict[str, Any]) -> str:
    found = int(about.get("threads", 1))
    return f"{found} thread{'s' if found > 1 else ''}"


def _costs(form: MeasuredForm, threads: int, verdict: str | None) -> dict[str, Any]:
    first = form.first
    if form.unsupported:
        verdict = f"ruled out by {form.unsupported}"
    one, accuracy = form.latency(), form.estimate(ACCURACY.name)
    every = (
        {}
        if threads == 1
        else {f"ms, {threads} threads": milliseconds(form.latency(all_threads=True))}
    )
    return {
        "arm": form.arm.name,
        "kind": TITLES[form.form],
        "size": disk_size(first.bytes) if first.bytes else None,
        "parameters": f"{first.parameters / 1e6:.2f} M",
        "operations": operations(first.flops),
        "ms, 1 thread": milliseconds(one),
        **every,
        "ms, no XNNPACK": milliseconds(form.latency(xnnpack=False)),
        "memory": disk_size(one.peak_bytes) if one and one.peak_bytes is not None else None,
        ACCURACY.label: None if accuracy is None else Measured(accuracy, True),
        "changed %": None if form.unsupported else f"{100 * form.changed:.1f}",
        "verdict": verdict,
    }


def milliseconds(latency: Latency | None) -> str | None:
    """A latency's median and quartiles, such as `12.3 (12.1–12.9)`."""
    if latency is None:
        return None
    median, low, high = (1000 * s for s in (latency.median, latency.low, latency.high))
    digits = 2 if median < 10 else 1 if median < 100 else 0
    return f"{median:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _losses_table(study: StudyRecord, effects: Sequence[FormEffect]) -> Table:
    rows = []
    arms, kinds = list(dict.fromkeys(one.of.arm.name for one in effects)), list(FORMS)
    for effect in sorted(
        effects, key=lambda one: (arms.index(one.of.arm.name), kinds.index(one.of.form))
    ):
        metric = METRICS[effect.metric]
        margin = study.margin_in(metric)
        rows.append(
            {
                "arm": effect.of.arm.name,
                "kind": TITLES[effect.of.form],
                "metric": metric.difference,
                "difference": Measured(effect.difference, metric.percent, signed=True),
                "p (Holm)": effect.p_holm,
                "margin": None if margin is None else f"± {margin * metric.scale:g}",
                "seeds": effect.difference.seeds,
                "verdict": effect.verdict,
            }
        )
    return Table(
        f"{study.name}.phone.losses",
        "On a phone: what each form gives up",
        "LiteRT minus the Keras model that it was made of, at the same seed on the same test "
        "images, with 95 % intervals over seeds and test images. p-values are corrected by Holm's "
        "method over the arms of a form and metric; verdicts as between arms.",
        tuple(rows[0]),
        tuple(rows),
    )


def _claim_table(study: StudyRecord, forms: Sequence[MeasuredForm]) -> Table | None:
    rows = [
        {
            "kind": TITLES[rival.paper.form],
            "arm": rival.paper.arm.name,
            "item": rival.quantity,
            "InceptionV3": _shown(rival.quantity, rival.paper),
            "VGG16": _shown(rival.quantity, rival.vgg),
            "times": f"{rival.ratio:.2f}",
            "verdict": rival.verdict,
        }
        for rival in rivals(forms)
    ]
    if not rows:
        return None
    return Table(
        f"{study.name}.phone.claim",
        "On a phone: InceptionV3 rather than VGG (§4.3)",
        "The paper takes InceptionV3 and not VGG so that its system can run on a phone with TFLite "
        "(§4.3), and measures neither. Reproduced: InceptionV3's is the smaller; not reproduced: "
        "it is the larger; of latencies only where the quartiles lie apart. Times: InceptionV3's "
        "by VGG16's. VGG16 is without its three fully connected layers, as every backbone here: "
        "they hold 124 M of its 138 M parameters, and with them it would be the larger file.",
        tuple(rows[0]),
        tuple(rows),
    )


def _shown(quantity: str, form: MeasuredForm) -> str | None:
    if quantity == "file size":
        return disk_size(form.first.bytes)
    latency = form.latency(all_threads=quantity != "latency, 1 thread")
    return f"{milliseconds(latency)} ms"
