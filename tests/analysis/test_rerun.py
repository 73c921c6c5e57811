"""Two stores of a study: what they have in common, what differs in the records, and bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.replication import Agreement
from bench.analysis.rerun import common_studies, compare_study
from bench.errors import BenchError
from bench.store.record import TrialRecord
from bench.store.trials import Store
from tests.command import BENCH

STUDY = "mask_gate"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The repository's mask-gate study as one of fixed seeds: six arms of five."""
    whole = Store(Path(__file__).parents[2] / "results" / "reference")
    study, store = whole.study(STUDY), Store(tmp_path_factory.mktemp("reference"))
    assert study is not None
    arms = [replace(a, trials={s: t for s, t in a.trials.items() if s < 5}) for a in study.arms]
    fixed = replace(study, arms=tuple(arms), until=None, looks=())
    for identity in fixed.trial_names():
        store.write(whole.read(identity))
    store.write_study(fixed)
    return store


@pytest.fixture
def copy(reference: Store, tmp_path: Path) -> Store:
    """A copy of the reference."""
    shutil.copytree(reference.root, tmp_path / "copy")
    return Store(tmp_path / "copy")


def trials_of(reference: Store, arm: str) -> list[str]:
    (study,) = reference.studies()
    (found,) = (recorded for recorded in study.arms if recorded.name == arm)
    return list(found.trials.values())


def worse(record: TrialRecord, every: int) -> TrialRecord:
    """The record from another processor, wrong on one in so many images that it got right."""
    probabilities = record.predictions.probabilities.copy()
    right = (probabilities.argmax(axis=1) == record.predictions.labels).nonzero()[0]
    probabilities[right[::every]] = 0.0
    return replace(
        record,
        predictions=replace(record.predictions, probabilities=probabilities),
        environment=record.environment | {"processor": "another (x86_64)", "cores": 64},
    )


def study_with(store: Store, **fields: Any) -> None:
    (study,) = store.studies()
    data = replace(study.data, **fields.pop("data", {}))
    store.write_study(replace(study, data=data, **fields))


def test_a_store_agrees_with_itself_and_with_a_part_of_it(reference: Store, copy: Store) -> None:
    whole = compare_study(reference, copy, STUDY)
    assert whole.answer is Agreement.IDENTICAL and whole.verdicts == {"identical": 30}
    assert len(whole.arms) == 24 and len(whole.effects) == 20 and not whole.warnings
    assert all(effect.same_sign and effect.overlap for effect in whole.effects)
    for identity in trials_of(reference, "gate=random"):
        shutil.rmtree(copy.trials / identity)
    part = compare_study(reference, copy, STUDY)
    assert part.verdicts == {"identical": 25, "only in A": 5}
    assert part.answer is Agreement.IDENTICAL and len(part.arms) == 20
    assert part.warnings == ["Arms that are finished in A alone: gate=random."]
    assert compare_study(copy, reference, STUDY).verdicts["only in B"] == 5


def test_an_arm_that_moved_differs_and_the_processor_is_the_first_suspect(
    reference: Store, copy: Store
) -> None:
    for identity in trials_of(reference, "gate=none"):
        copy.write(worse(reference.read(identity), every=5), replace=True)
    found = compare_study(reference, copy, STUDY)
    assert found.answer is Agreement.DIFFERS
    moved = {(a.arm, a.metric) for a in found.arms if a.agreement is Agreement.DIFFERS}
    assert ("gate=none", "accuracy") in moved and {arm for arm, _ in moved} == {"gate=none"}
    assert found.verdicts == {"identical": 25, "different": 5}
    assert list(found.suspects) == ["processor", "cores"]
    assert found.sentence.startswith("The rerun differs in gate=none (top-1, top-3, top-5): of 24")
    assert "first suspect: processor" in found.sentence


