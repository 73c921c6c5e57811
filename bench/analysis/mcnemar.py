"""Which images an arm gets right that its control gets wrong: the same models, image by image.

The question differs from that of `bench.analysis.arms.effects`. There, seeds and images are both
drawn anew: would the method be better if trained again? Here the models are those that were
trained, and only the test images are drawn: are these models better on other images like them?
A difference can be clear here and unsettled there, where seeds vary more than images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import special, stats

from bench.analysis.arms import Arm
from bench.analysis.intervals import holm
from bench.analysis.paired import PairedResults, compared, paired_results
from bench.metrics.catalogue import TOP_K

MOST_EXACT = 2000
"""Images on which the models differ, up to which the test over seeds is worked out exactly."""


@dataclass(frozen=True)
class SeedCounts:
    """The two models of one seed, image by image.

    Args:
        seed: The seed.
        both: Images that both models get right.
        arm_only: Images that the arm's alone gets right.
        control_only: Images that the control's alone gets right.
        neither: Images that neither gets right.
        p: McNemar's exact two-sided p-value; 1 where the models never disagree.
    """

    seed: int
    both: int
    arm_only: int
    control_only: int
    neither: int
    p: float


@dataclass(frozen=True)
class ImageEffect:
    """An arm against its control, image by image, at all seeds that both finished.

    Args:
        arm: The arm.
        metric: What counts as right: `accuracy`, `top_3` or `top_5`.
        by_seed: Counts and test of each seed.
        gained: Images that the arm gets right at more seeds than the control does.
        lost: Images that it gets right at fewer.
        p: Two-sided p-value over all seeds (`sign_flip_test`).
        p_holm: The same, corrected over the arms.
    """

    arm: str
    metric: str
    by_seed: tuple[SeedCounts, ...]
    gained: int
    lost: int
    p: float
    p_holm: float = float("nan")

    @property
    def arm_only(self) -> int:
        """Images that the arm alone gets right, counted once a seed."""
        return sum(seed.arm_only for seed in self.by_seed)

    @property
    def control_only(self) -> int:
        """Images that the control alone gets right, counted once a seed."""
        return sum(seed.control_only for seed in self.by_seed)


def image_effects(arms: Sequence[Arm], control: str, metric: str = "accuracy") -> list[ImageEffect]:
    """Each arm against its control, image by image.

    All p-values hold the trained models fixed and take the images as independent draws. They say
    nothing about models trained again with other seeds, and are too small where images come in
    families, such as several photographs of one garment.

    Args:
        arms: All arms of a study.
        control: Name of the arm that others are compared with.
        metric: `accuracy`, `top_3` or `top_5`.

    Returns:
        One effect for each arm that shares finished seeds and test images with the control.

    Raises:
        ValueError: The metric is not one of those.
    """
    if metric not in TOP_K:
        raise ValueError(f"metric: expected one of {', '.join(TOP_K)}, found {metric!r}")
    found = []
    for arm, baseline in compared(arms, control):
        paired = paired_results(arm, baseline, metric)
        if paired is not None:
            found.append(_effect(arm.name, metric, paired))
    corrected = holm([effect.p for effect in found])
    return [replace(effect, p_holm=p) for effect, p in zip(found, corrected, strict=True)]


@cache
def mcnemar_test(arm_only: int, control_only: int) -> float:
    """McNemar's exact test of two models on the same images.

    Where the models are equally often right, an image on which they disagree is as likely to go to
    one as to the other (McNemar 1947; for classifiers Dietterich 1998, §3.1; exact by the
    binomial).

    Args:
        arm_only: Images that only the one gets right.
        control_only: Images that only the other gets right.

    Returns:
        Two-sided p-value; 1 where there is no such image.
    """
    disagreed = arm_only + control_only
    one_tail = float(special.bdtr(min(arm_only, control_only), disagreed, 0.5))
    return min(2 * one_tail, 1.0)


def sign_flip_test(sums: np.ndarray) -> float:
    """McNemar's test for several seeds, each image counting once.

    The answers of S models to one image are alike, so S x N of them are not S x N independent
    images, and pooling them makes the p-value far too small. Each image is therefore one unit with
    the sum of its differences over the seeds, and the statistic is the total of the sums, S x N
    times the difference in accuracy. Its distribution is that of flipping each image's sign by a
    fair coin (Fisher's randomisation test), worked out exactly up to `MOST_EXACT` images; with one
    seed it is McNemar's exact test. Beyond, it is the test for clustered pairs that it tends to,
    total^2 / sum of squares (Durkalski et al. 2003), with a correction for continuity.

    It assumes that images are drawn independently, and is exact where arm and control would be
    interchangeable on each image; for many images it needs no more than equal mean accuracy, which
    a sign test of images gained against images lost does not give. It is conditional on the
    models that were trained: the seeds' luck is not in it.

    Args:
        sums: `(images,)` integers, seeds at which the arm is right less those at which the
            control is.

    Returns:
        Two-sided p-value; 1 where every sum is 0.
    """
    whole = np.asarray(sums, np.int64)
    total = abs(int(whole.sum()))
    sizes, counts = np.unique(np.abs(whole[whole != 0]), return_counts=True)
    if counts.sum() > MOST_EXACT:
        # A flip moves the total by twice a sum: half of the least such step is taken off.
        reach = max(total - math.gcd(*sizes.tolist()), 0)
        return float(2 * stats.norm.sf(reach / np.sqrt(np.square(whole).sum())))
    # Chances of the total of the positive sums, 0, 1, ..., of which the statistic is twice, less
    # the most it can be.
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        spaced = np.zeros(size * count + 1)
        spaced[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, spaced)
    most = len(chances) - 1
    totals = 2 * np.arange(most + 1) - most
    return min(float(chances[np.abs(totals) >= total].sum()), 1.0)


def _effect(arm: str, metric: str, paired: PairedResults) -> ImageEffect:
    right = [(a > 0.5, b > 0.5) for a, b in zip(paired.mine, paired.theirs, strict=True)]
    sums = _by_image(paired.images, [a.astype(np.int64) - b for a, b in right])
    return ImageEffect(
        arm=arm,
        metric=metric,
        by_seed=tuple(_counts(seed, *rows) for seed, rows in zip(paired.seeds, right, strict=True)),
        gained=int((sums > 0).sum()),
        lost=int((sums < 0).sum()),
        p=sign_flip_test(sums),
    )


def _by_image(images: Sequence[tuple[str, ...]], differences: list[np.ndarray]) -> np.ndarray:
    """Sum of each image's differences over the seeds that were tested on it."""
    if all(own == images[0] for own in images):
        return np.asarray(np.sum(differences, axis=0))
    _, image = np.unique([name for own in images for name in own], return_inverse=True)
    return np.rint(np.bincount(image, np.concatenate(differences))).astype(np.int64)


def _counts(seed: int, mine: np.ndarray, theirs: np.ndarray) -> SeedCounts:
    arm_only, control_only = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
    return SeedCounts(
        seed=seed,
        both=int((mine & theirs).sum()),
        arm_only=arm_only,
        control_only=control_only,
        neither=int((~mine & ~theirs).sum()),
        p=mcnemar_test(arm_only, control_only),
    )
