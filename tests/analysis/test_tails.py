"""Recall of frequent and rare classes against hand calculation and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.arms import Arm
from bench.analysis.intervals import over_seeds_and_images
from bench.analysis.tails import class_effects, tail_effects, tail_groups
from bench.metrics.catalogue import classification
from bench.metrics.ratios import macro_matrix
from tests.analysis.made import trial

COUNTS = [50, 30, 12, 5, 3]
"""Training images: a head of one class, a middle of two, a tail of two."""
NAMES = ["tee", "dress", "skirt", "kaftan", "jodhpurs"]


def arm(
    name: str,
    labels: list[int],
    right: list[list[int]],
    *,
    counts: list[int] = COUNTS,
    against: str | None = "control",
    prefix: str = "",
    scored_from: int = 0,
) -> Arm:
    """An arm that is right on given test images, one row of 0 and 1 a seed."""
    images = [f"{prefix}{number}.jpg" for number in range(len(labels))]
    trials = {}
    for seed, row in enumerate(right):
        trials[seed] = trial(
            np.where(row, 0, 9)[scored_from:],
            images=images[scored_from:],
            labels=labels[scored_from:],
            data={"train_counts": counts, "class_names": NAMES[: len(counts)]},
        )
    return Arm(name, {}, against, trials, len(trials), {})


def test_groups_hold_half_the_training_images_and_the_last_tenth() -> None:
    groups = tail_groups(COUNTS)
    assert (groups.head, groups.middle, groups.tail) == ((0,), (1, 2), (3, 4))
    # 40 of 100 are less than half, so the head takes a second class; the last 11 are too many.
    groups = tail_groups([40, 0, 11, 49])
    assert (groups.head, groups.middle, groups.tail) == ((3, 0), (2,), ())
    assert groups.untrained == (1,)
    assert [groups.of(category) for category in range(4)] == ["head", "untrained", "middle", "head"]


def test_classes_of_the_same_count_are_not_parted_by_their_order() -> None:
    balanced = tail_groups([7] * 20)
    assert balanced.head == tuple(range(20)) and balanced.tail == ()
    counts = np.array([60, 20, 10, 5, 5, 5, 5])
    shuffled = np.random.default_rng(0).permutation(len(counts))
    for group, classes in tail_groups(counts[shuffled]).items():
        mine = sorted(shuffled[list(classes)].tolist())
        assert mine == sorted(dict(tail_groups(counts).items())[group])
    assert tail_groups(counts).tail == ()  # the four alike hold 20 of 110


def test_a_share_of_exactly_a_tenth_is_the_tail_at_any_size() -> None:
    for tenth in range(1, 400):
        assert tail_groups([5 * tenth, 4 * tenth, tenth]).tail == (2,)
        assert tail_groups([5 * tenth, 4 * tenth - 1, tenth + 1]).tail == ()


def test_recall_of_a_group_is_the_mean_of_its_classes_recalls() -> None:
    labels = [0, 0, 1, 1, 1, 1, 2, 2, 3, 3]
    control = arm("control", labels, [[1, 1, 1, 0, 0, 0, 1, 1, 0, 0]] * 2, against=None)
    other = arm("other", labels, [[1, 0, 1, 1, 0, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]])
    head, middle, tail = tail_effects([control, other], "control")
    assert [e.group for e in (head, middle, tail)] == ["head", "middle", "tail"]
    assert middle.recall and middle.control_recall and middle.difference
    # By hand: classes 1 and 2 have recalls 2/4 and 1/2 at the first seed, 1 and 1 at the second.
    assert middle.recall.mean == pytest.approx((0.5 + 1.0) / 2)
    assert middle.control_recall.mean == pytest.approx((1 / 4 + 2 / 2) / 2)
    assert middle.difference.mean == pytest.approx(0.75 - 0.625)
    assert (middle.train_images, middle.test_images, middle.seeds) == (42, 6, 2)
    assert tail.classes == (3,) and tail.untested == ("jodhpurs",)
    assert tail.recall and tail.recall.mean == pytest.approx(0.75)


def test_all_classes_in_one_group_give_the_macro_recall_of_the_metrics() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60)
    probabilities = rng.dirichlet(np.ones(3), 60)
    right = (probabilities.argmax(axis=1) == labels).astype(int).tolist()
    control = arm("control", labels.tolist(), [right], counts=[9, 9, 9], against=None)
    other = arm("other", labels.tolist(), [right], counts=[9, 9, 9])
    (head,) = tail_effects([control, other], "control")
    expected = classification(probabilities, labels)["recall_macro"]
    assert head.recall and head.recall.mean == pytest.approx(expected)
    assert head.difference and head.difference.mean == 0


def test_images_add_the_variance_of_a_stratified_mean() -> None:
    rng = np.random.default_rng(2)
    classes = np.repeat([0, 1, 2], [30, 9, 4])
    row = rng.random(len(classes))
    by_hand = sum(row[classes == c].var(ddof=1) / (9 * np.sum(classes == c)) for c in range(3))
    estimate = over_seeds_and_images(macro_matrix(row[None], classes))
    assert estimate.image_variance == pytest.approx(by_hand)
    assert estimate.mean == pytest.approx(np.mean([row[classes == c].mean() for c in range(3)]))


def test_a_model_that_is_always_right_is_not_made_uncertain_by_the_weights() -> None:
    estimate = over_seeds_and_images(macro_matrix(np.ones((4, 22)), np.repeat([0, 1], [20, 2])))
    assert estimate.mean == 1 and estimate.image_variance == pytest.approx(0, abs=1e-20)


def test_classes_of_one_image_are_taken_together_rather_than_as_certain() -> None:
    row = np.array([[1.0, 0.0, 1.0, 0.0]])
    alone = over_seeds_and_images(macro_matrix(row, np.arange(4)))
    # Four strata of one image are judged as one of four.
    assert alone.image_variance == pytest.approx(row.var(ddof=1) / 4)
    beside = over_seeds_and_images(macro_matrix(row, np.array([0, 0, 0, 1])))
    assert beside.mean == pytest.approx((2 / 3 + 0) / 2) and beside.image_variance > 0


def test_one_class_alone_has_the_interval_of_a_plain_mean() -> None:
    matrix = np.random.default_rng(3).random((4, 25))
    laid = over_seeds_and_images(macro_matrix(matrix, np.full(25, 7)))
    plain = over_seeds_and_images(matrix)
    assert (laid.low, laid.high) == (pytest.approx(plain.low), pytest.approx(plain.high))


@pytest.mark.parametrize("seeds", [3, 6])
def test_intervals_of_a_macro_mean_hold_the_truth_as_often_as_said(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    classes = np.repeat(np.arange(5), [60, 30, 12, 8, 6])
    held = []
    for _ in range(400):
        matrix = (
            rng.normal(0, 0.03, (seeds, 1))
            + rng.normal(0, 0.05, (seeds, 5))[:, classes]
            + rng.normal(0, 0.3, (1, len(classes)))
            + rng.normal(0, 0.4, (seeds, len(classes)))
            + np.array([0.5, -0.5, 0.25, 0, -0.25])[classes]
        )
        estimate = over_seeds_and_images(macro_matrix(matrix, classes))
        held.append(estimate.low <= 0 <= estimate.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_a_gain_on_rare_classes_is_found_where_the_overall_score_hides_it() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(5), [500, 300, 120, 30, 30])
    hardness = rng.random(len(labels))

    def right(shares: list[float]) -> list[list[int]]:
        wobble = rng.normal(0, 0.01, 5)
        return [(hardness < np.array(shares)[labels] + w).astype(int).tolist() for w in wobble]

    control = arm("control", labels.tolist(), right([0.7, 0.6, 0.5, 0.1, 0.1]), against=None)
    other = arm("other", labels.tolist(), right([0.68, 0.58, 0.5, 0.6, 0.6]))
    head, _, tail = tail_effects([control, other], "control")
    assert tail.difference and tail.difference.low > 0.2 and tail.p_holm < 0.05
    assert head.difference and head.difference.mean < 0.02
    by_class = {effect.name: effect for effect in class_effects(other, control)}
    kaftan = by_class["kaftan"].difference
    assert kaftan and kaftan.low > 0.2 and by_class["kaftan"].group == "tail"


def test_every_class_is_reported_with_what_is_known_of_it() -> None:
    labels = [0, 0, 1, 1, 3]
    control = arm("control", labels, [[1, 1, 0, 0, 0]] * 3, against=None)
    other = arm("other", labels, [[1, 1, 0, 1, 1], [1, 0, 0, 1, 1], [1, 1, 0, 0, 1]])
    effects = class_effects(other, control)
    assert [e.name for e in effects] == NAMES
    assert [e.test_images for e in effects] == [2, 2, 0, 1, 0]
    tee, dress, skirt, kaftan, _ = effects
    assert skirt.difference is None and np.isnan(skirt.p_holm)
    assert tee.difference and tee.difference.mean == pytest.approx(-1 / 6)
    assert dress.difference and dress.difference.mean == pytest.approx(1 / 3)
    # One image, gained at every seed, says nothing about other images of its class.
    assert kaftan.difference and kaftan.difference.mean == 1 and np.isnan(kaftan.difference.low)
    expected = stats.ttest_1samp([0, -0.5, 0], 0).pvalue  # the images' part is nil here
    assert tee.difference.p == pytest.approx(expected, rel=1e-6)


def test_labels_are_those_of_the_images_that_the_protocol_scores() -> None:
    labels = [3, 3, 3, 0, 0, 1]
    right = [[0, 0, 0, 1, 1, 1]]
    control = arm("control", labels, right, against=None, scored_from=3)
    other = arm("other", labels, right, scored_from=3)
    found = {effect.group: effect for effect in tail_effects([control, other], "control")}
    assert found["head"].test_images == 2 and found["tail"].test_images == 0
    assert found["tail"].recall is None and found["tail"].difference is None


def test_arms_tested_on_other_images_or_seeds_are_left_out() -> None:
    labels = [0, 1, 2]
    control = arm("control", labels, [[1, 1, 1]], against=None)
    elsewhere = arm("elsewhere", labels, [[1, 1, 1]], prefix="other/")
    unfinished = arm("unfinished", labels, [])
    assert tail_effects([control, elsewhere, unfinished], "control") == []
    assert class_effects(elsewhere, control) == []
    assert tail_effects([elsewhere], "control") == []
    with pytest.raises(ValueError, match="expected one of accuracy, top_3, top_5, found 'loss'"):
        tail_effects([control], "control", "loss")
