"""What `import bench` gives a notebook: the same numbers as the report, as frames and axes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bench
from bench.analysis.load import load_arms
from bench.report.tables.arms import arms_table, effects_table
from bench.store.trials import Store
from tests.store.recorded import recorded

ROOT = Path(__file__).parents[2]
GOLDEN, REFERENCE = ROOT / "tests" / "golden" / "store", ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def gates() -> bench.StudyResults:
    return bench.Results(REFERENCE).study("mask_gate")


def test_every_name_offered_is_there_and_no_other() -> None:
    assert dir(bench) == sorted(bench.__all__)
    assert all(getattr(bench, name) for name in bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Result'"):
        _ = bench.Result  # type: ignore[attr-defined]


def test_a_frame_has_a_row_for_every_planned_trial_whatever_became_of_it() -> None:
    results = bench.Results(GOLDEN)
    assert results.studies == ["golden", "tuned"]
    trials = results.frame().set_index("arm")
    assert trials["study"].value_counts().to_dict() == {"golden": 7, "tuned": 1}
    assert trials.loc["diverges", "status"] == "diverged"
    assert trials["accuracy"].notna().equals(trials["status"] == "finished")
    record = results.study("golden").trial("fashionnet", 0)
    assert trials.loc["fashionnet", "trial"] == record.id
    told = trials.loc["fashionnet"]
    assert told["model.kind"] == "fashionnet" and told["train.learning_rate"] == 0.001
    assert told["landmark_ne"] == pytest.approx(record.metrics["landmark_ne"], rel=1e-6)
    assert told["seconds.train"] == record.timings["train"]
    assert told["environment.keras"] == record.environment["keras"]
    assert json.loads(told["pose.alternation"]) == record.spec["pose"]["alternation"]
    # A system has no settings of landmarks that it does not predict, or training that it lacks.
    assert pd.isna(trials.loc["baseline", "landmarks.weight"])
    assert pd.isna(trials.loc["prior", "train.epochs"])


def test_predictions_and_histories_are_those_that_the_metrics_are_made_of() -> None:
    golden = bench.Results(GOLDEN).study("golden")
    seen = golden.predictions()
    first = (seen["rank"] == 0).groupby(seen["arm"]).mean()
    trials = golden.frame().set_index("arm")["accuracy"]
    assert first.to_dict() == trials.dropna().to_dict()
    assert (seen["label"] == seen["predicted"]).equals(seen["rank"] == 0)
    record = golden.trial("ropanet", 0)
    history = golden.history().query("arm == 'ropanet'")
    assert list(
        history[["epoch", "split", "metric", "value"]].itertuples(index=False, name=None)
    ) == (record.history)
    true = record.predictions.probabilities[np.arange(24), record.predictions.labels]
    np.testing.assert_array_equal(seen.query("arm == 'ropanet'")["probability"], true)


def test_means_effects_and_verdicts_are_the_reports(gates: bench.StudyResults) -> None:
    record = Store(REFERENCE).study("mask_gate")
    assert record is not None
    arms = load_arms(Store(REFERENCE), record)
    table = effects_table("effects", record, arms, record.control)
    assert table is not None
    shown, found = table.raw(), gates.effects()
    assert found["verdict"].tolist() == shown["verdict"].tolist()
    assert found["p_holm"].tolist() == shown["p (Holm)"].tolist()
    scale = np.where(shown["metric"].str.contains("points"), 100, 1)
    for mine, theirs in (("difference", "mean"), ("low", "low"), ("high", "high")):
        np.testing.assert_allclose(found[mine] * scale, shown[f"difference {theirs}"].astype(float))
    means = gates.means().query("metric == 'accuracy'")
    np.testing.assert_allclose(100 * means["low"], arms_table(record, arms).raw()["top-1 % low"])


def test_a_study_without_a_finished_trial_has_empty_frames(tmp_path: Path) -> None:
    Store(tmp_path).write_study(recorded("begun", {"a": {"0": "x"}, "b": {"0": "y"}}))
    begun = bench.Results(tmp_path).study("begun")
    assert begun.frame()["status"].tolist() == ["missing", "missing"]
    for frame in (begun.history(), begun.predictions(), begun.means(), begun.effects()):
        assert frame.empty and "arm" in frame
    with pytest.raises(bench.BenchError, match="has no finished trial"):
        begun.plot()


def test_a_figure_is_the_reports_and_leaves_the_notebooks_style(gates: bench.StudyResults) -> None:
    before = dict(matplotlib.rcParams)
    axes = gates.plot("differences")
    assert dict(matplotlib.rcParams) == before
    assert axes[0].get_xlabel().startswith("difference in top-1 accuracy (points)")
    assert len(gates.plot("curves")) == 8 and set(gates.figures) >= {"accuracy", "curves"}
    plt.close("all")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda results: results.study("golde"), "studies: golden, tuned"),
        (lambda results: results.study("golden").trial("base", 0), "no arm `base`"),
        (lambda results: results.study("golden").trial("prior", 3), "no seed `3`"),
        (lambda results: results.study("golden").trial("diverges", 0), "seed 0 was not finished: "),
        (lambda results: results.study("golden").plot("curve"), "did you mean `curves`"),
        (lambda results: results.study("golden").plot("interactions"), "nothing to draw"),
        (lambda results: bench.Results("nowhere").studies, "nowhere: holds no study"),
    ],
)
def test_what_is_not_there_is_one_clear_error(
    ask: Callable[[bench.Results], object], message: str
) -> None:
    with pytest.raises(bench.BenchError, match=message):
        ask(bench.Results(GOLDEN))
