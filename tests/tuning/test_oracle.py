"""An arm's search against KerasTuner alone, equal budgets, and searches that are cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

from bench.errors import BenchError
from bench.store.searches import SearchLog, SearchPlan, read_search
from bench.study.budget import rungs
from bench.tuning.oracle import ArmSearch, versions
from tests.tuning.known import Plan, score_of

MODES = {
    "random": "algorithm: random\n  trials: 6",
    "grid": "algorithm: grid",
    "bayesian": "algorithm: bayesian\n  trials: 8",
    "hyperband": "algorithm: hyperband\n  epochs: 45",
}
EPOCHS = {"hyperband": "{preset: ropanet, train.epochs: 4}"}


def searching(plan: SearchPlan, file: Path) -> ArmSearch:
    return ArmSearch(plan, SearchLog(file, plan, versions()))


def run_out(search: ArmSearch, most: int = 1000) -> list[dict[str, Any]]:
    """Search one proposal at a time; the points in order."""
    for proposal in search.pending():
        search.tell(proposal.number, score_of(proposal.values))
    for _ in range(most):
        proposal = search.ask()
        if proposal is None:
            break
        search.tell(proposal.number, score_of(proposal.values))
    search.close()
    return [{**p.values, "epochs": p.spent} for p in search.search.proposals]


def alone(space: str, mode: str) -> Iterator[dict[str, Any]]:
    """The same search as a KerasTuner user would write it."""
    hp = keras_tuner.HyperParameters()
    if space == "bowl":
        hp.Float("train.learning_rate", 1e-4, 1e-1, sampling="log", step=10)
        hp.Int("train.batch_size", 8, 24, step=8)
    else:
        hp.Choice("train.balancing", ["none", "focal"])
        with hp.conditional_scope("train.balancing", ["focal"]):
            hp.Float("train.balancing_strength", 1, 3, step=0.5)
    common = {"objective": keras_tuner.Objective("score", "max"), "hyperparameters": hp, "seed": 1}
    oracles = keras_tuner.oracles
    oracle = {
        "random": lambda: oracles.RandomSearchOracle(max_trials=6, **common),
        "grid": lambda: oracles.GridSearchOracle(**common),
        "bayesian": lambda: oracles.BayesianOptimizationOracle(max_trials=8, **common),
        "hyperband": lambda: oracles.HyperbandOracle(max_epochs=4, **common),
    }[mode]()
    oracle.verbose = 0
    oracle._set_project_dir(Path.cwd(), "alone")
    while (trial := oracle.create_trial("me")).status == "RUNNING":
        values = dict(trial.hyperparameters.values)
        own = {key: value for key, value in values.items() if not key.startswith("tuner/")}
        yield {**own, "epochs": values.get("tuner/epochs", 2)}
        oracle.update_trial(trial.trial_id, {"score": score_of(own)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)


@pytest.mark.parametrize(
    ("space", "mode"),
    [("bowl", "random"), ("bowl", "grid"), ("bowl", "bayesian"), ("bowl", "hyperband"),
     ("conditional", "random"), ("conditional", "grid")],
)  # fmt: skip
def test_proposals_are_those_of_keras_tuner_alone_and_survive_a_kill(
    space: str, mode: str, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = plan(space, MODES[mode], EPOCHS.get(mode, "ropanet"))
    points = run_out(searching(asked, tmp_path / "whole.jsonl"))
    assert points == list(alone(space, mode))
    assert len(points) == asked.budget.proposals

    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    # Cut off at every line; where a proposal takes a while, at a few.
    ends = range(len(lines)) if mode != "bayesian" else (3, len(lines) - 3)
    for end in ends:
        cut = tmp_path / f"{end}.jsonl"
        # The last line is torn, as by a kill in the middle of writing it.
        cut.write_bytes(b"".join(lines[:end]) + lines[end][: len(lines[end]) // 2])
        assert run_out(searching(asked, cut)) == points
        assert cut.read_bytes() == b"".join(lines)


def test_hyperbands_rungs_are_those_that_the_budget_is_reckoned_with(
    plan: Plan, tmp_path: Path
) -> None:
    asked = plan("bowl", MODES["hyperband"], EPOCHS["hyperband"])
    points = run_out(searching(asked, tmp_path / "search.jsonl"))
    expected = [each for bracket in rungs(4, 3) for count, each in bracket for _ in range(count)]
    assert sorted(point["epochs"] for point in points) == sorted(expected)
    assert asked.budget.epochs == sum(expected) <= 45 < 2 * sum(expected)
    search = read_search(tmp_path / "search.jsonl")
    assert search is not None and search.complete
    assert {proposal.spent for proposal in search.whole()} == {4}
    climbed = next(p for p in search.proposals if p.rung == 1)
    assert climbed.climbed is not None
    assert search.proposals[climbed.climbed].values == climbed.values


def test_a_budget_of_epochs_is_spent_to_the_last_one(plan: Plan, tmp_path: Path) -> None:
    tuning = "  train.epochs: {kind: int, low: 2, high: 7}\n  epochs: 29"
    asked = plan("bowl", tuning)
    points = run_out(searching(asked, tmp_path / "search.jsonl"))
    assert sum(point["epochs"] for point in points) == 29
    search = read_search(tmp_path / "search.jsonl")
    assert search is not None and search.spent == 29
    last = search.proposals[-1]
    assert last.epochs in (None, last.spent)
    fixed = plan("bowl", "epochs: 8")
    assert [p["epochs"] for p in run_out(searching(fixed, tmp_path / "fixed.jsonl"))] == [2] * 4


def test_what_is_pending_is_known_to_the_oracle_and_a_failure_is_an_answer(
    plan: Plan, tmp_path: Path
) -> None:
    search = searching(plan("bowl", MODES["random"]), tmp_path / "search.jsonl")
    first, second = search.ask(), search.ask()
    assert first is not None and second is not None and first.values != second.values
    assert len(search._oracle.ongoing_trials) == 2
    search.tell(second.number, None, "FloatingPointError: the loss became nan")
    search.tell(first.number, 0.5)
    assert search.pending() == [] and search._oracle.ongoing_trials == {}
    assert len(run_out(search)) == 6
    best = search.search.best()
    assert best is not None and best.number == first.number
    assert search.search.complete and search.search.proposals[1].error is not None


def test_a_grid_waits_for_what_is_pending_and_goes_on(plan: Plan, tmp_path: Path) -> None:
    asked = plan("conditional", "algorithm: grid")
    search = searching(asked, tmp_path / "search.jsonl")
    taken = [search.ask(), search.ask(), search.ask()]
    assert taken[2] is None and search.search.ended is None
    search.close()
    search = searching(asked, tmp_path / "search.jsonl")
    assert search.ask() is None, "the pause is remembered"
    assert [proposal.number for proposal in search.pending()] == [0, 1]
    assert len(run_out(search)) == asked.budget.proposals == 6


def test_one_run_at_a_time_searches(plan: Plan, tmp_path: Path) -> None:
    asked = plan("bowl", MODES["random"])
    search = searching(asked, tmp_path / "search.jsonl")
    with pytest.raises(BenchError, match="another run is at this search"):
        searching(asked, tmp_path / "search.jsonl")
    search.close()
    searching(asked, tmp_path / "search.jsonl").close()


def test_a_search_that_cannot_be_repeated_is_refused(plan: Plan, tmp_path: Path) -> None:
    asked, file = plan("bowl", MODES["random"]), tmp_path / "search.jsonl"
    run_out(searching(asked, file), most=2)
    text = file.read_text()
    rate = json.loads(text.splitlines()[1])["values"]["train.learning_rate"]
    file.write_text(text.replace(f'"train.learning_rate": {rate}', '"train.learning_rate": 0.5'))
    with pytest.raises(BenchError, match=r"at proposal 0 KerasTuner does otherwise.*keras-tuner"):
        searching(asked, file)
    file.write_text(text.replace('"event": "proposed"', '"event": "propos', 1))
    with pytest.raises(BenchError, match=r"search\.jsonl:2: cannot be read"):
        read_search(file)
