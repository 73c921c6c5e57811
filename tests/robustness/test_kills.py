"""A finished trial is never lost and never trained again, whatever is killed and when."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.robustness.kills import torment


@pytest.mark.timeout(600)
def test_runs_that_are_killed_end_as_if_nothing_had_happened(
    tmp_path: Path, own_warm_cache: Path
) -> None:
    outcome = torment(tmp_path, kills=3, seeds=2, rng=random.Random(2))
    assert outcome.faults == []
    assert outcome.killed.total() == 3 and outcome.trials == 8 * outcome.studies
