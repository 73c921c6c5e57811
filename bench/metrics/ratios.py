"""Ratios of counts written as means over images, so that they have intervals like them.

Each function gives a value an image whose mean is the metric and whose spread over images is, to
first order, that of the metric over other images like these (linearisation; Woodruff 1971, Särndal
et al. 1992, §5.5).
"""

from __future__ import annotations

import numpy as np


def pooled_precision(hits: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Of the images with some class above a threshold, the share whose class is the true one.

    Args:
        hits: `(images,)` whether the true class is above it.
        positives: `(images,)` whether some class is.

    Returns:
        `(images,)`; NaN where no image has one.
    """
    if not positives.any():
        return np.full(len(hits), np.nan)
    precision = int(hits.sum()) / int(positives.sum())
    return np.asarray(precision + (hits - precision * positives) / positives.mean())


def macro_precision(right: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Precision of the most probable class, averaged over the classes that occur in `labels`.

    A class that is never predicted counts as 0, as in `bench.metrics.classification`.

    Args:
        right: `(images,)` whether the prediction is the true class.
        predicted: `(images,)` most probable classes.
        labels: `(images,)` true classes.
    """
    classes = int(max(predicted.max(), labels.max())) + 1
    occurs = np.bincount(labels, minlength=classes) > 0
    predictions = np.bincount(predicted, minlength=classes)
    precision = np.bincount(predicted, right, classes) / np.maximum(predictions, 1)
    mean = precision[occurs].mean()
    weights = len(labels) / (occurs.sum() * np.maximum(predictions, 1)) * occurs
    return np.asarray(mean + weights[predicted] * (right - precision[predicted]))


def macro_matrix(matrix: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Results as values whose mean over images is the mean over classes.

    An image of class c has the weight n / (K n_c), for n images of K classes. Weights alone would
    make a model that is always right look uncertain, since they differ between classes; so they are
    applied to each result's distance from its class's mean at that seed, around the seed's macro
    mean. Read by `over_seeds_and_images`, the choice of images then adds the variance of a
    stratified mean, the sum over classes of s_c^2 / (K^2 n_c) (Cochran 1977, ch. 5).

    The spread of a class with a single image cannot be estimated from it: such classes are taken
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
    members = member.sum(axis=0)[stratum]
    # Bessel's correction a stratum, in place of the one over all images that is applied later.
    spread = np.sqrt(members / np.maximum(members - 1, 1) * (n - 1) / n)
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


def in_clusters(value: float, deviations: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A metric over clusters, such as images, as a value for each row of one, such as a garment.

    Rows of one cluster are not independent. So a cluster's deviation stands at its first row as a
    whole, and the others have the metric itself: their mean is the metric, and their spread over
    rows that of the metric over clusters.

    Args:
        value: The metric.
        deviations: `(clusters,)`: what each adds beside the others, times their number; 0 on
            average.
        rows: `(clusters,)` how many rows each has. Clusters without are left out.
    """
    there = rows > 0
    known = deviations[there] - deviations[there].mean()
    values = np.full(int(rows.sum()), value)
    values[np.cumsum(rows[there]) - rows[there]] += known * len(values) / len(known)
    return values


def mean_in_clusters(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The mean of some rows, as values of all of them whose spread is that over clusters.

    Args:
        values: By row, those of a cluster together; NaN for a row that does not count.
        rows: `(clusters,)` how many rows each has.

    Returns:
        `(rows,)`; NaN where none counts.
    """
    counts = np.isfinite(values)
    if not counts.any():
        return np.full(len(values), np.nan)
    mean = values[counts].mean()
    cluster = np.repeat(np.arange(len(rows)), rows)
    above = np.bincount(cluster, np.where(counts, values - mean, 0.0), len(rows))
    return in_clusters(mean, above * np.count_nonzero(rows) / counts.sum(), rows)
