"""A study's `tuning:` block: the space of each arm, its budget, and every fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.study.budget import budget_of, rungs
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.space import active, corners, feature_specs, judged, space_of, with_values
from bench.study.study import load_study
from bench.study.trial import canonical, trial_id

HEAD = "tuning:\n  space:\n"
RATE = "    train.learning_rate: {kind: float, low: 0.001, high: 0.1, scale: log}\n"
GATES = "    model.gate: [none, sigmoid]\n"


def resolve(folder: Path, text: str, profile: str = "laptop") -> Design:
    file = folder / "study.yaml"
    file.write_text(text)
    known = {"train.epochs": 10, "train.patience": None}
    ten = known if profile == "laptop" and "train.epochs" not in text else {}
    return resolve_study(*load_study(file), profile=profile, settings=ten)


FAULTS = {
    "unknown setting": (
        f"{HEAD}    train.learning_rat: [0.1, 0.2]\n  trials: 2\n", "3:5",
        "`train.learning_rat` is no setting", "`train.learning_rate`"),
    "unknown key": (f"{HEAD}{RATE}  trial: 2\n", "4:3", "no key `trial`", "`trials`"),
    "unknown key of a dimension": (
        f"{HEAD}    train.epochs: {{kind: int, lw: 1, high: 2}}\n  trials: 2\n", "3:31",
        "no key `lw`", "`low`"),
    "a range the wrong way": (
        f"{HEAD}    train.epochs: {{kind: int, low: 3, high: 2}}\n  trials: 2\n", "3:5",
        "low must be below high", ""),
    "outside the setting's own range": (
        f"{HEAD}    train.learning_rate: {{kind: float, low: 0.1, high: 99}}\n  trials: 2\n", "3:5",
        "less than or equal to 10", ""),
    "no such choice": (
        f"{HEAD}    model.gate: [none, noen]\n  trials: 2\n", "3:5", "found 'noen'", "`none`"),
    "no budget": (f"{HEAD}{RATE}", "1:1", "needs a budget", ""),
    "two budgets": (f"{HEAD}{RATE}  trials: 2\n  epochs: 20\n", "1:1", "not both", ""),
    "more proposals than points": (
        f"{HEAD}{GATES}  trials: 3\n", "4:3", "the space has 2 points", "algorithm: grid"),
    "a grid without end": (
        f"{HEAD}{RATE}  algorithm: grid\n", "3:5", "no end of values", "step"),
    "epochs that do not divide": (
        f"{HEAD}{RATE}  epochs: 25\n", "4:3", "no whole number of proposals of 10", "20 or 30"),
    "too little for hyperband": (
        f"{HEAD}{RATE}  algorithm: hyperband\n  epochs: 50\n", "5:3", "too few for one pass",
        "at least 144"),
    "a seed of the study's own": (
        f"{HEAD}{RATE}  trials: 2\n  seeds: [1]\n", "5:3", "seed 1 is one of the study's own", ""),
    "the data": (
        f"{HEAD}    data.train_size: [100, 200]\n  algorithm: grid\n", "3:5",
        "`data.train_size` cannot be tuned", ""),
    "a setting that would have no effect": (
        f"{HEAD}    train.balancing: [none, focal]\n"
        "    train.balancing_strength: {kind: float, low: 1, high: 2}\n  trials: 2\n", "4:5",
        "balancing none has no strength", ""),
    "a condition that never holds": (
        f"{HEAD}{GATES}    model.gate_bias: {{kind: float, low: 0, high: 1, "
        "when: {model.gate: residual}}\n  trials: 2\n", "4:60", "`model.gate` is never 'residual'",
        "none, sigmoid"),
    "arms on other validation images": (
        f"axes: {{data.validation_size: [10, 20]}}\n{HEAD}{RATE}  trials: 2\n", "3:3",
        "differ in data.validation_size", "same validation images"),
    "no validation images": (
        f"base: {{preset: ropanet, data.validation_size: 0}}\n{HEAD}{RATE}  trials: 2\n", "3:3",
        "data.validation_size is 0", ""),
    "an axis of the same": (
        f"axes: {{arm: {{a: {{}}, b: {{train.learning_rate: 0.1}}}}}}\n{HEAD}{RATE}  trials: 2\n",
        "4:5", "would ignore the levels of the axis `arm`", "out of the axis"),
    "a metric that an arm lacks": (
        f"base: ropanet_baseline\n{HEAD}{RATE}  trials: 2\n  metric: landmark_ne\n", "6:3",
        "has no landmark_ne", ""),
    "rungs that differ": (
        f"axes: {{train.epochs: [4, 9]}}\n{HEAD}{RATE}  algorithm: hyperband\n  epochs: 900\n",
        "5:3", "differ in train.epochs", "rungs are the same for every arm"),
    "an overlay that does not fit": (
        f"{HEAD}{GATES}  trials: 2\nprofiles: {{laptop: {{tuning: {{trials: 4}}}}}}\n", "5:30",
        "4 proposals are asked for", "at most 2"),
    "an overlay of nothing": (
        "profiles: {laptop: {tuning: {trials: 4}}}\n", "1:21", "does not have", "`tuning:`"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_message_with_its_place(fault: str, tmp_path: Path) -> None:
    text, place, found, advice = FAULTS[fault]
    with pytest.raises(BenchError) as raised:
        resolve(tmp_path, text)
    message = str(raised.value)
    assert f"study.yaml:{place}: " in message
    assert found in message and advice in message and message.count("\n") <= 1


CONDITIONAL = f"""
axes: {{model.gate: [sigmoid, none]}}
{HEAD}
    train.balancing: [none, focal]
    train.balancing_strength: {{kind: float, low: 1, high: 3, when: {{train.balancing: focal}}}}
    model.gate_bias: {{kind: float, low: 0, high: 2, when: {{model.gate: sigmoid}}}}
  trials: 4
