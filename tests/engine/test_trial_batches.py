"""Which trials are handed to a worker together."""

from __future__ import annotations

from typing import Any

import pytest

from bench.engine.trial_batches import MOST_TRIALS, trial_batches
from bench.store.plan import PlannedTrial
from tests.specs import spec_of


def trials(seeds: int, *arms: dict[str, Any], profile: str = "laptop") -> list[PlannedTrial]:
    """Trials as a study plans them, seeds outermost."""
    planned = []
    for seed in range(seeds):
        for number, arm in enumerate(arms):
            spec = spec_of(**{"preset": "ropanet", "profile": profile, "seed": seed} | arm)
            planned.append(PlannedTrial(f"{number}/{seed}", str(number), seed, spec, stored=False))
    return planned


def names(planned: list[PlannedTrial], workers: int = 2, reuse: bool = True) -> list[list[str]]:
    batches = trial_batches(planned, workers, reuse_compiled=reuse)
    return [[trial.id for trial in batch] for batch in batches]


GATES = ({"model.gate": "sigmoid"}, {"model.gate": "none"})
BASELINE = {"preset": "ropanet_baseline"}


def test_seeds_of_an_arm_go_together_and_each_trial_goes_once() -> None:
    found = names(trials(12, *GATES), workers=2)
    assert all(len({name.split("/")[0] for name in batch}) == 1 for batch in found)
    assert sorted(name for batch in found for name in batch) == sorted(
        trial.id for trial in trials(12, *GATES)
    )
    assert all(1 < len(batch) <= 4 for batch in found)


def test_learning_rates_and_sizes_of_data_go_together() -> None:
    arms = [BASELINE | {"train.learning_rate": rate} for rate in (0.1, 0.01, 0.001)]
    arms += [BASELINE | {"data.train_size": size} for size in (100, 200, 400)]
    assert names(trials(1, *arms), workers=1) == [
        ["0/0", "1/0"], ["2/0", "3/0"], ["4/0", "5/0"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "alone",
    [
        {"planned": trials(12, *GATES), "reuse": False},
        # The paper's size: hours a trial, and nothing to be gained.
        {"planned": trials(12, *GATES, profile="paper")},
        # As many trials as workers.
        {"planned": trials(2, *GATES), "workers": 4},
    ],
)
def test_trials_go_alone_where_a_batch_does_not_pay(alone: dict[str, Any]) -> None:
    assert all(len(batch) == 1 for batch in names(**alone))


def test_a_batch_is_not_so_long_that_workers_wait_for_its_end() -> None:
    found = names(trials(1000, {"preset": "prior"}), workers=2)
    assert max(map(len, found)) <= MOST_TRIALS and len(found) >= 16
