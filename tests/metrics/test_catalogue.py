"""A metric is one entry: a new one is in tables, effects and a tuning's choices at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bench
from bench.analysis.load import load_arms
from bench.errors import BenchError
from bench.metrics.catalogue import LANDMARK_ERROR, METRICS, Metric, scores
from bench.report.tables.arms import arms_table, effects_table
from bench.store.outcomes import stored_outcomes, stored_score
from bench.store.trials import Store
from bench.study.resolve import resolve_study
from bench.study.schema import study_schema
from bench.study.study import load_study
from tests.report.test_report import record, study

GOLDEN = Path(__file__).parents[1] / "golden" / "store"
MRR = Metric(
    "reciprocal_rank",
    label="reciprocal rank %",
    short="MRR",
    direction="max",
    unit="share",
    group="classification",
    compared=True,
    for_tuning=True,
    per_image=lambda outcomes: 1 / (outcomes.ranks + 1),
)
TUNED = """
base: ropanet_baseline
tuning:
  space: {train.learning_rate: [0.1, 0.01]}
  trials: 2
  metric: METRIC
"""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean reciprocal rank, as a plug-in adds it."""
    monkeypatch.setitem(METRICS, MRR.name, MRR)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A control and a better arm of four seeds, trained before the metric was there."""
    store = Store(tmp_path / "results")
    arms = {name: {str(seed): f"{name}{seed}" for seed in range(4)} for name in ("worse", "better")}
    for name, trials in arms.items():
        for seed, identity in trials.items():
            store.write(record(identity, 0.9 if name == "better" else 0.5, int(seed)))
    store.write_study(study("ranks", arms))
    return store


def test_a_registered_metric_is_measured_and_compared(registered: None, store: Store) -> None:
    (ranks,) = store.studies()
    arms = load_arms(store, ranks)
    table = arms_table(ranks, arms)
    assert table.columns[-1] == "reciprocal rank %"
    cell = table.raw().set_index("arm").loc["better"]
    by_hand = np.mean([1 / (trial.outcomes.ranks + 1) for trial in arms[1].trials.values()])
    assert cell["reciprocal rank % mean"] == pytest.approx(100 * by_hand)
    assert cell["reciprocal rank % images"] == 80 and cell["reciprocal rank % seeds"] == 4

    effects = effects_table("effects", ranks, arms, "worse")
    assert effects is not None
    (row,) = (row for row in effects.rows if row["metric"] == "MRR (points)")
    assert row["arm"] == "better" and row["verdict"] == "better"
    assert 0 < row["difference"].estimate.low < row["difference"].estimate.high


def test_a_registered_metric_judges_proposals_also_trials_of_before(
    registered: None, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(TUNED.replace("METRIC", MRR.name))
    tuning = resolve_study(*load_study(file), profile="laptop").tuning
    assert tuning is not None and (tuning.metric, tuning.direction) == (MRR.name, "max")
    by_hand = np.mean(1 / (stored_outcomes(store.read("better0")).ranks + 1))
    assert stored_score(store, "better0", MRR.name) == pytest.approx(by_hand)
    assert MRR.name in study_schema()["$defs"]["Tuning"]["properties"]["metric"]["enum"]


@pytest.mark.parametrize("name", [MRR.name, "gate_mean"])
def test_a_name_that_is_no_metric_of_a_tuning_is_an_error_with_choices(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(TUNED.replace("METRIC", name))
    with pytest.raises(BenchError) as raised:
        load_study(file)
    message = str(raised.value)
    assert "study.yaml:6:3: `tuning.metric`" in message and f"found '{name}'" in message
    assert "'accuracy' or 'top_3'" in message and "'landmark_loss'" in message


@pytest.mark.parametrize("identity", sorted(Store(GOLDEN).ids()))
def test_what_was_stored_before_is_computed_again_to_the_last_bit(identity: str) -> None:
    stored = Store(GOLDEN).read(identity)
    again = scores(stored_outcomes(stored), stored.spec["eval"])
    assert set(again) >= {"accuracy", "loss", "precision_pooled"}
    if stored.spec["model"]["kind"] == "prior":  # scored before its answer was rounded to float32
        del again["loss"]
    assert {name: repr(stored.metrics[name]) for name in again} == {
        name: repr(value) for name, value in again.items()
    }


def test_the_name_of_a_metric_stands_in_one_file() -> None:
    sources = Path(bench.__file__).parent.rglob("*.py")
    named = [path.name for path in sources if f'"{LANDMARK_ERROR.name}"' in path.read_text()]
    assert named == ["catalogue.py"]
