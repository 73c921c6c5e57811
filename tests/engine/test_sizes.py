"""Studies that ask for more images than their data has, and what a run that fails leaves behind."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from bench.cli.console import err
from bench.cli.progress import phase_bar
from bench.engine.config import RunOptions
from bench.engine.request import StudyRequest
from bench.engine.resources import Resources
from bench.engine.run import run
from bench.engine.study_plan import StudyPlan, plan_study
from bench.errors import BenchError
from bench.store.trials import Store
from bench.study.scale import Scale
from tests.command import bench

STUDY = """
base: {preset: ropanet_baseline, data.test_size: 40, data.validation_size: 10}
axes:
  data.train_size: [5000, 1000, 30]
control: {data.train_size: 30}
seeds: 1
"""
NAMED = """
base: {preset: ropanet_baseline, data.validation_size: 10}
axes:
  row:
    small: {data.train_size: 30, data.test_size: 30}
    large: {data.train_size: 1000, data.test_size: 1000}
    products: {data.train_size: 250, data.test_size: 60, data.split: product}
    huge: {data.train_size: 5000, data.test_size: 5000}
seeds: 1
"""


def plan(folder: Path, text: str, data: Path, **options: object) -> StudyPlan:
    study = folder / "study.yaml"
    study.write_text(text)
    request = StudyRequest(study, data, "smoke", **options)  # type: ignore[arg-type]
    return plan_study(request, folder / "results", folder / ".cache")


def test_all_arms_that_ask_for_too_much_are_in_one_message_with_what_fits(
    tmp_path: Path, phantom: Path
) -> None:
    with pytest.raises(BenchError) as found:
        plan(tmp_path, NAMED, phantom)
    said = str(found.value)
    assert "3 arms ask for more images than there are" in said and "  small" not in said
    (large,) = (line for line in said.splitlines() if line.startswith("  large"))
    assert "data.train_size 1000, there are 193 (fits: " in large
    assert "data.test_size 1000, there are 87" in large
    (products,) = (line for line in said.splitlines() if line.startswith("  products"))
    assert "data.train_size 250" in products and "data.test_size" not in products
    assert "  huge" in said and "add --scale-to-data" in said
    assert plan(tmp_path, NAMED, phantom, only=("small",)).trials == 1


def test_scaled_to_the_data_sizes_that_fit_stay_and_arms_still_differ(
    tmp_path: Path, phantom: Path
) -> None:
    found = plan(tmp_path, STUDY, phantom, scale_to_data=True)
    sizes = [arm.spec.data.train_size for arm in found.design.arms()]
    assert sizes[0] == 193 and sizes[2] == 30 and 30 < sizes[1] < 193
    assert [arm.name for arm in found.design.arms()] == [f"train_size={n}" for n in sizes]
    assert {arm.spec.data.test_size for arm in found.design.arms()} == {40}
    assert found.design.control.name == "train_size=30"
    assert "5,000 training images are 193" in found.resolved.notes[0]
    whole = plan(tmp_path, STUDY.replace("5000, 1000", "60, 50"), phantom, scale_to_data=True)
    assert whole.design.scale is None and whole.resolved.notes == ()
    named = plan(tmp_path, NAMED, phantom, scale_to_data=True)
    for arm in named.design.arms():
        assert arm.spec.data.test_size <= 87 and arm.spec.data.train_size <= 193


def test_training_sizes_none_of_which_fits_are_scaled_by_one_factor() -> None:
    scale = Scale({"data.train_size": (1000, 5000, 10000)}, {"data.train_size": 100})
    assert [scale.fit("data.train_size", n) for n in (1000, 5000, 10000)] == [10, 50, 100]
    assert scale.fit("data.train_size", "all") == "all" and scale.fit("data.test_size", 9) == 9


def test_a_run_that_is_refused_leaves_no_trace_and_a_smaller_one_runs(
    tmp_path: Path, own_warm_cache: Path, phantom: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("base: {", "base: {train.epochs: 1, "))
    words = ("run", "study.yaml", "--profile", "smoke", "--data", str(phantom))
    assert "2 arms ask" in bench(tmp_path, *words, code=2)
    assert "holds no study" in bench(tmp_path, "report", code=2)
    (only,) = json.loads(bench(tmp_path, *words, "--only", "train_size=30", "--json"))
    assert only["finished"] == 1
    (scaled,) = json.loads(bench(tmp_path, *words, "--scale-to-data", "--json"))
    assert (scaled["finished"], scaled["stored"]) == (2, 1)
    assert "scaled to the data" in scaled["notes"][0]
    bench(tmp_path, "report", "--format", "markdown", "--out", "report")
    assert "scaled to the data" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize("ran_before", [True, False])
def test_a_run_that_fails_before_a_trial_has_ended_leaves_the_record_as_it_was(
    tmp_path: Path, phantom: Path, ran_before: bool
) -> None:
    study = tmp_path / "study.yaml"
    store = Store(tmp_path / "results")

    def begin(text: str, limit: int | None) -> None:
        study.write_text(text)
        run(
            [StudyRequest(study, phantom, "smoke")],
            RunOptions(store.root, tmp_path / ".cache", limit=limit),
            Resources(address="127.0.0.1:1"),  # where no cluster answers
            phases=partial(phase_bar, err),
            trials_shown=lambda *_: None,
        )

    if ran_before:
        begin("base: {preset: ropanet_baseline, train.epochs: 1}\nseeds: 1\n", limit=0)
    before = {path: path.read_bytes() for path in store.root.glob("studies/*")}
    with pytest.raises(BenchError, match="no Ray cluster answers"):
        begin("base: {preset: ropanet_baseline, train.epochs: 2}\nseeds: 2\n", limit=None)
    assert {path: path.read_bytes() for path in store.root.glob("studies/*")} == before
    assert len(before) == ran_before
