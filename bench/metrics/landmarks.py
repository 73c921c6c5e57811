"""Landmark errors in the paper's unit (§4.6): distances as shares of the image's sides."""

from __future__ import annotations

import numpy as np

VISIBLE = 0
"""Visibility of a landmark that is seen (`bench.data.manifest` has the others)."""


def trained_landmarks(visibility: np.ndarray) -> np.ndarray:
    """Which landmarks are trained and scored: the visible ones (ledger rows 12 and 13)."""
    return visibility == VISIBLE


def normalised_error(predicted: np.ndarray, true: np.ndarray, visibility: np.ndarray) -> float:
    """Mean distance of predicted from true landmarks, visible ones only, over image size.

    Args:
        predicted: `(n, 8, 2)` (x, y) as a share of the image's width and height.
        true: The same, for the annotated landmarks; NaN where absent.
        visibility: `(n, 8)`.

    Returns:
        Mean Euclidean distance in image units, NaN where no landmark is visible.
    """
    scored = trained_landmarks(visibility)
    if not scored.any():
        return float("nan")
    return float(np.linalg.norm(predicted - true, axis=-1)[scored].mean())


def image_errors(predicted: np.ndarray, true: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Each image's own normalised error.

    Args:
        predicted: As for `normalised_error`.
        true: The same.
        visibility: `(n, 8)`.

    Returns:
        `(n,)`, NaN for an image without a visible landmark.
    """
    scored = trained_landmarks(visibility)
    distance = np.linalg.norm(predicted - true, axis=-1)
    total = np.where(scored, distance, 0.0).sum(axis=1)
    count = scored.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_position_error(
    train: np.ndarray,
    train_visibility: np.ndarray,
    true: np.ndarray,
    visibility: np.ndarray,
) -> float:
    """Normalised error of always predicting each landmark's mean training position.

    Args:
        train: `(m, 8, 2)` training landmarks.
        train_visibility: `(m, 8)`.
        true: `(n, 8, 2)` landmarks to be scored on.
        visibility: `(n, 8)`.
    """
    seen = trained_landmarks(train_visibility)[..., None]
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, train, 0.0).sum(axis=0) / count
    return normalised_error(np.broadcast_to(mean, true.shape), true, visibility)
