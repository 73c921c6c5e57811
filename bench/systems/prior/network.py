"""The no-information row: answers that use the training labels and no image."""

from __future__ import annotations

import numpy as np


def build(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class frequencies of the training set, the same answer for every image.

    Args:
        labels: `(n,)` training categories.
        classes: Number of categories.

    Returns:
        `(classes,)` probabilities.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    return counts / counts.sum()
