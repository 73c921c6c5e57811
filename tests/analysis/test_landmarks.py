"""Landmark and attribute metrics against hand calculations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.analysis.attributes import frequency_recall, hits, recall
from bench.analysis.landmarks import clothes_types, distances, estimate, garment_size, ratio
from bench.metrics.landmarks import normalised_error
from bench.store.record import AttributeRecord, Landmarks

IMAGES = np.array(["a", "b", "c"], dtype=object)


def landmarks(shift: float = 0.03, **changes: Any) -> Landmarks:
    """A top, trousers and a dress; the top's left sleeve is occluded, its hem partly outside."""
    visibility = np.array(
        [[0, 0, 1, 0, -1, -1, 0, 2], [-1, -1, -1, -1, 0, 0, 0, 0], [0] * 8], np.int8
    )
    rng = np.random.default_rng(0)
    true = rng.uniform(0.2, 0.8, (3, 8, 2)).astype("f4")
    true[visibility == -1] = np.nan
    predicted = np.nan_to_num(true) + np.array([shift, 0.0], "f4")
    predicted[2] += np.array([0.0, 0.2], "f4")
    sizes = np.array([[100, 200], [300, 300], [150, 300]], np.int32)
    plain = {"images": IMAGES, "visibility": visibility, "true": true, "predicted": predicted,
             "soft": predicted, "sizes": sizes}  # fmt: skip
    return Landmarks(**plain | changes)


def test_distances_are_of_visible_landmarks_by_the_images_or_by_the_garments_size() -> None:
    put = landmarks()
    found = distances(put)
    assert found is not None and np.isnan(found[0]).tolist() == [
        False, False, True, False, True, True, False, True,
    ]  # fmt: skip
    assert found[0, 0] == pytest.approx(0.03, abs=1e-6)
    assert found[2, 0] == pytest.approx(np.hypot(0.03, 0.2), abs=1e-6)
    pixels = np.array([[0.03 * 100, 0.0], [0.03 * 300, 0.0], [0.03 * 150, 0.2 * 300]])
    by_garment = distances(put, "garment")
    expected = np.linalg.norm(pixels, axis=1) / garment_size(put)
    assert by_garment is not None
    np.testing.assert_allclose(by_garment[[0, 1, 2], [0, 4, 0]], expected, rtol=1e-4)


def test_a_garments_size_is_the_longer_side_around_its_landmarks_inside() -> None:
    true = np.full((3, 8, 2), 0.5, "f4")
    true[0, 0], true[0, 1], true[0, 7] = [0.1, 0.5], [0.9, 0.6], [1.0, 1.0]  # 7 lies outside
    true[1, 4], true[1, 5] = [0.4, 0.2], [0.5, 0.9]
    sizes = garment_size(landmarks(true=true))
    np.testing.assert_allclose(sizes[:2], [0.8 * 100, 0.7 * 300], rtol=1e-5)
    assert np.isnan(sizes[2]), "all in one place: no size to measure by"


def test_what_a_record_lacks_is_not_made_up() -> None:
    old = landmarks(soft=None, sizes=None)
    assert distances(old, soft=True) is None and distances(old, "garment") is None
    assert np.isnan(estimate([old], "garment").mean)
    assert np.isnan(estimate([]).mean)


def test_clothes_types_are_told_by_which_landmarks_are_there() -> None:
    put = landmarks()
    assert clothes_types(put).tolist() == [1, 2, 3]
    none = np.full((1, 8), -1, np.int8)
    assert clothes_types(landmarks(visibility=none)).tolist() == [0]


def test_the_error_weighs_every_landmark_the_same_as_the_trials_own_does() -> None:
    one, other = landmarks(0.03), landmarks(0.05)
    measured = [one, other]
    expected = [normalised_error(p.predicted, p.true, p.visibility) for p in (one, other)]
    found = estimate(measured)
    assert found.mean == pytest.approx(np.mean(expected), rel=1e-5)
    assert found.seeds == 2 and found.images == 3
    upper = estimate(measured, kind=1)
    assert upper.mean == pytest.approx(0.04, abs=1e-5)
    collar = [0.03, np.hypot(0.03, 0.2)]
    assert estimate([one], landmark=0).mean == pytest.approx(np.mean(collar), abs=1e-5)


def test_a_landmark_is_detected_below_the_threshold() -> None:
    # 4 + 4 visible landmarks at 0.03, and 8 at hypot(0.03, 0.2).
    measured = [landmarks()]
    assert estimate(measured, threshold=0.05).mean == pytest.approx(8 / 16)
    assert estimate(measured, threshold=0.02).mean == 0
    assert estimate(measured, threshold=0.05, kind=2).mean == 1
    assert estimate(measured, threshold=0.3).mean == 1


def test_a_ratios_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        count = rng.integers(1, 9, 150)
        easy = rng.beta(4, 2, 150)  # images differ, and so do the two seeds
        hit = [rng.binomial(count, easy) for _ in range(3)]
        found = ratio(hit, [count] * 3, [np.arange(len(count))] * 3)
        inside.append(found.low <= 4 / 6 <= found.high)
    assert 0.91 < np.mean(inside) < 0.995


def answered() -> AttributeRecord:
    true = np.array([[1, -1, 1, 0, -1, 1], [-1, -1, -1, -1, -1, 1], [-1] * 6], np.int8)
    logits = np.array([[5, 4, 3, 2, 1, 0]] * 3, np.float16)
    types = np.array([1, 1, 2, 2, 3, 3], np.int8)
    return AttributeRecord(IMAGES, tuple("abcdef"), types, true, logits)


def test_recall_is_the_share_of_positive_answers_among_each_images_first_k() -> None:
    found, among = hits(answered(), 3)
    assert found.tolist() == [2, 0, 0] and among.tolist() == [3, 1, 0]
    assert recall([answered()], 3).mean == pytest.approx(2 / 4)
    assert recall([answered()], 6).mean == 1
    # Of type 3 alone: "e" is ranked before "f".
    assert recall([answered()], 1, kind=3).mean == 0
    assert np.isnan(recall([], 3).mean)


def test_ranking_by_frequency_is_the_bound_of_a_constant_answer() -> None:
    # "f" is positive twice, "a" and "c" once.
    assert frequency_recall(answered(), 1) == pytest.approx(2 / 4)
    assert frequency_recall(answered(), 3) == 1
