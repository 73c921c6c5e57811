"""Classification metrics of the paper (§4.6), from predictions alone.

Precision and recall are counted both ways (ledger rows 20 and 21): pooled over all classes at a
probability above 0.5, and averaged over classes for the most probable one.
"""

from __future__ import annotations

import math

import numpy as np


def ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are ranked before the true one, per image.

    A class as probable as the true one but earlier in the list counts as before it, so that a
    model that predicts all classes alike gains nothing from ties.

    Args:
        probabilities: `(n, classes)`.
        labels: `(n,)` true classes.

    Returns:
        `(n,)` integers; 0 where the model is right.
    """
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)
    before = (probabilities > true).sum(axis=1)
    equal = probabilities == true
    tied = np.flatnonzero(equal.sum(axis=1) > 1)
    earlier = np.arange(probabilities.shape[1])[None, :] < labels[tied, None]
    before[tied] += (equal[tied] & earlier).sum(axis=1)
    return before


def scored_rows(n: int, protocol: str, batch_size: int) -> slice:
    """Which of n test images a protocol scores: all, or those of the last batch."""
    if protocol == "whole_split":
        return slice(0, n)
    return slice((n - 1) // batch_size * batch_size, n)


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of the true classes, in nats.

    Args:
        probabilities: `(n, classes)`, rows summing to 1.
        labels: `(n,)` true classes.
    """
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0].astype(np.float64)
    # The C library's logarithm: NumPy's with AVX-512 rounds otherwise than without.
    return -float(np.mean([math.log(p) for p in np.maximum(true, 1e-12).tolist()]))


def pooled_precision(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of the probabilities above 0.5, all classes pooled, that are of the true class.

    As Keras' `Precision` does on softmax outputs; NaN where no class of any image is above 0.5.

    Args:
        probabilities: `(n, classes)`.
        labels: `(n,)` true classes.
    """
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)
    positives = int((probabilities > 0.5).sum())
    return int((true > 0.5).sum()) / positives if positives else float("nan")


def macro_precision(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Precision of the most probable class, averaged over the classes that occur in `labels`.

    A class that is never predicted counts as precision 0.

    Args:
        predicted: `(n,)` most probable classes.
        labels: `(n,)` true classes.
    """
    right, occurs, predictions = _by_class(predicted, labels)
    return float((right[occurs] / np.maximum(predictions[occurs], 1)).mean())


def macro_recall(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Recall of the most probable class, averaged over the classes that occur in `labels`.

    Args:
        predicted: `(n,)` most probable classes.
        labels: `(n,)` true classes.
    """
    right, occurs, _ = _by_class(predicted, labels)
    return float((right[occurs] / np.bincount(labels)[occurs]).mean())


def _by_class(
    predicted: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right predictions of each class, the classes that occur, and predictions of each class."""
    classes = int(max(predicted.max(), labels.max())) + 1
    right = np.bincount(labels[predicted == labels], minlength=classes)
    return right, np.unique(labels), np.bincount(predicted, minlength=classes)
