"""Searches that need no training."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.store.searches import SearchPlan
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from tests.tuning.known import SPACES, Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Makes an arm's search from the name of a space, the rest of its tuning, and a base."""

    def make(space: str, tuning: str, base: str = "ropanet") -> SearchPlan:
        file = tmp_path / "study.yaml"
        file.write_text(f"base: {base}\ntuning:\n  space:{SPACES[space]}  {tuning}\n")
        design = resolve_study(*load_study(file), profile="smoke")
        assert design.tuning is not None
        return SearchPlan(
            design.control.name, design.control.spec, design.tuning, lambda spec: "data"
        )

    return make
