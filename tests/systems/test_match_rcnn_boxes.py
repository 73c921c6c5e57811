"""Match R-CNN's arithmetic of boxes, regions, landmarks and pairs, against calculations by hand."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from bench.data.deepfashion2.categories import CATEGORIES
from bench.metrics.oks import LANDMARK_COUNTS
from bench.systems.match_rcnn.boxes import (
    BOX_VARIANCE,
    anchors,
    from_deltas,
    level_of,
    suppress,
    to_deltas,
)
from bench.systems.match_rcnn.landmarks import Channels, from_cells, own_channels, to_cells
from bench.systems.match_rcnn.pairs import epoch_of_pairs, pair_targets
from bench.systems.match_rcnn.roi_align import bin_weights, crop_masks, roi_align
from bench.systems.match_rcnn.sampling import match_anchors, sample_anchors, sample_rois


def array(values: object, kind: str = "float32") -> object:
    return ops.convert_to_tensor(np.array(values, kind))


def test_anchors_stand_around_the_middle_of_their_cells() -> None:
    found = anchors(16, [8, 16], 2.0)
    assert found.shape == ((4 + 1) * 3, 4)
    # Height over width 1/2, 1, 2 at equal area, around (4, 4), then (12, 4).
    root = 8 * np.sqrt(2)
    np.testing.assert_allclose(
        found[0], [4 - root, 4 - root / 2, 4 + root, 4 + root / 2], rtol=1e-6
    )
    np.testing.assert_allclose(found[1], [-4, -4, 12, 12])
    np.testing.assert_allclose(
        found[2], [4 - root / 2, 4 - root, 4 + root / 2, 4 + root], rtol=1e-6
    )
    np.testing.assert_allclose(found[4], [4, -4, 20, 12])
    np.testing.assert_allclose(found[13], [-8, -8, 24, 24])


def test_deltas_are_the_papers_and_lead_back() -> None:
    anchor, box = array([[[10, 10, 30, 50]]]), array([[[15, 20, 25, 60]]])
    # Centres (20, 30) and (20, 40), sides 20 x 40 and 10 x 40.
    deltas = np.asarray(to_deltas(anchor, box))
    np.testing.assert_allclose(deltas[0, 0], [0, 10 / 40, np.log(1 / 2), 0], atol=1e-6)
    scaled = to_deltas(anchor, box, BOX_VARIANCE)
    np.testing.assert_allclose(scaled[0, 0], [0, 2.5, 5 * np.log(1 / 2), 0], atol=1e-5)
    np.testing.assert_allclose(from_deltas(anchor, scaled, 64, BOX_VARIANCE), box, atol=1e-4)
    # Beyond the image it is clipped; a side grows 62.5 times at most.
    np.testing.assert_allclose(from_deltas(anchor, scaled, 55, BOX_VARIANCE)[0, 0, 3], 55)
    grown = np.asarray(from_deltas(anchor, array([[[0, 0, 99, 99]]]), 5000))
    np.testing.assert_allclose(grown[0, 0, 2], 20 + 62.5 * 20 / 2, rtol=1e-5)


def greedy(
    boxes: np.ndarray, groups: np.ndarray, valid: np.ndarray, threshold: float
) -> np.ndarray:
    """Suppression one box after another."""
    kept: list[int] = []
    for i in np.flatnonzero(valid):
        for j in kept:
            low, high = (
                np.maximum(boxes[i, :2], boxes[j, :2]),
                np.minimum(boxes[i, 2:], boxes[j, 2:]),
            )
            shared = np.clip(high - low, 0, None).prod()
            areas = [(boxes[k, 2:] - boxes[k, :2]).prod() for k in (i, j)]
            if groups[i] == groups[j] and shared / (sum(areas) - shared) > threshold:
                break
        else:
            kept.append(int(i))
    return np.isin(np.arange(len(boxes)), kept)


def test_suppression_of_a_batch_is_the_greedy_one() -> None:
    # a beats b, b would beat c, which stays: 1-d boxes of length 10 at 0, 3 and 6.
    chain = array([[[0, 0, 10, 1], [3, 0, 13, 1], [6, 0, 16, 1]]])
    zeros, ones = array([[0, 0, 0]], "int32"), array([[1, 1, 1]], "bool")
    np.testing.assert_array_equal(suppress(chain, zeros, ones, 0.5), [[True, False, True]])
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 40, (3, 60, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 30, (3, 60, 2))], axis=2).astype("float32")
    groups, valid = rng.integers(0, 2, (3, 60)), rng.random((3, 60)) < 0.9
    found = np.asarray(suppress(*map(ops.convert_to_tensor, (boxes, groups, valid)), 0.4))
    expected = [greedy(*one, 0.4) for one in zip(boxes, groups, valid, strict=True)]
    np.testing.assert_array_equal(found, expected)
    assert 0.1 < found.mean() < 0.8


def test_a_boxs_level_follows_from_its_size() -> None:
    sides = [10, 111, 112, 223, 224, 447, 448, 5000]
    boxes = array([[0, 0, side, side] for side in sides])
    # Lin et al. 2017: 224 is level 4, of stride 16; half of it level 3.
    expected = np.array([2, 2, 3, 3, 4, 4, 5, 5]) - 2
    np.testing.assert_array_equal(level_of(boxes, [4, 8, 16, 32], 224), expected)
    np.testing.assert_array_equal(level_of(boxes, [8, 16, 32], 224), np.maximum(expected - 1, 0))


def bilinear(values: np.ndarray, y: float, x: float) -> np.ndarray:
    """A map at a place in cells, whose middles are at whole numbers; clamped."""
    y, x = np.clip(y, 0, values.shape[0] - 1), np.clip(x, 0, values.shape[1] - 1)
    top, left = int(min(y, values.shape[0] - 2)), int(min(x, values.shape[1] - 2))
    v, u = y - top, x - left
    one, other = values[top, left : left + 2], values[top + 1, left : left + 2]
    return (1 - v) * ((1 - u) * one[0] + u * one[1]) + v * ((1 - u) * other[0] + u * other[1])


def test_regions_are_averages_of_bilinear_samples_of_their_own_level() -> None:
    rng = np.random.default_rng(1)
    maps = [rng.random((2, 8, 8, 3)), rng.random((2, 4, 4, 3))]
    boxes = np.array([[[5, 3, 40, 33], [-6, 2, 70, 61]], [[1, 1, 9, 30], [20, 20, 64, 64]]])
    levels = np.array([[0, 1], [1, 0]])
    found = np.asarray(
        roi_align([array(m) for m in maps], [8, 16], array(boxes), array(levels, "int32"), 3)
    )
    assert found.shape == (2, 2, 3, 3, 3)
    for n, r, p, q in np.ndindex(2, 2, 3, 3):
        level = levels[n, r]
        x1, y1, x2, y2 = boxes[n, r]
        total = 0.0
        for i, j in np.ndindex(2, 2):
            y = y1 + (p + (i + 0.5) / 2) * (y2 - y1) / 3
            x = x1 + (q + (j + 0.5) / 2) * (x2 - x1) / 3
            stride = (8, 16)[level]
            total = total + bilinear(maps[level][n], y / stride - 0.5, x / stride - 0.5) / 4
        np.testing.assert_allclose(found[n, r, p, q], total, rtol=2e-5)
    np.testing.assert_allclose(
        ops.sum(bin_weights(array([-9.0]), array([99.0]), 5, 8, 8), axis=-1),
        np.ones((1, 5)),
        rtol=1e-6,
    )


def test_a_mask_is_cut_to_its_box() -> None:
    mask = np.zeros((1, 1, 8, 8))
    mask[0, 0, 4:, :] = 1  # the lower half of 16 pixels
    cut = crop_masks(array(mask), array([[[0, 4, 16, 12]]]), 4, 2)
    np.testing.assert_array_equal(cut[0, 0], [[0] * 4, [0] * 4, [1] * 4, [1] * 4])


def test_anchors_are_matched_and_sampled() -> None:
    boxes = array([[[0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 10]]])
    valid = array([[True, True, False]], "bool")
    some = array([[0, 0, 10, 9], [0, 0, 10, 6], [22, 0, 32, 10], [25, 0, 35, 10], [50, 0, 60, 9]])
    # Overlaps: .9 and .6 with the first; 8/12 and 5/15 with the second, of which the best counts.
    labels, item = match_anchors(some, boxes, valid)
    np.testing.assert_array_equal(labels, [[1, -1, 1, -1, 0]])
    np.testing.assert_array_equal(np.asarray(item)[0, [0, 2]], [0, 1])

    noise = array(np.random.default_rng(2).random((1, 200)))
    labels = array([[1] * 50 + [0] * 140 + [-1] * 10], "int32")
    positive, negative = (np.asarray(s)[0] for s in sample_anchors(labels, 40, noise))
    assert positive.sum() == 20 and negative.sum() == 20
    assert positive[:50].sum() == 20 and negative[50:190].sum() == 20
    few = array([[1] * 3 + [0] * 197], "int32")
    positive, negative = (np.asarray(s)[0] for s in sample_anchors(few, 40, noise))
    assert (positive.sum(), negative.sum()) == (3, 37)


def test_regions_are_a_fixed_number_with_those_of_a_garment_first() -> None:
    near = [[0, 0, 10, 10 - 0.1 * k] for k in range(6)]
    far = [[40, 40, 50 + k, 50] for k in range(6)]
    proposals, boxes = array([near + far]), array([[[0, 0, 10, 10], [0, 0, 0, 0]]])
    there = array([[True] * 11 + [False]], "bool")
    noise = array(np.random.default_rng(3).random((1, 14)))
    regions, item, of_item, exist = (
        np.asarray(v)[0]
        for v in sample_rois(
            proposals,
            there,
            boxes,
            array([[True, False]], "bool"),
            count=10,
            foreground=3,
            noise=noise,
        )
    )
    np.testing.assert_array_equal(of_item, [True] * 3 + [False] * 7)
    # Three of a garment, the five far proposals that there are; no third kind.
    np.testing.assert_array_equal(exist, [True] * 8 + [False] * 2)
    assert (regions[:3, 0] == 0).all() and (regions[3:8, 0] == 40).all()
    assert (item[:3] == 0).all()


def test_channels_are_the_categories_ranges() -> None:
    assert tuple(category.landmarks for category in CATEGORIES) == LANDMARK_COUNTS
    assert sum(LANDMARK_COUNTS) == 294
    channels = Channels((2, 0, 3))
    maps = array(np.arange(2 * 5).reshape(2, 1, 1, 5))
    own = np.asarray(own_channels(maps, array([0, 2], "int32"), channels)).reshape(2, 3)
    np.testing.assert_array_equal(own, [[0, 1, 0], [7, 8, 9]])


def test_landmarks_are_cells_of_their_box_and_back() -> None:
    box = array([[10, 20, 66, 76]])  # a pixel a cell
    points = array([[[10, 20, 2], [66, 76, 1], [33.5, 21.2, 2], [9, 30, 2], [40, 40, 0]]])
    cell, trained = to_cells(points, box, 56)
    np.testing.assert_array_equal(np.asarray(cell)[0, :3], [0, 55 * 56 + 55, 56 + 23])
    np.testing.assert_array_equal(trained, [[True, True, True, False, False]])
    logits = np.zeros((1, 56, 56, 3))
    for index, at in enumerate(np.asarray(cell)[0, :3]):
        logits[0, at // 56, at % 56, index] = 5
    back = np.asarray(from_cells(array(logits), box))
    np.testing.assert_allclose(back[0], [[10.5, 20.5], [65.5, 75.5], [33.5, 21.5]])


def test_an_epoch_has_each_users_image_once_beside_one_of_its_shops() -> None:
    pairs = np.array([[0, 5], [0, 6], [0, 7], [1, 5], [2, 9]])
    seen = set()
    for seed in range(20):
        order = epoch_of_pairs(pairs, "one_a_user", np.random.default_rng(seed)).reshape(-1, 2)
        assert sorted(order[:, 0]) == [0, 1, 2]
        assert all(pair in pairs.tolist() for pair in order.tolist())
        seen |= {tuple(pair) for pair in order.tolist()}
    assert len(seen) == 5
    every = epoch_of_pairs(pairs, "every", np.random.default_rng(0)).reshape(-1, 2)
    assert sorted(map(tuple, every.tolist())) == sorted(map(tuple, pairs.tolist()))


def test_pairs_are_users_with_shops_and_positive_by_identity() -> None:
    identity, domain = array([3, -1, 3, -1, 4], "int32"), array([0, 0, 1, 1, 1], "int32")
    there = array([True, True, True, True, False], "bool")
    counts, same = (np.asarray(v) for v in pair_targets(identity, domain, there))
    assert [tuple(pair) for pair in np.argwhere(counts)] == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert [tuple(pair) for pair in np.argwhere(same)] == [(0, 2)]  # no identity is no match


@pytest.mark.parametrize("count", [1, 7])
def test_fewer_anchors_than_a_sample_are_all_taken(count: int) -> None:
    positive, negative = sample_anchors(
        array([[0] * count], "int32"), 64, array(np.linspace(0.1, 0.9, count)[None])
    )
    assert not np.asarray(positive).any() and np.asarray(negative).all()
