"""Ratios of counts written as means over images, so that they have intervals like them.

Each function gives a value an image whose mean is the metric and whose spread over images is, to
first order, that of the metric over other images like these (linearisation; Woodruff 1971, Särndal
et al. 1992, §5.5).
"""

from __future__ import annotations

import numpy as np


def pooled_precision(hits: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Of the images that got some class above a threshold, the share whose class is the true one.

    Args:
        hits: `(images,)` whether the true class is above it.
        answered: `(images,)` whether some class is.

    Returns:
        `(images,)`; NaN where no image was answered.
    """
    if not answered.any():
        return np.full(len(hits), np.nan)
    precision = hits.sum() / answered.sum()
    return np.asarray(precision + (hits - precision * answered) / answered.mean())


def macro_precision(right: np.ndarray, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Precision of the most probable class, averaged over the classes that occur in `labels`.

    A class that is never predicted counts as 0, as in `bench.metrics.classification`.

    Args:
        right: `(images,)` whether the answer is the true class.
        answers: `(images,)` classes answered.
        labels: `(images,)` true classes.
    """
    classes = int(max(answers.max(), labels.max())) + 1
    occurs = np.bincount(labels, minlength=classes) > 0
    asked = np.bincount(answers, minlength=classes)
    precision = np.bincount(answers, right, classes) / np.maximum(asked, 1)
    mean = precision[occurs].mean()
    weights = len(labels) / (occurs.sum() * np.maximum(asked, 1)) * occurs
    return np.asarray(mean + weights[answers] * (right - precision[answers]))


def macro_matrix(matrix: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Results laid out so that the mean over images is the mean over classes.

    An image of class c has the weight n / (K n_c), for n images of K classes. Weights alone would
    make a model that is always right look uncertain, since they differ between classes; so they are
    laid on each result's distance from its class's mean at that seed, around the seed's macro mean.
    Read by `over_seeds_and_images`, the choice of images then adds the variance of a stratified
    mean, the sum over classes of s_c^2 / (K^2 n_c) (Cochran 1977, ch. 5).

    The spread of a class with a single image cannot be told from that image: such classes are taken
    together as one stratum, or with the next smallest class where there is only one of them, which
    overstates their spread rather than leaving it out (collapsed strata, Cochran 1977, §5A.12).

    Args:
        matrix: `(seeds, images)`, such as 1 where the model was right.
        classes: `(images,)` true classes.

    Returns:
        `(seeds, images)`; each row's mean is the unweighted mean of the classes' means.
    """
    _, own, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    n = len(own)
    weights = n / (len(sizes) * sizes[own])
    macro = (weights * matrix).mean(axis=1, keepdims=True)

    stratum = _collapsed(sizes)[own]
    member = np.eye(len(sizes))[stratum]
    of_stratum = (member.T @ weights).clip(min=1e-12)
    centre = (weights * matrix) @ member / of_stratum
    held = member.sum(axis=0)[stratum]
    # Bessel's correction a stratum, in place of the one over all images that is applied later.
    spread = np.sqrt(held / np.maximum(held - 1, 1) * (n - 1) / n)
    return macro + spread * weights * (matrix - centre[:, stratum])


def _collapsed(sizes: np.ndarray) -> np.ndarray:
    """The stratum of each class."""
    strata = np.arange(len(sizes))
    together = np.flatnonzero(sizes == 1)
    if len(together) == 1:
        together = np.argsort(sizes, kind="stable")[:2]
    if len(together):
        strata[together] = together[0]
    return strata
