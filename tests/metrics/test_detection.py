"""Average precision, landmark similarity and retrieval against calculations by hand."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from bench.metrics.detection import Detections, Item, pasted
from bench.metrics.oks import LANDMARK_COUNTS, SIGMAS, oks
from bench.metrics.precision import average_precision, judged
from bench.metrics.ratios import in_clusters, mean_in_clusters
from bench.metrics.retrieval import chance, ranks, top

SIDE = 100
VEST = 4


def item(box: list[float], category: int = VEST, identity: int = -1, **changes: object) -> Item:
    """A garment that fills its box, with its landmarks on a line through it."""
    x1, y1, x2, y2 = box
    count = LANDMARK_COUNTS[category]
    along = np.linspace(0, 1, count)
    points = [[x1 + t * (x2 - x1), y1 + t * (y2 - y1), 2.0] for t in along]
    values = {
        "category": category,
        "box": box,
        "identity": identity,
        "points": points,
        "polygons": [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "grades": {"scale": 2, "occlusion": 1, "zoom_in": 1, "viewpoint": 2},
    }
    return Item(**values | changes)  # type: ignore[arg-type]


def found(
    truth: list[list[Item]],
    seen: list[list[tuple[Item, float]]],
    users: list[bool] | None = None,
    vectors: dict[tuple[int, int], list[float]] | None = None,
) -> Detections:
    """Detections that say what some items are, each with a score."""
    n, d, most = len(truth), max(map(len, seen)), max(LANDMARK_COUNTS)
    boxes, points = np.zeros((n, d, 4), np.float32), np.zeros((n, d, most, 2), np.float32)
    scores, category = np.zeros((n, d), np.float32), np.zeros((n, d), np.int16)
    for image, several in enumerate(seen):
        for place, (one, score) in enumerate(several):
            boxes[image, place], scores[image, place] = one.box, score
            category[image, place] = one.category
            points[image, place, : len(one.points)] = np.array(one.points)[:, :2]
    of = np.zeros((n, d, 2), np.float32)
    for (image, place), vector in (vectors or {}).items():
        of[image, place] = vector
    return Detections(
        images=np.array([f"{i}.jpg" for i in range(n)], dtype=object),
        sizes=np.full((n, 2), SIDE, np.int32),
        boxes=boxes,
        scores=scores,
        category=category,
        masks=np.full((n, d, 28, 28), 255, np.uint8),
        points=points,
        vectors=of,
        rank_weights=np.array([-1.0, -1.0], np.float32),
        users=np.array(users or [False] * n),
        truth=tuple(map(tuple, truth)),
    )


def test_oks_is_the_formula() -> None:
    true = np.array([[10.0, 10, 2], [20, 10, 1], [0, 0, 0]])
    # Off by 3 and 4 pixels and by nothing; sigma .1, A = 400: exp(-25 / (2 * 400 * .04)).
    predicted = np.array([[13.0, 14], [20, 10], [99, 99]])
    value = oks(predicted, true, 400, np.full(3, 0.1))
    assert value == pytest.approx((np.exp(-25 / 32) + 1) / 2)
    assert np.isnan(oks(predicted, true * 0, 400, np.full(3, 0.1)))


def test_ap_is_the_area_under_the_precision_by_hand() -> None:
    # Two images with a garment each. The most probable detection is of nothing, then a right one
    # (overlap 1), then one that overlaps by 0.7: 7 of 10 pixels of width.
    there = [item([10, 10, 30, 30]), item([50, 50, 60, 90])]
    seen = [
        [(item([60, 60, 90, 90]), 0.9), (there[0], 0.8)],
        [(item([50, 50, 57, 90]), 0.7)],
    ]
    score = average_precision(found([[one] for one in there], seen), "box")
    # At .50 to .70, precision is 1/2 then 2/3, and from the right its largest: 2/3 at all 101
    # recalls. Above, one of two is found at precision 1/2: 51 recalls of 101.
    assert score["ap50"] == pytest.approx(2 / 3)
    assert score["ap75"] == pytest.approx(0.5 * 51 / 101)
    # The overlap of float32 boxes is .7 to rounding: five thresholds, and perhaps not the fifth.
    few = [(k * 2 / 3 + (10 - k) * 0.5 * 51 / 101) / 10 for k in (4, 5)]
    assert score["ap"] == pytest.approx(few[1]) or score["ap"] == pytest.approx(few[0])


def test_a_category_counts_alike_and_another_is_wrong() -> None:
    there = [item([10, 10, 40, 40], VEST), item([50, 50, 90, 90], 8)]
    wrong = item(there[1].box, VEST)
    score = average_precision(found([there], [[(there[0], 0.9), (wrong, 0.8)]]), "box")
    assert score["ap"] == pytest.approx(0.5)  # 1 for vests, 0 for skirts
    assert np.isnan(average_precision(found([[]], [[(wrong, 0.8)]]), "box")["ap"])
    assert average_precision(found([there], [[]] and [[(wrong, 0.0)]]), "box")["ap"] == 0


def test_masks_are_compared_within_the_image() -> None:
    there = item([10, 10, 50, 30])
    half = pasted(np.full((28, 28), 255, np.uint8), np.array([10, 10, 30, 30.0]), SIDE, SIDE)
    assert half.sum() == 400 and half[10:30, 10:30].all()
    right = found([[there]], [[(there, 0.9)]])
    assert average_precision(right, "mask")["ap"] == pytest.approx(1.0)
    # Half of the garment: an overlap of .5 exactly, right at .50 alone.
    part = found([[there]], [[(item([10, 10, 30, 30]), 0.9)]])
    assert average_precision(part, "mask") == pytest.approx({"ap": 0.1, "ap50": 1.0, "ap75": 0.0})


def test_landmarks_count_by_their_similarity_and_those_of_their_visibility() -> None:
    there = item([10, 10, 50, 50])
    sigmas, area = SIGMAS[VEST], 1600.0
    # All visible but the first, which is occluded and off by far: the others are exact.
    occluded = item(there.box, points=[[*there.points[0][:2], 1.0], *there.points[1:]])
    off = item(there.box, points=[[90.0, 90.0, 2.0], *there.points[1:]])
    seen = found([[occluded]], [[(off, 0.9)]])
    assert average_precision(seen, "landmark")["ap"] == pytest.approx(1.0)
    similar = oks(np.array(off.points)[:, :2], np.array(occluded.points), area, sigmas)
    assert similar == pytest.approx(14 / 15, abs=1e-3)
    # .933 is right at the nine thresholds up to .90.
    assert average_precision(seen, "landmark_all")["ap"] == pytest.approx(0.9)


def test_garments_of_another_grade_are_neither_asked_for_nor_a_fault() -> None:
    heavy = {"scale": 2, "occlusion": 3, "zoom_in": 1, "viewpoint": 2}
    there = [item([10, 10, 30, 30]), item([50, 50, 90, 90], grades=heavy)]
    seen = found([there], [[(there[0], 0.9), (there[1], 0.8)]])
    assert average_precision(seen, "box", ("occlusion", 1))["ap"] == pytest.approx(1.0)
    only_one = found([there], [[(there[0], 0.9)]])
    assert average_precision(only_one, "box", ("occlusion", 3))["ap"] == 0.0


def retrieval() -> Detections:
    """Three users' and three shops' images."""
    where = [10.0, 10, 50, 50]
    truth = [
        [item(where, identity=1)],  # user: found
        [item(where, identity=2)],  # user: found as a skirt, so missed
        [item(where, identity=-1)],  # user: no query
        [item(where, identity=1)],  # shop
        [item(where, identity=2)],  # shop
        [item(where, identity=1)],  # shop: its detection overlaps by less than a half
    ]
    small = item([10, 10, 30, 30])
    seen = [
        [(item(where), 0.9), (item(where), 0.8)],
        [(item(where, 8), 0.9)],
        [(item(where), 0.9)],
        [(item(where, 8), 0.5)],  # right though it is called a skirt
        [(item(where), 0.9), (item([60, 60, 90, 90]), 0.4)],
        [(small, 0.9)],
    ]
    vectors = {
        (0, 0): [0.0, 0.0],
        (0, 1): [9.0, 0.0],  # less probable, so not the query's
        (3, 0): [3.0, 0.0],
        (4, 0): [2.0, 0.0],
        (4, 1): [1.0, 0.0],
        (5, 0): [0.0, 0.0],  # nearest, and wrong by its box
    }
    return found(truth, seen, [True] * 3 + [False] * 3, vectors)


def test_retrieval_follows_the_published_rule() -> None:
    found_ranks = ranks(retrieval())
    # Before the right one at distance 3: those at 0, 1 and 2.
    np.testing.assert_array_equal(found_ranks[:3], [3, np.inf, np.nan])
    assert np.isnan(found_ranks[3:]).all()
    assert np.nanmean(top(found_ranks, 1)) == 0
    assert np.nanmean(top(found_ranks, 5)) == 0.5  # of two queries, one is missed


def test_chance_is_that_of_a_random_order() -> None:
    # One of four gallery detections is right for the one query that was found, of two queries.
    assert chance(retrieval(), ranks(retrieval()), 1) == pytest.approx(0.5 / 4)
    assert chance(retrieval(), ranks(retrieval()), 2) == pytest.approx(0.5 * 2 / 4)


def photographed(rng: np.random.Generator, images: int) -> Detections:
    """One or two garments an image, found more or less, and things that are not there."""
    truth, seen = [], []
    for _ in range(images):
        there = [
            item([x, 10.0, x + 30, 50.0], category)
            for x, category in zip((5.0, 55.0), (VEST, 8), strict=True)
        ][: 1 + int(rng.integers(2))]
        off = rng.normal(0, 4, len(there))
        truth.append(there)
        seen.append(
            [
                (item([x1 + by, y1, x2 + by, y2], one.category), float(rng.uniform(0.3, 1)))
                for one, by in zip(there, off, strict=True)
                for x1, y1, x2, y2 in [one.box]
                if rng.random() < 0.85
            ]
            + [(item([20, 60, 60, 95], VEST), float(rng.uniform(0.1, 0.8)))] * int(rng.integers(2))
        )
    return found(truth, seen)


def drawn(one: Detections, rows: np.ndarray) -> Detections:
    """Some of the images, perhaps several times."""
    by_image = [f.name for f in fields(one) if f.name not in ("truth", "rank_weights")]
    return replace(
        one,
        truth=tuple(one.truth[row] for row in rows),
        **{name: getattr(one, name)[rows] for name in by_image},
    )


def test_what_images_add_to_ap_is_what_drawing_other_images_changes() -> None:
    rng = np.random.default_rng(0)
    seen = photographed(rng, 80)
    whole = judged(seen, "box")
    again = [judged(drawn(seen, rng.integers(80, size=80)), "box").scores for _ in range(200)]
    for name, deviations in whole.deviations().items():
        assert deviations.mean() == pytest.approx(0, abs=1e-9)
        by_chance = np.std([scores[name] for scores in again], ddof=1)
        assert deviations.std(ddof=1) / 80**0.5 == pytest.approx(by_chance, rel=0.3)
    assert whole.curve[0] >= whole.curve[50] >= whole.curve[-1]
    assert whole.curve.mean() == pytest.approx(whole.scores["ap50"])


def test_garments_of_an_image_are_one_in_the_spread() -> None:
    deviations = np.array([2.0, -3.0, 1.0])
    values = in_clusters(0.5, deviations, np.array([2, 1, 3]))
    assert values.mean() == pytest.approx(0.5) and len(values) == 6
    # The standard error over rows is that over clusters.
    error = np.square(values - 0.5).sum() ** 0.5 / 6
    assert error == pytest.approx(np.square(deviations).sum() ** 0.5 / 3)

    alike = np.repeat(np.random.default_rng(0).integers(2, size=50), 4).astype(float)
    one = mean_in_clusters(alike, np.full(50, 4))
    assert one.mean() == pytest.approx(alike.mean())
    assert one.std() / 200**0.5 == pytest.approx(alike[::4].std() / 50**0.5)
    some = np.where(np.arange(200) % 4 == 1, alike, np.nan)  # a query an image
    assert mean_in_clusters(some, np.full(50, 4)).std() == pytest.approx(one.std())
    assert np.isnan(mean_in_clusters(np.full(3, np.nan), np.array([3]))).all()
