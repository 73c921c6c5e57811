"""Making up for unequal class frequencies: each rule from its paper, one function a rule.

A rule is called with the number of training images of each class and its strength, and says what
it changes: the weight of an image's loss, how often a class is sampled, or the loss itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bench.models.losses import AdjustedCrossEntropy, FocalLoss

# The C library's, the same on every processor: NumPy's with AVX-512 round otherwise.
_power = np.vectorize(math.pow, otypes=[np.float64])
_log = np.vectorize(math.log, otypes=[np.float64])


@dataclass(frozen=True)
class Balance:
    """What a rule changes.

    Args:
        class_weights: `(classes,)` weight of an image's classification loss; None for 1.
        sampling_shares: `(classes,)` share of an epoch's images that is sampled from each class,
            with replacement; None to take every image once.
        loss: Classification loss on logits; None for the cross-entropy.
    """

    class_weights: np.ndarray | None = None
    sampling_shares: np.ndarray | None = None
    loss: Any = None


def none(counts: np.ndarray, strength: float) -> Balance:
    """Nothing is changed."""
    del counts, strength
    return Balance()


def class_weights(counts: np.ndarray, strength: float) -> Balance:
    """Weights inverse to the frequency (King and Zeng 2001): (n / (K n_c)) ^ strength.

    K counts the classes that occur; the weights average to 1 over the images at strength 1.
    """
    occurs = counts > 0
    weights = np.zeros(len(counts))
    weights[occurs] = _power(counts.sum() / (occurs.sum() * counts[occurs]), strength)
    return Balance(class_weights=weights)


def effective_number(counts: np.ndarray, strength: float) -> Balance:
    """Weights inverse to the effective number of samples (Cui et al. 2019, eq. 2 and 4).

    Proportional to (1 - beta) / (1 - beta ^ n_c), beta being the strength, and scaled so that the
    weights of the classes that occur sum to their number.
    """
    occurs = counts > 0
    weights = np.zeros(len(counts))
    weights[occurs] = (1 - strength) / (1 - _power(strength, counts[occurs]))
    return Balance(class_weights=weights * occurs.sum() / weights.sum())


def over_sampling(counts: np.ndarray, strength: float) -> Balance:
    """Rare classes are sampled more often (Kang et al. 2020, eq. 1).

    A class is sampled with a share proportional to n_c ^ (1 - strength): 0 samples by frequency, 1
    all classes alike, 1/2 by the square root. An epoch keeps its number of images.
    """
    shares = np.where(counts > 0, _power(np.maximum(counts, 1.0), 1 - strength), 0.0)
    return Balance(sampling_shares=shares / shares.sum())


def focal(counts: np.ndarray, strength: float) -> Balance:
    """The loss of sure images counts less (Lin et al. 2017, eq. 4); the strength is gamma."""
    del counts
    return Balance(loss=FocalLoss(strength))


def logit_adjustment(counts: np.ndarray, strength: float) -> Balance:
    """Training logits are raised by tau log(frequency) (Menon et al. 2021, eq. 10).

    The strength is tau. Answers use the plain logits. A class without training images counts as
    half an image, for its logarithm's sake.
    """
    frequency = np.maximum(counts, 0.5) / counts.sum()
    return Balance(loss=AdjustedCrossEntropy(strength * _log(frequency)))


def cross_entropy() -> Any:
    """The classification loss without a rule that changes it."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def sample(labels: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An epoch's images, sampled with replacement by their classes' shares.

    Args:
        labels: `(n,)` classes of the training images.
        shares: `(classes,)` shares of the classes.
        rng: Source of chance.

    Returns:
        `(n,)` indices into `labels`.
    """
    counts = np.bincount(labels, minlength=len(shares))
    chance = shares[labels] / counts[labels]
    return rng.choice(len(labels), size=len(labels), p=chance / chance.sum())
