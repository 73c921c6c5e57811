"""A study that goes on until it is settled; records made on the spot stand for training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.answers import answer
from bench.analysis.load import load_arms
from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.engine.until_settled import NO_TRIAL, UntilSettledStudy
from bench.errors import BenchError
from bench.report.looks import look_line, looks_table
from bench.store.plan import PlannedTrial, planned, study_record
from bench.store.studies import StudyRecord
from bench.store.trials import FailureKind, Store
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.train.status import TrialStatus
from bench.tuning.allowance import Allowance
from tests.report.test_report import record

STUDY = """
question: Does the gate help?
answers:
  gate=none: {better: the gate hurts}
axes: {model.gate: [sigmoid, none, random]}
margin: 40
seeds: {first: 4, most: 9}
"""
SKILL = {"gate=sigmoid": 0.5, "gate=none": 0.95, "gate=random": 0.75}


@pytest.fixture
def manifest(tmp_path: Path, phantom: Path) -> Manifest:
    return open_source(phantom, cache=tmp_path)


def design(folder: Path, text: str = STUDY, *, until_settled: bool = False) -> Design:
    file = folder / "study.yaml"
    file.write_text(text)
    return resolve_study(*load_study(file), profile="smoke", until_settled=until_settled)


def put(trial: PlannedTrial, store: Store) -> None:
    made = record(trial.id, SKILL[trial.arm], trial.seed)
    store.write(replace(made, spec=trial.spec.model_dump(mode="json")))


def train(study: UntilSettledStudy, store: Store, most: int = 1000) -> list[PlannedTrial]:
    """Trains at most so many trials; returns those that were handed out."""
    trained: list[PlannedTrial] = []
    while len(trained) < most and (batch := study.next_batch(2, busy=set())):
        for trial in batch[: most - len(trained)]:
            trained.append(trial)
            put(trial, store)
            study.ended(trial.id, TrialStatus.FINISHED)
    return trained


def recorded(store: Store) -> StudyRecord:
    [study] = store.studies()
    return study


def test_arms_stop_as_they_are_settled_and_the_control_goes_on(
    tmp_path: Path, manifest: Manifest
) -> None:
    store = Store(tmp_path / "results")
    said: list[str] = []
    study = UntilSettledStudy(design(tmp_path), manifest, store)
    study.looked = lambda record, trials: said.append(f"{look_line(record)}; {trials} to come")
    trained = train(study, store)
    assert study.complete and study.left == 0 and study.finished == len(trained)

    looks = recorded(store).looks
    assert [look.seeds for look in looks] == [4, 6, 9][: len(looks)]
    ends = {name: (look.seeds, found) for look in looks for name, found in look.arms.items()}
    assert ends["gate=none"][1].verdict == "better" and ends["gate=none"][0] < 9
    seeds = {arm.name: len(arm.trials) for arm in recorded(store).arms}
    assert seeds == {
        "gate=none": ends["gate=none"][0],
        "gate=random": ends["gate=random"][0],
        "gate=sigmoid": max(end for end, _ in ends.values()),
    }
    assert len({trial.id for trial in trained}) == len(trained) == sum(seeds.values())
    assert said[0].startswith("study at 4 seeds: ") and said[-1].endswith("; 0 to come")

    arms = load_arms(store, recorded(store))
    first, *_ = answer(recorded(store), arms)
    assert first.startswith("The gate hurts: gate=none is better than gate=sigmoid, +")
    table = looks_table(recorded(store))
    assert table is not None and table.rows[0]["verdict"] == "better"


def test_a_run_that_stops_anywhere_goes_on_with_the_same_decisions(
    tmp_path: Path, manifest: Manifest
) -> None:
    whole, parts = Store(tmp_path / "whole"), Store(tmp_path / "parts")
    every = train(UntilSettledStudy(design(tmp_path), manifest, whole), whole)
    trained: list[PlannedTrial] = []
    for _ in range(100):
        study = UntilSettledStudy(design(tmp_path), manifest, parts)
        if study.complete:
            break
        trained += train(study, parts, most=5)
    assert recorded(parts) == recorded(whole)
    assert sorted(t.id for t in trained) == sorted(t.id for t in every)


def test_what_fixed_seeds_showed_was_the_first_look(tmp_path: Path, manifest: Manifest) -> None:
    fixed = design(tmp_path, STUDY.replace("{first: 4, most: 9}", "7"))
    store = Store(tmp_path / "results")
    trials = list(planned(fixed, manifest, store))
    for trial in trials:
        put(trial, store)
    store.write_study(study_record(fixed, trials, manifest, "1"))

    study = UntilSettledStudy(design(tmp_path), manifest, store)
    assert recorded(store).looks[0].seeds == 7
    assert study.stored >= len(trials)

    # A fixed number of seeds in the study, and the wish to go on from it.
    asked = design(tmp_path, STUDY.replace("{first: 4, most: 9}", "7"), until_settled=True)
    assert asked.until is not None and (asked.until.first, asked.until.most) == (7, 60)


def test_another_end_after_looks_is_refused_and_other_trials_begin_anew(
    tmp_path: Path, manifest: Manifest
) -> None:
    store = Store(tmp_path / "results")
    train(UntilSettledStudy(design(tmp_path), manifest, store), store)
    further = design(tmp_path, STUDY.replace("most: 9", "most: 20"))
    with pytest.raises(BenchError, match=r"(?s)on the way to 9 seeds at most.*most: 9"):
        UntilSettledStudy(further, manifest, store)
    assert UntilSettledStudy(further, manifest, store, rerun=True).left == 12

    other = design(tmp_path, STUDY + "base: {preset: ropanet, train.batch_size: 16}\n")
    assert UntilSettledStudy(other, manifest, store).left == 12
    assert recorded(store).looks == ()


def test_a_limit_ends_before_the_look_and_a_trial_elsewhere_is_waited_for(
    tmp_path: Path, manifest: Manifest
) -> None:
    store = Store(tmp_path / "results")
    study = UntilSettledStudy(design(tmp_path), manifest, store, allowance=Allowance(5))
    assert len(train(study, store)) == 5 and study.left == 7
    assert recorded(store).looks == ()

    study = UntilSettledStudy(design(tmp_path), manifest, store)
    missing = [trial for trial in study._trials() if not trial.stored]
    elsewhere = {trial.id for trial in missing[:2]}
    while batch := study.next_batch(1, busy=elsewhere):
        assert not elsewhere & {trial.id for trial in batch}
        for trial in batch:
            put(trial, store)
            study.ended(trial.id, TrialStatus.FINISHED)
    assert study.left == 2
    for trial in missing[:2]:
        put(trial, store)
        study.ended(trial.id, TrialStatus.STORED)
    assert len(recorded(store).looks) == 1


def test_an_arm_that_never_finishes_does_not_go_on(tmp_path: Path, manifest: Manifest) -> None:
    store = Store(tmp_path / "results")
    study = UntilSettledStudy(design(tmp_path), manifest, store)
    while batch := study.next_batch(2, busy=set()):
        for trial in batch:
            if trial.arm == "gate=random":
                why = {"kind": FailureKind.DIVERGED, "error": "the loss is NaN", "traceback": "",
                       "spec": {}}  # fmt: skip
                store.write_failure(trial.id, why)
                study.ended(trial.id, TrialStatus.DIVERGED)
            else:
                put(trial, store)
                study.ended(trial.id, TrialStatus.FINISHED)
    assert recorded(store).looks[0].arms["gate=random"].verdict == NO_TRIAL
    assert len(study.diverged) == 4
    assert study.complete


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: {first: 9, most: 4}", r":2:1: `seeds`: `most` is below `first`"),
        ("seeds: {first: 2, most: 4}", r":2:9: `seeds.first`: .* equal to 3; found 2"),
        ("seeds: {frist: 5}", r":2:9: .* no key `frist`\n.*did you mean `first`"),
        ("seeds: {metric: top_7}", r"arms are not compared in top_7; the metrics are accuracy"),
        ("base: ropanet_baseline\nseeds: {metric: landmark_ne}", r"no arm has landmark_ne"),
        ("base: ropanet_baseline\nmargin: {landmark_ne: 0.01}", r":3:\d+: no arm has landmark_ne"),
        ("answers: {gate=nnoe: {better: x}}", r"arm `gate=nnoe`.*\n.*did you mean `gate=none`"),
        ("answers: {gate=sigmoid: {better: x}}", r"which the other arms are compared with"),
        ("answers: {gate=none: {bettre: x}}", r":2:\d+: .*bettre"),
        ("tuning: {space: {train.learning_rate: [0.1, 0.2]}, algorithm: grid}\nseeds: {most: 9}",
         r"a tuned study has fixed seeds"),
    ],
)  # fmt: skip
def test_what_cannot_be_settled_is_one_message(tmp_path: Path, text: str, said: str) -> None:
    axes = "" if "baseline" in text else "axes: {model.gate: [sigmoid, none]}"
    with pytest.raises(BenchError, match=said):
        design(tmp_path, f"{axes}\n{text}\n")


def test_going_on_needs_a_number_of_seeds(tmp_path: Path) -> None:
    for seeds in ("[1, 2, 3]", "2"):
        with pytest.raises(BenchError, match=r"`--until-settled` goes on from a number of seeds"):
            design(tmp_path, f"seeds: {seeds}\n", until_settled=True)


def test_records_that_cannot_be_read_do_not_stop_a_run(tmp_path: Path, manifest: Manifest) -> None:
    store = Store(tmp_path / "results")
    train(UntilSettledStudy(design(tmp_path), manifest, store), store)
    whole = recorded(store)
    folder = store.root / "studies"
    (folder / "other.json").write_text("{")
    (folder / "study.json").write_text('{"record": 2}')
    assert store.study("other") is None and store.study("study") is None

    again = UntilSettledStudy(design(tmp_path), manifest, store)
    assert again.complete and store.study("study") == whole