def test_a_trial_that_diverged_in_the_other_store_is_said_to_have(
    reference: Store, copy: Store
) -> None:
    identity = trials_of(reference, "gate=none")[0]
    shutil.rmtree(copy.trials / identity)
    copy.write_failure(identity, {"kind": "diverged", "error": "loss is nan"})
    (alone,) = (t for t in compare_study(reference, copy, STUDY).trials if t.b is None)
    assert (alone.verdict, alone.where) == ("only in A", "diverged in the other: loss is nan")


def test_other_data_of_the_same_kind_is_compared_as_other_images(
    reference: Store, copy: Store
) -> None:
    study_with(copy, data={"fingerprint": "0" * 64}, semantics=4)
    found = compare_study(reference, copy, STUDY)
    assert "The data is not the same" in found.warnings[0]
    assert "A is of semantics 5, B of 4" in found.warnings[1]
    assert not any(arm.difference.same_images for arm in found.arms)
    assert {arm.difference.mean.mean for arm in found.arms} == {0.0}
    # The images' own variance is in it, so that nothing is identical.
    assert all(arm.difference.mean.half_width > arm.a.half_width / 2 for arm in found.arms)
    assert Agreement.IDENTICAL not in {arm.agreement for arm in found.arms}


def test_data_of_another_kind_is_refused(reference: Store, copy: Store) -> None:
    study_with(copy, data={"source": "deepfashion", "label": "DeepFashion"})
    with pytest.raises(BenchError, match="say nothing of the other") as error:
        compare_study(reference, copy, STUDY)
    assert "bench report" in str(error.value.fix)
    study_with(copy, data={"source": "phantom", "class_names": ("Tee",)})
    with pytest.raises(BenchError, match="which have other classes"):
        compare_study(reference, copy, STUDY)


def test_stores_that_have_nothing_in_common_are_one_message(
    reference: Store, copy: Store, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match="there is no such folder"):
        common_studies(reference, Store(tmp_path / "nowhere"))
    with pytest.raises(BenchError, match="no study `maskgate`") as error:
        common_studies(reference, copy, ["maskgate"])
    assert error.value.fix == "did you mean `mask_gate`?"
    path = copy.root / "studies" / "mask_gate.json"
    study_with(copy, name="renamed")
    path.unlink()
    with pytest.raises(BenchError, match=r"no study in common.*mask_gate.*renamed.*30 trials"):
        common_studies(reference, copy)


def test_the_command_prints_writes_and_exits_by_the_answer(
    reference: Store, copy: Store, tmp_path: Path
) -> None:
    def invoke(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*BENCH, "compare", str(reference.root), str(copy.root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)

    page = tmp_path / "page"
    done = invoke("--json", "--out", str(page))
    plain = json.loads(done.stdout)
    assert done.returncode == 0 and plain["page"] == str(page / "index.html")
    (study,) = plain["studies"]
    assert study["answer"] == "identical" and len(study["trials"]) == 30
    assert study["arms"][0]["p_no_difference_holm"] is None  # JSON has no NaN
    shown = (page / "index.html").read_text()
    assert "does the rerun agree" in shown and 'id="published"' not in shown
    assert 'id="figure-mask_gate.compared_arms"' in shown and "Effects in both stores" in shown
    assert study["sentence"] in (page / "report.md").read_text()
    written = sorted(path.name.split(".", 2)[-1] for path in (page / "tables").iterdir())
    assert written == ["compact.tex"] * 2 + ["csv"] * 3 + ["md"] * 3 + ["tex"] * 3

    for identity in trials_of(reference, "gate=none"):
        copy.write(worse(reference.read(identity), every=5), replace=True)
    done = invoke("--out", str(page))  # in the place of the earlier one
    printed = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "Arms in both stores: 21 of 24 identical" in printed
    assert "processor: AMD EPYC (x86_64) in A, another (x86_64) in B" in printed
    assert "The rerun differs in gate=none (top-1, top-3, top-5): of 24" in printed
    refused = invoke("--out", str(tmp_path))
    assert refused.returncode == 2 and "holds no report" in refused.stderr
