"""Main effects and interactions against what was planted."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from bench.analysis.arms import Arm
from bench.analysis.factors import factor_effects
from tests.analysis.made import trial

AXES = {"gate": ["on", "off"], "depth": ["1", "2", "3"]}
CONTROL = {"gate": "on", "depth": "1"}
IMAGES = 400


def arm(levels: dict[str, str], share: float, seeds: int = 4) -> Arm:
    """An arm that is right on about a share of the images, the same ones in every arm."""
    hardness = np.random.default_rng(0).random(IMAGES)
    trials = {}
    for seed in range(seeds):
        wobble = np.random.default_rng([seed, 7]).normal(0, 0.01)
        right = hardness < share + wobble
        ranks = np.where(right, 0, 9)
        trials[seed] = trial(ranks, {"accuracy": float(right.mean())})
    return Arm(", ".join(levels.values()), levels, None, trials, seeds, {})


def grid(share: Any, axes: dict[str, list[str]] = AXES) -> list[Arm]:
    cells = (dict(zip(axes, cell, strict=True)) for cell in product(*axes.values()))
    return [arm(levels, share(**levels)) for levels in cells]


def test_a_main_effect_is_the_difference_of_marginal_means() -> None:
    arms = grid(lambda gate, depth: 0.3 + 0.2 * (gate == "off") + 0.1 * (depth == "3"))
    found = {c.name: c for c in factor_effects(arms, AXES, CONTROL, "accuracy")}
    means = {a.name: a.estimate("accuracy").mean for a in arms}
    off = np.mean([means[f"off, {d}"] - means[f"on, {d}"] for d in "123"])
    gate = found["gate: off against on"]
    assert gate.difference is not None and gate.difference.mean == pytest.approx(off)
    assert gate.verdict == "better" and gate.order == 1
    assert found["depth: 3 against 1"].verdict == "better"
    assert found["depth: 2 against 1"].verdict.startswith("cannot tell")
    interactions = [c for c in found.values() if c.order == 2]
    assert len(interactions) == 2
    assert all(c.difference and abs(c.difference.mean) < 0.03 for c in interactions)


def test_an_interaction_is_the_change_of_one_effect_with_the_other() -> None:
    arms = grid(lambda gate, depth: 0.3 + 0.3 * (gate == "off" and depth == "2"))
    found = {c.name: c for c in factor_effects(arms, AXES, CONTROL, "accuracy")}
    means = {a.name: a.estimate("accuracy").mean for a in arms}
    by_hand = (means["off, 2"] - means["on, 2"]) - (means["off, 1"] - means["on, 1"])
    both = found["gate: off against on x depth: 2 against 1"]
    assert both.difference is not None and both.difference.mean == pytest.approx(by_hand)
    assert both.verdict == "better"


def test_what_the_cells_run_cannot_tell_apart_is_said() -> None:
    axes = {name: ["0", "1"] for name in "abc"}
    # Half of 2^3 with c = a x b: each main effect is confounded with an interaction.
    arms = [a for a in grid(lambda a, b, c: 0.3 + 0.3 * (a == "1"), axes)
            if (int(a.levels["a"]) + int(a.levels["b"]) + int(a.levels["c"])) % 2 == 0]  # fmt: skip
    found = {c.name: c for c in factor_effects(arms, axes, dict.fromkeys("abc", "0"), "accuracy")}
    assert found["a: 1 against 0"].verdict == "better"
    pair = found["a: 1 against 0 x b: 1 against 0"]
    assert pair.difference is None and "confounded" in pair.verdict


def test_two_seeds_are_too_few_and_no_shared_seed_is_nothing() -> None:
    arms = [arm({"gate": g, "depth": d}, 0.3, seeds=2) for g, d in product(*AXES.values())]
    found = factor_effects(arms, AXES, CONTROL, "accuracy")
    assert all(c.verdict.startswith("too few seeds") for c in found)
    assert factor_effects([], AXES, CONTROL, "accuracy") == []
    assert factor_effects(arms, {"gate": ["on", "off"]}, CONTROL, "accuracy") == []
