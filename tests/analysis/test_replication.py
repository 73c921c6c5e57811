"""A study measured twice: how often the same truth is called different, and a shift found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.analysis.arms import Arm, effects
from bench.analysis.intervals import over_unpaired_seeds
from bench.analysis.repeated import difference_of
from bench.analysis.replication import (
    Agreement,
    ArmReplication,
    EffectReplication,
    Turn,
    answer_of,
    arm_replications,
    effect_replications,
)
from tests.analysis.made import trial

MARGINS: dict[str, float | None] = {"accuracy": 0.02, "top_3": 0.02, "top_5": 0.02}
ARMS, IMAGES = 6, 600


def measured(
    rng: np.random.Generator,
    hard: np.ndarray,
    *,
    seeds: range = range(5),
    of_seed: float = 0.01,
    shift: float = 0.0,
    arms: int = ARMS,
) -> list[Arm]:
    """Arms whose accuracies vary with the seed and the images; the last one's is shifted."""
    found = []
    for number in range(arms):
        trials = {}
        for seed in seeds:
            share = 0.7 + rng.normal(0, of_seed) + (shift if number == arms - 1 else 0.0)
            noisy = np.clip(hard + rng.normal(0, 0.1, len(hard)), 0, 1)
            # A rank of 1 is a hit among the first three.
            ranks = np.select([noisy < share, noisy < share + 0.15, noisy < share + 0.2], [0, 1, 3])
            ranks[noisy >= share + 0.2] = 9
            trials[seed] = trial(ranks)
        found.append(Arm(f"arm {number}", {}, "arm 0" if number else None, trials, len(seeds), {}))
    return found


def replicated(a: list[Arm], b: list[Arm], *, same_data: bool = True) -> list[ArmReplication]:
    return arm_replications(a, b, MARGINS, same_data=same_data)


@pytest.mark.parametrize(
    ("seeds", "of_seed"),
    [(range(5), 0.01), (range(5), 0.03), (range(3), 0.02), (range(10, 15), 0.02),
     (range(4, 8), 0.02)],
    ids=["paired", "noisy seeds", "three seeds", "other seeds", "one seed shared"],
)  # fmt: skip
def test_two_measurements_of_the_same_truth_are_called_different_in_5_percent_at_most(
    seeds: range, of_seed: float
) -> None:
    rng, studies, called = np.random.default_rng([seeds.start, len(seeds)]), 200, 0
    for _ in range(studies):
        hard = rng.random(IMAGES)
        first = range(3) if len(seeds) == 3 else range(5)
        a = measured(rng, hard, seeds=first, of_seed=of_seed)
        b = measured(rng, hard, seeds=seeds, of_seed=of_seed)
        called += answer_of(replicated(a, b), []) is Agreement.DIFFERS
    # Of 200 studies at 5 %, more than 16 come once in 30.
    assert called / studies <= 0.08


@pytest.mark.parametrize(("seeds", "shift"), [(5, 0.07), (10, 0.03)])
def test_a_planted_shift_is_found_in_four_of_five_studies(seeds: int, shift: float) -> None:
    """One arm of six moves; its seeds' standard deviation is 1 point."""
    rng, studies, found, others = np.random.default_rng(seeds), 100, 0, 0
    for _ in range(studies):
        hard = rng.random(IMAGES)
        a = measured(rng, hard, seeds=range(seeds))
        b = measured(rng, hard, seeds=range(seeds), shift=shift)
        arms = replicated(a, b)
        differing = {arm.arm for arm in arms if arm.agreement is Agreement.DIFFERS}
        found += "arm 5" in differing
        others += bool(differing - {"arm 5"})
        assert answer_of(arms, []) is Agreement.DIFFERS or not differing
    assert found / studies >= 0.8 and others / studies <= 0.08


def test_measurements_that_are_precise_enough_are_said_to_agree() -> None:
    rng = np.random.default_rng(3)
    hard = rng.random(IMAGES)
    told = []
    for _ in range(20):
        a, b = (measured(rng, hard, seeds=range(10), of_seed=0.004) for _ in "ab")
        told += [arm.agreement for arm in replicated(a, b)]
    assert np.mean([how is Agreement.AGREES for how in told]) > 0.8
    assert Agreement.IDENTICAL not in told


def test_the_same_results_are_identical_whatever_the_number_of_seeds() -> None:
    rng = np.random.default_rng(4)
    a = measured(rng, rng.random(IMAGES), seeds=range(2))
    arms = replicated(a, a)
    assert len(arms) == ARMS * len(MARGINS)
    assert {arm.agreement for arm in arms} == {Agreement.IDENTICAL}
    assert all(arm.difference.mean.mean == 0 and np.isnan(arm.p_differs) for arm in arms)
    assert answer_of(arms, effect_replications(a, a, MARGINS)) is Agreement.IDENTICAL
    # Images of the same name on other data are not the same images.
    told = {arm.verdict for arm in replicated(a, a, same_data=False)}
    assert told == {"too few seeds to tell (2 of at least 3)"}


