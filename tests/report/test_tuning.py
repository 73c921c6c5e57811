"""A tuned study's part of the report, from searches and trials made on the spot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from bench.analysis.load import load_arms
from bench.report.drawing import draw
from bench.report.figures.tuning import tuning_figures
from bench.report.page import write_report
from bench.report.tables.tuning import tuning_tables, tuning_warnings
from bench.store.searches import SearchLog, search_path
from bench.store.studies import RecordedSearch, RecordedTuning, StudyRecord
from bench.store.trials import Store
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.tuning.winners import search_plans, winners
from tests.report.test_report import SEEDS, record, study

SPACE = """
    train.learning_rate: {kind: float, low: 1.0e-4, high: 1.0e-1, scale: log}
    train.balancing: [none, focal]
"""
SCORES = {"gate=sigmoid": [0.2, 0.6, 0.4, 0.5, 0.3, 0.1, 0.55, 0.35, None], "gate=none": [0.4] * 9}


def searched(
    folder: Path, tuning: str, *, rungs: bool = False, repeats: bool = False
) -> tuple[Store, StudyRecord]:
    """A store with two arms' searches of nine proposals, and a trial of each winner."""
    file = folder / "study.yaml"
    file.write_text(f"axes: {{model.gate: [sigmoid, none]}}\ntuning:\n  space:{SPACE}  {tuning}\n")
    design = resolve_study(*load_study(file), profile="smoke")
    store = Store(folder / "results")
    plans = search_plans(design, None)
    for plan in plans:
        log = SearchLog(search_path(store.root, plan.id), plan, {"keras-tuner": "1"})
        for number, score in enumerate(SCORES[plan.arm]):
            values = {
                "train.learning_rate": 10 ** (-4 + 3 * number / 8),
                "train.balancing": ("none", "focal")[number % 2],
            }
            trial = 7 if repeats and number > 7 else number
            event = {
                "event": "proposed", "number": number, "values": values, "trials": [f"t{trial}"],
                "epochs": None, "spent": 2, "rung": None, "climbed": None,
            }  # fmt: skip
            if rungs:
                event |= {"rung": 0, "spent": 1} if number < 6 else {"rung": 1}
            log.append(event)
            error = None if score is not None else "FloatingPointError: nan"
            log.append({"event": "answered", "number": number, "score": score, "error": error})
        log.append({"event": "ended", "why": "the budget is spent"})
        log.close()
    for arm, skill in (("gate=sigmoid", 0.9), ("gate=none", 0.4)):
        for seed in range(SEEDS):
            store.write(record(f"{arm}{seed}", skill, seed))
    assert design.tuning is not None
    arms = {plan.arm: {str(seed): f"{plan.arm}{seed}" for seed in range(SEEDS)} for plan in plans}
    plain = replace(
        study("tuned", arms),
        tuning=RecordedTuning(
            algorithm=design.tuning.algorithm, metric="accuracy", direction="max", seeds=(1000,),
            seed=0, factor=None,
            space={p: d.model_dump(mode="json") for p, d in design.tuning.parameters.items()},
            searches={plan.arm: RecordedSearch(plan.id, plan.budget) for plan in plans},
        ),
    )  # fmt: skip
    assert set(winners(plans, store)) == set(arms)
    store.write_study(plain)
    return store, plain


def test_the_best_setting_stands_beside_its_test(tmp_path: Path) -> None:
    store, plain = searched(tmp_path, "trials: 9")
    arms = load_arms(store, plain)
    best, importance = tuning_tables(plain, arms)
    rows = {row["arm"]: row for row in best.rows}
    assert rows["gate=sigmoid"]["setting"] == "learning_rate 0.000237, balancing focal"
    assert rows["gate=sigmoid"]["validation top-1 %"] == "60.0"
    assert rows["gate=sigmoid"]["test top-1 %"].estimate == arms[0].estimate("accuracy")
    assert str(rows["gate=sigmoid"]["proposals"]) == "9 of 9, 1 failed"
    # One score failed, eight are left; where all are the same there is nothing to explain.
    assert {row["arm"] for row in importance.rows} == {"gate=sigmoid"}
    assert {row["setting"] for row in importance.rows} == set(plain.tuning.space)


