"""Looks at growing numbers of seeds: the published boundaries, the error, the power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.arms import Arm, Looked, effects
from bench.analysis.expected import expectation, settle
from bench.analysis.intervals import over_seeds, reach
from bench.analysis.sequential import Looks, boundaries, growing, pocock_like
from tests.analysis.made import trial

LOOKS = growing(5, 60)
FIFTHS = np.arange(1, 6) / 5


@pytest.mark.parametrize(
    ("spent", "published"),
    [
        # Lan and DeMets 1983, as the reference implementations give them for five equal looks.
        (pocock_like(0.05, FIFTHS), [2.438, 2.427, 2.410, 2.397, 2.386]),
        (
            4 - 4 * stats.norm.cdf(stats.norm.isf(0.0125) / np.sqrt(FIFTHS)),
            [4.877, 3.357, 2.680, 2.290, 2.031],
        ),
    ],
    ids=["like Pocock", "like O'Brien and Fleming"],
)
def test_boundaries_are_the_published_ones(spent: np.ndarray, published: list[float]) -> None:
    np.testing.assert_allclose(boundaries([1, 2, 3, 4, 5], spent), published, atol=5e-4)


def test_one_look_is_the_plain_test() -> None:
    once = Looks((12,))
    assert once.level(12, 0.05) == pytest.approx(0.05, rel=1e-3)
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    plain, looked = over_seeds(values), over_seeds(values, once)
    assert looked.p == pytest.approx(plain.p, rel=1e-2)
    assert looked.half_width == pytest.approx(plain.half_width, rel=1e-3)


def test_looks_grow_by_half_up_to_the_most() -> None:
    assert LOOKS.seeds == (5, 8, 12, 18, 27, 40, 60)
    assert growing(7, 7).seeds == (7,)


@pytest.mark.parametrize("seeds", LOOKS.seeds)
def test_a_p_value_over_all_looks_goes_with_the_level(seeds: int) -> None:
    for overall in (1e-6, 0.01, 0.05):
        assert LOOKS.overall(LOOKS.level(seeds, overall), seeds) == pytest.approx(overall)
    assert LOOKS.level(seeds, 0.05) < 0.05
    assert np.isnan(LOOKS.overall(float("nan"), seeds))


def draws(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Seeds' results with a standard deviation of 1; a head that collapses is bimodal."""
    random = np.random.default_rng(1)
    if kind == "skewed":
        return random.exponential(1.0, shape)
    if kind == "collapsing":
        whole = random.normal(0, 0.3, shape)
        return np.where(random.random(shape) < 0.15, whole - 3.0, whole) / 1.11
    return random.normal(0, 1.0, shape)


@pytest.mark.parametrize("kind", ["normal", "skewed", "collapsing"])
def test_studies_of_equal_arms_err_in_five_of_a_hundred_at_most(kind: str) -> None:
    studies, arms = 2000, 5
    results = draws(kind, (studies, arms + 1, LOOKS.most))
    found = settle(results, LOOKS, margin=1e-9)
    false = (np.abs(found.verdicts) == 1).any(axis=1).mean()
    assert false <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)

    # The repeated intervals of one arm hold the truth, 0, at all looks together.
    difference = results[:, 1] - results[:, 0]
    held = np.ones(studies, bool)
    for now in LOOKS.seeds:
        of_seeds = difference[:, :now].var(axis=1, ddof=1) / now
        half = reach(LOOKS.level(now, 0.05), now, of_seeds, 0.0)
        held &= np.abs(difference[:, :now].mean(axis=1)) <= half
    assert held.mean() >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / studies)


def test_a_difference_of_the_margin_is_called_equivalent_in_five_of_a_hundred_at_most() -> None:
    results = draws("normal", (2000, 6, LOOKS.most))
    results[:, 1:] += 1.0
    found = settle(results, LOOKS, margin=1.0)
    assert (found.verdicts == 2).any(axis=1).mean() <= 0.05


@pytest.mark.parametrize(("effect", "seeds"), [(5, 27), (7, 18), (9, 13)])
def test_effects_are_settled_as_soon_as_docs_say(effect: float, seeds: float) -> None:
    """Five arms on one control, whose paired differences vary by 6.5 points (docs/settling.md)."""
    found = expectation(effect, LOOKS, arms=5, margin=0.01, seed_variance=6.5**2, of_images=0.0)
    assert found.settled >= 0.99
    assert found.seeds <= seeds


def test_equal_arms_are_settled_as_equivalent() -> None:
    found = expectation(0.0, LOOKS, arms=5, margin=2.0, seed_variance=1.0, of_images=0.01)
    assert found.settled >= 0.99
    assert found.seeds <= 18


def test_the_simulation_decides_as_the_analysis_does() -> None:
    """`settle` goes through many studies at once; `effects` judges one, look by look."""
    random = np.random.default_rng(3)
    results = random.normal(0, 0.02, (12, 4, LOOKS.most))
    results[:, 1] += 0.03
    results[:, 2] += 0.002
    found = settle(results, LOOKS, margin=0.02)
    told = {"worse": 1, "better": -1, "equivalent": 2}  # of an error, more is worse
    for number, study in enumerate(results):
        verdicts: dict[str, str] = {}
        ended: dict[str, int] = {}
        for now in LOOKS.seeds:
            arms = [looked(study, arm, ended.get(f"arm {arm}", now), verdicts) for arm in range(4)]
            for effect in effects(arms, "arm 0", "landmark_ne", 0.02):
                if effect.settled and effect.arm not in verdicts:
                    verdicts[effect.arm], ended[effect.arm] = effect.verdict, now
        for arm in range(1, len(study)):
            name = f"arm {arm}"
            assert told.get(verdicts.get(name, ""), 0) == found.verdicts[number, arm - 1]
            assert ended.get(name, LOOKS.most) == found.seeds[number, arm - 1]


def looked(study: np.ndarray, number: int, seeds: int, verdicts: dict[str, str]) -> Arm:
    """An arm of a study at a look, the first one being the control."""
    name = f"arm {number}"
    told = {"landmark_ne": verdicts[name]} if name in verdicts else {}
    trials = {
        seed: trial(np.zeros(2), {"landmark_ne": float(study[number, seed])})
        for seed in range(LOOKS.most)
    }
    against = None if number == 0 else "arm 0"
    return Arm(name, {}, against, trials, LOOKS.most, {}, looked=Looked(LOOKS, seeds, told))
