"""A trial's test outcomes: what every metric is computed from, in training and from the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.metrics.classification import ranks
from bench.metrics.landmarks import image_errors


class LandmarkPlaces(NamedTuple):
    """Where landmarks are and where a model predicts them.

    Args:
        predicted: `(n, 8, 2)` (x, y) as shares of the image's width and height.
        true: The same, for the annotated landmarks; NaN where absent.
        visibility: `(n, 8)`.
    """

    predicted: np.ndarray
    true: np.ndarray
    visibility: np.ndarray


@dataclass(frozen=True)
class Outcomes:
    """A trial's test outcomes, small enough to keep those of thousands of trials in memory.

    Args:
        labels: `(images,)` int32 true classes of the images that the evaluation protocol scores.
        ranks: `(images,)` int32 classes ranked before the true one.
        predicted: `(images,)` int32 most probable class.
        true_above_half: `(images,)` whether the true class has a probability above 0.5.
        any_above_half: `(images,)` whether some class has.
        landmark_errors: `(n,)` float32 normalised error of each test image, NaN without a visible
            landmark; None for a model without landmarks.
        probabilities: Gives `(images, classes)`, read from the store where they are not at hand.
        places: Gives the landmarks of all test images; None for a model without landmarks.
    """

    labels: np.ndarray
    ranks: np.ndarray
    predicted: np.ndarray
    true_above_half: np.ndarray
    any_above_half: np.ndarray
    landmark_errors: np.ndarray | None
    probabilities: Callable[[], np.ndarray]
    places: Callable[[], LandmarkPlaces | None]


def outcomes_of(
    probabilities: np.ndarray, labels: np.ndarray, places: LandmarkPlaces | None = None
) -> Outcomes:
    """Outcomes of predictions that are in memory.

    Args:
        probabilities: `(images, classes)`, rows summing to 1.
        labels: `(images,)` true classes.
        places: Landmarks of all test images; None for a model without landmarks.
    """
    return Outcomes(
        labels=labels.astype(np.int32),
        ranks=ranks(probabilities, labels).astype(np.int32),
        predicted=probabilities.argmax(axis=1).astype(np.int32),
        true_above_half=probabilities[np.arange(len(labels)), labels] > 0.5,
        any_above_half=np.asarray((probabilities > 0.5).any(axis=1)),
        landmark_errors=None if places is None else image_errors(*places).astype(np.float32),
        probabilities=lambda: probabilities,
        places=lambda: places,
    )
