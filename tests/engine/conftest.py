"""Searches over known functions: a bowl, and a space with a dimension that is not always there."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.design.lay import lay_study
from bench.design.study import load_study
from bench.searches import SearchPlan

SPACES = {
    "bowl": """
    train.learning_rate: {kind: float, low: 1.0e-4, high: 1.0e-1, scale: log, step: 10}
    train.batch_size: {kind: int, low: 8, high: 24, step: 8}
""",
    "conditional": """
    train.balancing: [none, focal]
    train.balancing_strength: {kind: float, low: 1, high: 3, step: 0.5, when: {train.balancing: focal}}
""",
}  # fmt: skip


def score_of(values: dict[str, Any]) -> float:
    """The known function: best at a learning rate of 0.01 and 16 images, or at a strength of 2."""
    if "train.learning_rate" in values:
        off = abs(math.log10(values["train.learning_rate"]) + 2)
        return -(off**2) - (values["train.batch_size"] / 16 - 1) ** 2
    return -((values.get("train.balancing_strength", 0.5) - 2) ** 2)


Plan = Callable[..., SearchPlan]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Makes an arm's search from the name of a space and the rest of its tuning."""

    def make(space: str, tuning: str, base: str = "ropanet") -> SearchPlan:
        file = tmp_path / "study.yaml"
        file.write_text(f"base: {base}\ntuning:\n  space:{SPACES[space]}  {tuning}\n")
        laid = lay_study(*load_study(file), profile="smoke")
        assert laid.tuning is not None
        return SearchPlan(laid.control.name, laid.control.spec, laid.tuning, "data")

    return make
