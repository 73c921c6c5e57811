"""Seeds that were each tested on images of their own: by hand, and by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bench.analysis.arms import Arm, effects
from bench.analysis.factors import factor_effects
from bench.analysis.intervals import (
    Estimate,
    over_results,
    over_seeds,
    over_seeds_and_images,
    over_seeds_of_own_images,
)
from bench.analysis.landmarks import ratio
from bench.analysis.mcnemar import image_effects
from bench.analysis.paired import paired_results
from bench.analysis.stability import stability
from bench.analysis.tails import class_effects, tail_effects
from tests.analysis.made import trial


def test_without_a_shared_image_only_the_seeds_count() -> None:
    rows = [np.array([1.0, 0, 1]), np.array([0.0, 0, 1]), np.array([1.0, 1, 1])]
    mine = over_seeds_of_own_images(rows, [list("abc"), list("def"), list("ghi")])
    plain = over_seeds([2 / 3, 1 / 3, 1])
    assert (mine.mean, mine.low, mine.high, mine.p) == pytest.approx(
        (plain.mean, plain.low, plain.high, plain.p)
    )
    assert mine.image_variance == 0 and mine.seeds == 3


def test_with_the_same_images_it_is_the_interval_over_seeds_and_images() -> None:
    matrix = np.random.default_rng(0).normal(0, 1, (4, 500)) + np.linspace(-1, 1, 500)
    names = [str(number) for number in range(500)]
    shuffled = [np.random.default_rng(seed).permutation(500) for seed in range(4)]
    mine = over_seeds_of_own_images(
        [row[order] for row, order in zip(matrix, shuffled, strict=True)],
        [[names[i] for i in order] for order in shuffled],
    )
    plain = over_seeds_and_images(matrix)
    assert mine.image_variance == pytest.approx(plain.image_variance, rel=0.02)
    assert (mine.low, mine.high) == pytest.approx((plain.low, plain.high), rel=0.02)
    assert over_results(list(matrix), [names] * 4) == plain


@pytest.mark.parametrize("pool", [220, 400, 20_000])
def test_intervals_hold_the_truth_as_often_as_said_however_much_the_draws_overlap(
    pool: int,
) -> None:
    rng = np.random.default_rng(pool)

    def study() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        hardness = rng.normal(0, 0.5, pool)
        for of_seed in rng.normal(0, 0.01, 5):
            drawn = rng.choice(pool, 200, replace=False)
            yield drawn, of_seed + hardness[drawn] + rng.normal(0, 0.3, 200)

    def covers(judge: Callable[[list, list], Estimate]) -> float:
        found = []
        for _ in range(300):
            images, rows = zip(*study(), strict=True)
            estimate = judge(list(rows), [own.astype(str).tolist() for own in images])
            found.append(estimate.low <= 0 <= estimate.high)
        return float(np.mean(found))

    assert 0.92 < covers(over_seeds_of_own_images) < 0.99
    if pool == 220:  # the seeds' spread alone takes images that all were tested on for new ones
        assert covers(lambda rows, _: over_seeds([row.mean() for row in rows])) < 0.8


SEEDS, IMAGES, POOL = 5, 60, 5000


def arm(name: str, gain: float, against: str | None = "control", **levels: str) -> Arm:
    """An arm whose every seed is tested on images of its own, the same for all arms."""
    trials = {}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        images, hard = rng.choice(POOL, IMAGES, replace=False), rng.random(IMAGES)
        right = hard < 0.4 + gain
        trials[seed] = trial(
            np.where(right, 0, 9),
            {"accuracy": float(right.mean())},
            images=[str(image) for image in images],
            labels=[0] * 45 + [1] * 15 if seed else [0] * 44 + [1] * 16,
            data={"train_counts": [70 + seed, 30], "class_names": ["tee", "robe"]},
        )
    return Arm(name, levels, against, trials, SEEDS, {})


def test_arms_stay_paired_by_seed_and_the_interval_is_over_the_seeds() -> None:
    control, better = arm("control", 0.0, None), arm("better", 0.2)
    assert control.own_images and control.matrix("accuracy") is None
    differences = [
        better.trials[s].metrics["accuracy"] - control.trials[s].metrics["accuracy"]
        for s in range(SEEDS)
    ]
    (effect,) = effects([control, better], "control", "accuracy")
    plain = over_seeds(differences)
    assert effect.difference.mean == pytest.approx(plain.mean)
    assert effect.difference.seed_variance == pytest.approx(plain.seed_variance)
    assert effect.difference.half_width >= plain.half_width - 1e-12
    assert effect.verdict == "better"


def test_one_shared_seed_is_compared_on_its_own_images() -> None:
    control, other = arm("control", 0.0, None), arm("other", 0.2)
    del other.trials[0], other.trials[1], other.trials[2], other.trials[3]
    found = other.against_control(control, "accuracy")
    assert found is not None and found.seeds == 1 and found.images == IMAGES
    paired = paired_results(other, control, "accuracy")
    assert paired is not None and paired.seeds == (4,)


def test_images_are_compared_one_by_one_within_their_seed() -> None:
    control, better = arm("control", 0.0, None), arm("better", 0.2)
    (found,) = image_effects([control, better], "control")
    gains = [
        int((better.trials[s].outcomes.ranks < control.trials[s].outcomes.ranks).sum())
        for s in range(SEEDS)
    ]
    assert [seed.arm_only for seed in found.by_seed] == gains and found.lost == 0
    images = [image for t in control.trials.values() for image in t.images]
    assert found.gained == sum(gains) - _twice(control, better)
    assert len(set(images)) > 0.95 * len(images) and found.p < 0.001


def _twice(control: Arm, better: Arm) -> int:
    """Images that are gained at more seeds than one, but for their first time."""
    gained = [
        image
        for seed, t in control.trials.items()
        for image, mine, theirs in zip(
            t.images, better.trials[seed].outcomes.ranks, t.outcomes.ranks, strict=True
        )
        if mine < theirs
    ]
    return len(gained) - len(set(gained))


def test_classes_have_the_recall_of_each_seeds_own_images() -> None:
    control, better = arm("control", 0.0, None), arm("better", 0.2)
    head, middle = tail_effects([control, better], "control")
    assert (head.group, middle.group) == ("head", "middle")
    assert (head.test_images, middle.test_images) == (45, 15)
    assert (head.train_images, middle.train_images) == (72, 30)
    by_hand = [
        (t.outcomes.ranks[t.outcomes.labels == 0] < 1).mean() for t in better.trials.values()
    ]
    assert head.recall is not None and head.recall.mean == pytest.approx(np.mean(by_hand))
    tee, robe = class_effects(better, control)
    assert (tee.name, robe.name) == ("tee", "robe") and tee.difference == head.difference


def test_factors_and_ratios_have_intervals_over_the_seeds() -> None:
    arms = [
        arm(f"{gate}{depth}", 0.2 * (gate == "off"), gate=gate, depth=depth)
        for gate in ("on", "off")
        for depth in "12"
    ]
    axes, control = {"gate": ["on", "off"], "depth": ["1", "2"]}, {"gate": "on", "depth": "1"}
    gate, depth, _ = factor_effects(arms, axes, control, "accuracy")
    assert gate.verdict == "better" and gate.difference is not None
    means = [a.estimate("accuracy").mean for a in arms]
    assert gate.difference.mean == pytest.approx(means[2] - means[0])
    assert depth.difference is not None and depth.difference.mean == pytest.approx(0)
    found = ratio(
        [np.array([1, 0, 2]), np.array([2, 1, 0])],
        [np.array([2, 1, 3]), np.array([2, 2, 1])],
        [np.array(["a", "b", "c"]), np.array(["d", "e", "f"])],
    )
    plain = over_seeds([3 / 6, 3 / 5])
    assert (found.mean, found.low) == pytest.approx((plain.mean, plain.low))


def test_stability_counts_the_commonest_class_over_all_seeds_images() -> None:
    found = stability(arm("control", 0.0, None))
    assert found.commonest == pytest.approx((4 * 45 + 44) / (5 * IMAGES))