"""


def test_a_dimension_exists_where_its_conditions_hold(tmp_path: Path) -> None:
    design = resolve(tmp_path, CONDITIONAL)
    assert design.tuning is not None
    with_mask, without = (space_of(design.tuning, arm.spec) for arm in design.arms())
    assert list(with_mask) == [*without, "model.gate_bias"]
    assert active(without, {}) == {"train.balancing": "none"}
    assert {"train.balancing": "focal", "train.balancing_strength": 3.0} in list(corners(without))


def test_a_proposal_is_the_arm_with_the_values_over_it_and_never_sees_the_test_images(
    tmp_path: Path,
) -> None:
    spec = next(resolve(tmp_path, CONDITIONAL).arms()).spec
    proposed = judged(with_values(spec, {"train.balancing": "focal"}, epochs=3))
    assert proposed.train is not None and proposed.train.balancing == "focal"
    assert (proposed.train.epochs, proposed.eval.split) == (3, "validation")
    assert proposed.model == spec.model
    assert trial_id(judged(spec), "x") != trial_id(spec, "x")
    # Trials from before there was a choice keep their identity.
    assert "split" not in canonical(spec)["eval"]


def test_the_budget_is_the_same_for_every_arm(tmp_path: Path) -> None:
    def budgets(tuning: str) -> list[tuple[int | None, int | None]]:
        design = resolve(
            tmp_path, f"axes: {{model.gate: [sigmoid, none]}}\n{HEAD}{RATE}  {tuning}\n"
        )
        assert design.tuning is not None
        found = [budget_of(design.tuning, arm.spec) for arm in design.arms()]
        return [(budget.proposals, budget.epochs) for budget in found]

    assert budgets("trials: 7") == [(7, None)] * 2
    assert budgets("epochs: 40") == [(4, 40)] * 2
    # Two whole passes: (12, 2) (4, 4) (2, 10); (6, 4) (2, 10); (4, 10).
    assert budgets("algorithm: hyperband\n  epochs: 300") == [(60, 288)] * 2
    assert rungs(9, 3) == [[(9, 1), (3, 3), (1, 9)], [(5, 3), (2, 9)], [(3, 9)]]


def test_a_profile_changes_the_budget(tmp_path: Path) -> None:
    text = f"{HEAD}{RATE}  trials: 7\nprofiles: {{smoke: {{tuning: {{epochs: 8, seeds: 2}}}}}}\n"
    smoke, laptop = (resolve(tmp_path, text, profile).tuning for profile in ("smoke", "laptop"))
    assert smoke is not None and (smoke.trials, smoke.epochs) == (None, 8)
    assert smoke.seed_list == [1000, 1001]
    assert laptop is not None and (laptop.trials, laptop.epochs) == (7, None)


def test_every_backbone_that_may_be_proposed_has_its_features(tmp_path: Path) -> None:
    text = f"{HEAD}    model.backbone.input_size: [64, 96]\n{RATE}  trials: 3\n"
    design = resolve(tmp_path, text)
    assert design.tuning is not None
    sizes = [s.model.backbone.input_size for s in feature_specs(design.tuning, design.control.spec)]
    assert sizes == [64, 96]
    with pytest.raises(BenchError, match="extracted, all of them beforehand"):
        resolve(tmp_path, f"{HEAD}    model.backbone.input_size: {{kind: int, low: 64, high: 96}}\n"
                "  trials: 3\n")  # fmt: skip
