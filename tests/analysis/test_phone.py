"""What a phone's form gives up and costs: verdicts, the Pareto front, and the paper's choice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.analysis.arms import Arm
from bench.analysis.phone import (
    SAME,
    form_effects,
    measured_forms,
    pareto_front,
    rivals,
)
from bench.report.figures.phone import on_a_phone
from bench.report.tables.phone import busy, phone_tables, refusals
from bench.store.phone import FormName, Latency, PairedScores, PhoneRecord
from tests.analysis.made import trial
from tests.store.recorded import recorded

IMAGES, SEEDS = 200, 3


def timed(median: float, spread: float = 0.01, *, xnnpack: bool = True) -> Latency:
    ends = (median * (1 - spread), median * (1 + spread))
    return Latency(1, xnnpack, 50, median, *ends, peak_bytes=10**7)


def record(form: FormName, lost: np.ndarray, *, bytes_: int, latency: Latency) -> PhoneRecord:
    """A form that is wrong on the images of `lost`, where the Keras model is right on all."""
    scores = {"accuracy": PairedScores((1.0,) * IMAGES, tuple((1.0 - lost).tolist()))}
    return PhoneRecord(
        trial="1" * 16, form=form, epoch="last", parameters=10, flops=1e6, bytes=bytes_,
        images=IMAGES, changed=float(lost.mean()), scores=scores,
        latency=(latency, replace(latency, xnnpack=False)),
        environment={"processor": "a processor", "threads": 1},
    )  # fmt: skip


def arm(name: str, backbone: str, forms: dict[FormName, dict[str, Any]], seeds: int = SEEDS) -> Arm:
    """An arm whose forms lose so many images (`lost`) and one more at each further seed."""
    trials = {}
    for seed in range(seeds):
        made = trial(np.zeros(IMAGES, int))
        made.about["spec"] = {"model": {"kind": "a system", "backbone": {"name": backbone}}}
        phone = {}
        for form, about in forms.items():
            lost = np.zeros(IMAGES)
            wrong = about["lost"] + seed if about["lost"] else 0
            lost[np.random.default_rng(seed).permutation(IMAGES)[:wrong]] = 1
            rest = {"bytes_": about.get("bytes", 100), "latency": timed(about.get("seconds", 0.1))}
            phone[form] = record(form, lost, **rest)
        trials[seed] = replace(made, phone=phone)
    return Arm(name, {}, None, trials, seeds, {})


STUDY = recorded("phone", {"a": {}, "b": {}}, margin=5.0)
FORMS: dict[FormName, dict[str, Any]] = {
    "float32": {"lost": 0},
    "float16": {"lost": 1},
    "int8": {"lost": 60},
}


def verdicts(arms: list[Arm]) -> dict[FormName, str]:
    return {one.of.form: one.verdict for one in form_effects(STUDY, measured_forms(arms))}


def test_a_form_is_the_same_equivalent_or_worse_than_the_model_it_was_made_of() -> None:
    found = verdicts([arm("a", "vgg16", FORMS)])
    assert found == {"float32": SAME, "float16": "equivalent", "int8": "worse"}
    effects = form_effects(STUDY, measured_forms([arm("a", "vgg16", FORMS)]))
    means = {one.of.form: one.difference.mean for one in effects}
    assert means == pytest.approx({"float32": 0, "float16": -2 / IMAGES, "int8": -61 / IMAGES})


def test_two_seeds_give_no_verdict_but_that_nothing_differs() -> None:
    found = verdicts([arm("a", "vgg16", FORMS, seeds=2)])
    assert found["float32"] == SAME
    assert found["int8"] == "too few seeds to tell (2 of at least 3)"


def test_the_pareto_front_is_what_no_other_beats() -> None:
    #        slow and best, beaten, fast and poor, as fast and poorer, between
    costs, gains = [9.0, 9.5, 1.0, 1.0, 4.0], [90.0, 90.0, 50.0, 40.0, 70.0]
    assert pareto_front(costs, gains) == [2, 4, 0]


def test_the_papers_choice_is_judged_by_size_and_by_latencies_that_lie_apart() -> None:
    inception = {"float32": {"lost": 0, "bytes": 90, "seconds": 0.2},
                 "int8": {"lost": 0, "bytes": 20, "seconds": 0.1}}  # fmt: skip
    vgg = {"float32": {"lost": 0, "bytes": 60, "seconds": 0.4},
           "int8": {"lost": 0, "bytes": 30, "seconds": 0.101}}  # fmt: skip
    arms = [arm("i", "inception_v3", inception), arm("v", "vgg16", vgg), arm("l", "lite", vgg)]  # type: ignore[arg-type]
    found = {(one.paper.form, one.quantity): one for one in rivals(measured_forms(arms))}
    told = {key: one.verdict for key, one in found.items() if key[1] != "latency, all threads"}
    assert told == {
        ("float32", "file size"): "not reproduced",
        ("float32", "latency, 1 thread"): "reproduced",
        ("int8", "file size"): "reproduced",
        ("int8", "latency, 1 thread"): "cannot tell",
    }
    assert found["float32", "file size"].ratio == 1.5
    assert {one.vgg.arm.name for one in found.values()} == {"v"}


def test_a_form_that_is_ruled_out_is_shown_with_the_operation() -> None:
    one = arm("a", "vgg16", {"float32": {"lost": 0}})
    for made in one.trials.values():
        made.phone["int8"] = PhoneRecord("1" * 16, "int8", "last", 10, 1e6, unsupported="Erfinv")
    costs, *_ = phone_tables(STUDY, [one])
    assert [row["verdict"] for row in costs.rows] == [SAME, "ruled out by Erfinv"]
    assert costs.rows[1]["size"] is None
    figure = on_a_phone(STUDY, [one])
    assert figure is not None and list(figure.data["form"]) == ["float32"]


def test_a_file_that_xnnpack_does_not_run_is_told() -> None:
    made = arm("whole", "vgg16", {"float32": {"lost": 0}, "int8": {"lost": 0}})
    refused = replace(made.trials[1].phone["int8"], refused="Node number 9 failed to prepare.")
    made.trials[1].phone["int8"] = refused
    forms = measured_forms([made])
    assert refusals(forms) == (
        "XNNPACK does not run, and LiteRT's plain kernels do: whole, full int8: 1 of 3 seeds."
    )
    assert [form.to_json()["refused"] for form in forms] == [{}, {1: refused.refused}]
    assert refusals(forms) in next(phone_tables(STUDY, [made])).caption


def test_a_busy_machine_is_told_by_quartiles_that_lie_far_apart() -> None:
    quiet = arm("a", "vgg16", {"float32": {"lost": 0}})
    assert busy(measured_forms([quiet])) == ""
    for made in quiet.trials.values():
        own = made.phone["float32"]
        made.phone["float32"] = replace(own, latency=(timed(0.1, 0.5), own.latency[1]))
    assert busy(measured_forms([quiet])).startswith("Of 1 of 2 latencies the quartiles lie more")


def test_arms_that_were_not_measured_have_no_table_and_no_figure() -> None:
    bare = Arm("a", {}, None, {0: trial(np.zeros(IMAGES, int))}, 1, {})
    assert not list(phone_tables(STUDY, [bare])) and on_a_phone(STUDY, [bare]) is None