def test_a_metric_whose_plugin_is_not_here_is_shown_by_its_name(tmp_path: Path) -> None:
    store, plain = searched(tmp_path, "trials: 9")
    assert plain.tuning is not None
    plain = replace(plain, tuning=replace(plain.tuning, metric="elsewhere"))
    arms = load_arms(store, plain)
    best, _ = tuning_tables(plain, arms)
    rows = {row["arm"]: row for row in best.rows}
    assert rows["gate=sigmoid"]["validation elsewhere"] == 0.6
    assert rows["gate=sigmoid"]["test elsewhere"].estimate.seeds == 0
    assert len(list(draw(tuning_figures, plain, arms))) == 2


def test_a_reader_is_warned_of_what_a_search_leaves_open(tmp_path: Path) -> None:
    store, plain = searched(tmp_path, "trials: 9", repeats=True)
    said = " ".join(tuning_warnings(plain, load_arms(store, plain)))
    assert "gate=sigmoid: 1 of 9 proposals failed and count as tried" in said
    assert "gate=none: 1 of 9 proposals repeated an earlier one" in said
    assert "gate=none: the best train.learning_rate, 0.0001, lies at the end of its range" in said
    assert "not complete" not in said and "Hyperband" not in said and "ended" not in said
    short = load_arms(store, plain)
    assert short[1].name == "gate=none" and short[1].search is not None
    del short[1].search.proposals[7:]
    assert "gate=none: the search ended after 7 proposals" in " ".join(
        tuning_warnings(plain, short)
    )
    path = search_path(store.root, plain.tuning.searches["gate=none"].id)
    path.write_text("\n".join(path.read_text().splitlines()[:4]) + "\n")
    said = " ".join(tuning_warnings(plain, load_arms(store, plain)))
    assert "gate=none: the search is not complete (1 proposal answered)" in said


def test_stopped_proposals_cannot_win_and_the_reader_is_told(tmp_path: Path) -> None:
    tuning = "algorithm: hyperband\n  epochs: 40"
    store, plain = searched(tmp_path, tuning, rungs=True)
    arms = load_arms(store, plain)
    # The best score of all, 0.6, was stopped after one epoch.
    assert arms[0].search is not None
    best = arms[0].search.best()
    assert best is not None and best.score == 0.55
    said = " ".join(tuning_warnings(plain, arms))
    assert "Hyperband stopped early: 7 of each arm's proposals were judged on partial" in said
    curves, _ = draw(tuning_figures, plain, arms)
    expected = curves.data[curves.data["curve"] == "expected"]
    assert expected.groupby("arm")["budget"].max().to_dict() == {"gate=sigmoid": 3, "gate=none": 3}


def test_the_report_holds_every_proposal_and_where_the_curves_end(tmp_path: Path) -> None:
    searched(tmp_path, "trials: 9")
    write_report(Store(tmp_path / "results"), tmp_path / "report", formats=["markdown"])
    page = (tmp_path / "report" / "report.md").read_text()
    assert "Each arm at its best" in page and "Expected best validation score" in page
    assert "gate=sigmoid: 1 of 9 proposals failed" in page and "none was tuned here" not in page
    drawn = tmp_path / "report" / "figures"
    space = pd.read_csv(drawn / "tuned.space.csv")
    assert len(space) == 18 and {"train.learning_rate", "train.balancing"} <= set(space.columns)
    curves = pd.read_csv(drawn / "tuned.expected_best.csv")
    went = curves[curves["curve"] == "as it went"].groupby("arm")
    assert went["best"].last().to_dict() == {"gate=none": 0.4, "gate=sigmoid": 0.6}
    assert went["budget"].last().to_dict() == {"gate=none": 18, "gate=sigmoid": 18}
