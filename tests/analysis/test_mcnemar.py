"""McNemar's test against tables by hand, SciPy's binomial and SciPy's permutation test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.arms import Arm
from bench.analysis.mcnemar import image_effects, mcnemar_test, sign_flip_test
from tests.analysis.made import trial


def arm(
    name: str, ranks: np.ndarray, against: str | None = "control", images: str = "", first: int = 0
) -> Arm:
    """An arm with the given ranks of the true class, `(seeds, images)`."""
    names = tuple(f"{images}{number}" for number in range(ranks.shape[1]))
    trials = {seed: trial(row, images=names) for seed, row in enumerate(ranks, start=first)}
    return Arm(name, {}, against, trials, len(trials), {})


def test_mcnemars_test_by_hand() -> None:
    # 8 against 2 of 10: two tails of the fair coin, 2 (1 + 10 + 45) / 1024.
    assert mcnemar_test(8, 2) == pytest.approx(112 / 1024)
    assert mcnemar_test(2, 8) == mcnemar_test(8, 2)
    assert mcnemar_test(5, 5) == pytest.approx(1.0) and mcnemar_test(0, 0) == 1.0


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (9, 2), (30, 41), (400, 250)])
def test_with_one_seed_the_flip_test_is_mcnemars(gained: int, lost: int) -> None:
    sums = np.concatenate([np.ones(gained), -np.ones(lost), np.zeros(50)]).astype(int)
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert sign_flip_test(sums) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("draw", range(6))
def test_with_more_seeds_it_is_the_exact_randomisation_test_of_scipy(draw: int) -> None:
    sums = np.random.default_rng(draw).integers(-3, 5, 11)
    expected = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
    ).pvalue
    assert sign_flip_test(sums) == pytest.approx(expected)


def test_for_many_images_it_is_the_test_for_clustered_pairs() -> None:
    rng = np.random.default_rng(0)
    for images in (3000, 30000):  # worked out exactly, and by the limit
        sums = rng.choice([-3, -1, 0, 1, 2], images, p=[0.1, 0.1, 0.5, 0.1, 0.2])
        sums = np.concatenate([sums, np.full(int(1.7 * np.sqrt(images)), 1)])
        chi = sums.sum() ** 2 / np.square(sums).sum()  # Durkalski et al. 2003
        assert sign_flip_test(sums) == pytest.approx(stats.chi2.sf(chi, 1), rel=0.05)


@pytest.mark.parametrize("seeds", [1, 4])
def test_beyond_what_is_worked_out_it_stays_mcnemars(seeds: int) -> None:
    sums = np.array([seeds] * 2600 + [-seeds] * 2450)
    assert sign_flip_test(sums) == pytest.approx(mcnemar_test(2600, 2450), rel=1e-3)


def test_the_same_answers_at_more_seeds_are_not_more_evidence() -> None:
    sums = np.array([1] * 9 + [-1] * 2 + [0] * 30)
    assert sign_flip_test(5 * sums) == pytest.approx(sign_flip_test(sums))
    assert mcnemar_test(45, 10) < 0.001  # pooled as if they were other images
    assert sign_flip_test(5 * sums) > 0.05


def test_equal_models_are_called_different_as_often_as_said() -> None:
    rng = np.random.default_rng(1)
    flip, pooled = [], []
    for _ in range(400):
        # Models of a kind agree with each other on an image more than with the other kind.
        hardness = rng.random(150) + rng.normal(0, 0.2, (2, 150))
        mine, theirs = ((h + rng.normal(0, 0.05, (5, 150)) < 0.5).astype(int) for h in hardness)
        sums = (mine - theirs).sum(axis=0)
        flip.append(sign_flip_test(sums) < 0.05)
        pooled.append(mcnemar_test(int((mine > theirs).sum()), int((mine < theirs).sum())) < 0.05)
    assert np.mean(flip) <= 0.08 and np.mean(pooled) > 0.2


def test_counts_of_each_seed_and_images_over_seeds_by_hand() -> None:
    control = arm("control", np.array([[0, 0, 9, 9, 0], [0, 9, 9, 9, 9]]), None)
    other = arm("other", np.array([[0, 9, 0, 9, 9], [9, 0, 0, 9, 9]]))
    (effect,) = image_effects([control, other], "control")
    first, second = effect.by_seed
    assert (first.both, first.arm_only, first.control_only, first.neither) == (1, 1, 2, 1)
    assert (second.both, second.arm_only, second.control_only, second.neither) == (0, 2, 1, 2)
    assert (effect.arm_only, effect.control_only) == (3, 3)
    # Sums over seeds: -1, 0, 2, 0, -1.
    assert (effect.gained, effect.lost, effect.p) == (1, 2, 1.0)
    assert first.p == second.p == 1.0


def test_p_values_are_corrected_over_the_arms_and_only_shared_seeds_count() -> None:
    ranks = np.full((3, 40), 9)
    better = ranks.copy()
    better[:, :12] = 0
    control = arm("control", ranks, None)
    arms = [control, arm("better", better), arm("same", ranks), arm("late", better, first=2),
            arm("elsewhere", better, images="x"), arm("of another", better, "better")]  # fmt: skip
    found = {effect.arm: effect for effect in image_effects(arms, "control")}
    assert list(found) == ["better", "same", "late"]
    # All of 12 images at every seed: 2 / 2^12, and three arms; the two that are alike get as much.
    assert found["better"].p == pytest.approx(2 / 4096)
    assert found["better"].p_holm == found["late"].p_holm == pytest.approx(6 / 4096)
    assert found["same"].p_holm == 1.0
    assert [seed.seed for seed in found["late"].by_seed] == [2]


def test_a_right_answer_may_be_one_of_the_first_three_but_must_be_an_answer() -> None:
    control = arm("control", np.array([[2, 2, 9]]), None)
    other = arm("other", np.array([[0, 9, 1]]))
    (effect,) = image_effects([control, other], "control", "top_3")
    assert (effect.arm_only, effect.control_only) == (1, 1)
    with pytest.raises(ValueError, match="found 'landmark_ne'"):
        image_effects([control, other], "control", "landmark_ne")
