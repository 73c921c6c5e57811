"""Landmarks as the field judges them, from stored places alone.

Two sizes to measure a distance by: the image's, a share of its width across and of its height down
(the normalised error, NE, of fashion landmark detection), and the garment's, the longer side of the
box around its annotated landmarks in pixels (as for the percentage of correct key points, PCK, of
pose estimation). A landmark counts as detected where its distance is below a threshold. Visible
landmarks alone are judged, and every one weighs the same, whatever image it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from bench.analysis.arms import Arm
from bench.analysis.intervals import Estimate, over_results, over_seeds
from bench.data.manifest import ABSENT, CHANNELS_OF_TYPE, OUTSIDE
from bench.metrics.landmarks import trained_landmarks
from bench.store.record import Landmarks

Size = Literal["image", "garment"]

THRESHOLDS = {"image": (0.02, 0.05, 0.1, 0.2), "garment": (0.05, 0.1, 0.2)}
"""Distances below which a landmark counts as detected, by what they are measured by."""

SMALLEST_GARMENT = 8.0
"""Pixels: a garment whose landmarks lie closer together has no size to measure by."""


def distances(
    landmarks: Landmarks, size: Size = "image", *, soft: bool = False
) -> np.ndarray | None:
    """Distance of each predicted landmark from its true place.

    Args:
        landmarks: The landmarks that a model predicted.
        size: What distances are measured by.
        soft: Places by soft-arg-max of the landmark maps.

    Returns:
        `(n, 8)`, NaN for a landmark that is not visible; None where the record lacks
        what is needed.
    """
    places = landmarks.soft if soft else landmarks.predicted
    if places is None or (size == "garment" and landmarks.sizes is None):
        return None
    seen = trained_landmarks(landmarks.visibility)
    between = places.astype(np.float64) - landmarks.true
    if landmarks.sizes is None or size == "image":
        return np.where(seen, np.linalg.norm(between, axis=-1), np.nan)
    pixels = np.linalg.norm(between * landmarks.sizes[:, None, :], axis=-1)
    return np.where(seen, pixels / garment_size(landmarks)[:, None], np.nan)


def garment_size(landmarks: Landmarks) -> np.ndarray:
    """The longer side in pixels of the box around each garment's landmarks inside the image.

    Returns:
        `(n,)`, NaN where fewer than two lie inside, or too close together.
    """
    assert landmarks.sizes is not None, "only called for a record that has the images' sizes"
    inside = ~np.isin(landmarks.visibility, (ABSENT, OUTSIDE))[..., None]
    pixels = landmarks.true.astype(np.float64) * landmarks.sizes[:, None, :]
    low = np.where(inside, pixels, np.inf).min(axis=1)
    high = np.where(inside, pixels, -np.inf).max(axis=1)
    side = np.where(np.isfinite(low) & np.isfinite(high), high - low, 0.0).max(axis=1)
    return np.where(side >= SMALLEST_GARMENT, side, np.nan)


def clothes_types(landmarks: Landmarks) -> np.ndarray:
    """`(n,)` 1 upper, 2 lower, 3 full body, by which landmarks are there; 0 for none."""
    there = landmarks.visibility != ABSENT
    types = np.zeros(len(there), np.int8)
    for kind, channels in CHANNELS_OF_TYPE.items():
        expected = np.isin(np.arange(there.shape[1]), channels)
        types[(there == expected).all(axis=1)] = kind
    return types


def predicted_landmarks(arm: Arm) -> list[Landmarks]:
    """The landmarks that an arm's trials predicted, seed by seed, read from the store.

    Returns:
        Empty for an arm without trials, or with one that has no landmark branch.
    """
    trials = arm.trials.values()
    if any(trial.outcomes.landmark_errors is None for trial in trials):
        return []
    return [found for trial in trials if (found := trial.read().landmarks) is not None]


def estimate(
    by_seed: Sequence[Landmarks],
    size: Size = "image",
    *,
    threshold: float | None = None,
    soft: bool = False,
    landmark: int | None = None,
    kind: int | None = None,
) -> Estimate:
    """Mean distance, or the share of landmarks detected, with its interval over seeds and images.

    Args:
        by_seed: The landmarks that each seed's trial predicted.
        size: What distances are measured by.
        threshold: Distance below which a landmark is detected; None for the mean distance.
        soft: Places by soft-arg-max.
        landmark: Only this landmark; None for all.
        kind: Only garments of this clothes type; None for all.
    """
    counts, totals = [], []
    for landmarks in by_seed:
        found = distances(landmarks, size, soft=soft)
        if found is None:
            return over_seeds([])
        if landmark is not None:
            found = found[:, landmark : landmark + 1]
        if kind is not None:
            found = np.where(clothes_types(landmarks)[:, None] == kind, found, np.nan)
        judged = np.isfinite(found)
        value = found if threshold is None else (found < threshold).astype(np.float64)
        totals.append(np.where(judged, value, 0.0).sum(axis=1))
        counts.append(judged.sum(axis=1))
    return ratio(totals, counts, [landmarks.images for landmarks in by_seed])


def ratio(
    totals: Sequence[np.ndarray], counts: Sequence[np.ndarray], images: Sequence[np.ndarray]
) -> Estimate:
    """A ratio of two sums over images, such as of hits and of landmarks, with its interval.

    Linearised (Cochran 1977, §6): each image stands for the ratio itself plus what it adds to the
    sum beyond that, over the mean count.

    Args:
        totals: `(images,)` of each seed.
        counts: The same.
        images: Names of the test images of each seed.
    """
    sums = [float(count.sum()) for count in counts]
    if not sums or not all(sums):
        return over_seeds([])
    ratios = [float(total.sum()) / among for total, among in zip(totals, sums, strict=True)]
    rows = [
        whole + (total - whole * count) / count.mean()
        for whole, total, count in zip(ratios, totals, counts, strict=True)
    ]
    return over_results(rows, [own.tolist() for own in images])