def test_what_is_identical_does_not_weigh_on_the_rest() -> None:
    rng = np.random.default_rng(5)
    hard = rng.random(IMAGES)
    a, moved = measured(rng, hard), measured(rng, hard, shift=0.05)
    arms = replicated(a, [*a[:-1], moved[-1]])
    (last,) = (arm for arm in arms if arm.arm == "arm 5" and arm.metric == "accuracy")
    assert last.p_differs <= len(MARGINS) * last.difference.mean.p
    assert [arm.agreement for arm in arms].count(Agreement.IDENTICAL) == 5 * len(MARGINS)


def test_seeds_are_paired_where_both_have_them_and_all_are_taken_where_not() -> None:
    rng = np.random.default_rng(6)
    hard = rng.random(IMAGES)
    (a,) = measured(rng, hard, arms=1)
    (more,) = measured(rng, hard, seeds=range(2, 9), arms=1)
    (others,) = measured(rng, hard, seeds=range(4, 9), arms=1)
    (one,) = measured(rng, hard, seeds=range(1), arms=1)
    three, none, few = (
        difference_of(a, b, "accuracy", same_data=True) for b in (more, others, one)
    )
    assert (three.paired, three.seeds, three.same_images) == (True, 3, True)
    assert (none.paired, none.seeds) == (False, 5)
    means = [
        np.mean([one.outcomes.ranks < 1 for one in arm.trials.values()]) for arm in (a, others)
    ]
    assert none.mean.mean == pytest.approx(means[1] - means[0])
    assert (few.paired, few.seeds) == (True, 1)


def test_over_seeds_alone_an_unpaired_difference_is_welchs() -> None:
    one, other = np.array([0.4, 0.45, 0.38, 0.5]), np.array([0.3, 0.42, 0.37, 0.31, 0.36])
    mine = over_unpaired_seeds(one[:, None], other[:, None], same_images=False)
    welch = stats.ttest_ind(one, other, equal_var=False)
    assert mine.mean == pytest.approx(one.mean() - other.mean()) and mine.images == 0
    error = np.sqrt(one.var(ddof=1) / 4 + other.var(ddof=1) / 5)
    half = stats.t.isf(0.025, int(welch.df)) * error  # degrees of freedom are rounded down
    assert mine.high - mine.mean == pytest.approx(half)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("few", "many"), [(3, 3), (4, 8)])
def test_an_unpaired_difference_holds_the_truth(same: bool, few: int, many: int) -> None:
    rng, held, images = np.random.default_rng([few, many]), 0, 300
    for _ in range(400):
        shared = rng.normal(0, 0.3, (1, images))
        one, other = (
            rng.normal(0, 0.02, (seeds, 1))
            + (shared if same else rng.normal(0, 0.3, (1, images)))
            + rng.normal(0, 0.1, (1, images))
            + rng.normal(0, 0.3, (seeds, images))
            for seeds in (few, many)
        )
        estimate = over_unpaired_seeds(one, other, same_images=same)
        held += estimate.low <= 0 <= estimate.high
    assert 0.925 <= held / 400 <= 0.99


def test_an_effect_turns_round_only_from_better_to_worse() -> None:
    rng = np.random.default_rng(7)
    hard = rng.random(IMAGES)
    up, down = (measured(rng, hard, shift=shift, arms=2) for shift in (0.1, -0.1))
    (effect,) = effects(up, "arm 0", "accuracy", 0.02)
    assert effect.verdict == "better"
    turns = {
        (one, other): EffectReplication(
            replace(effect, verdict=one, settled=not one.startswith("cannot")),
            replace(effect, verdict=other, settled=not other.startswith("cannot")),
            "arm 0",
        ).turn
        for one in ("better", "worse", "equivalent", "cannot tell at 5 seeds")
        for other in ("better", "worse", "equivalent", "cannot tell at 3 seeds")
    }
    assert [pair for pair, turn in turns.items() if turn is Turn.TURNED] == [
        ("better", "worse"),
        ("worse", "better"),
    ]
    assert turns["better", "equivalent"] is Turn.OTHER
    assert turns["better", "cannot tell at 3 seeds"] is Turn.LOST
    assert turns["cannot tell at 5 seeds", "worse"] is Turn.GAINED
    assert turns["cannot tell at 5 seeds", "cannot tell at 3 seeds"] is Turn.SAME
    found = effect_replications(up, down, {"accuracy": 0.02})
    assert [(e.turn, e.same_sign, e.overlap) for e in found] == [(Turn.TURNED, False, False)]
    assert answer_of([], found) is Agreement.DIFFERS
