"""What an arm gains on frequent and on rare classes, apart: recall by group and by class.

An overall score of long-tailed data is that of its commonest classes, so a gain or a loss on rare
ones hardly shows in it. Groups of classes by training count are the custom of long-tailed
recognition (Liu et al. 2019, *Large-Scale Long-Tailed Recognition in an Open World*, counts above
100, 20 to 100 and below 20 a class); here they go by shares of the training images, so that the
rule means the same for 100 training images and for 200,000.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.arms import Arm, Trial
from bench.analysis.intervals import Estimate, holm, over_results
from bench.analysis.paired import PairedResults, compared, paired_results
from bench.metrics.catalogue import TOP_K
from bench.metrics.ratios import macro_matrix

GROUPS = ("head", "middle", "tail")
HEAD_SHARE = 0.5
"""The head holds at least this share of the training images."""
TAIL_SHARE = 0.1
"""The tail holds at most this share of them."""


@dataclass(frozen=True)
class TailGroups:
    """Classes by how often they were trained on; each class is in exactly one group.

    Args:
        head: Classes of which the more frequent ones hold less than half the training images.
        middle: The rest.
        tail: Classes of which the more frequent ones hold at least nine tenths.
        untrained: Classes without a training image.
    """

    head: tuple[int, ...]
    middle: tuple[int, ...]
    tail: tuple[int, ...]
    untrained: tuple[int, ...]

    def items(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """`head`, `middle` and `tail` with their classes, most frequent first."""
        yield from zip(GROUPS, (self.head, self.middle, self.tail), strict=True)

    def of(self, category: int) -> str:
        """A class's group: `head`, `middle`, `tail` or `untrained`."""
        return next((name for name, classes in self.items() if category in classes), "untrained")


@dataclass(frozen=True)
class TailEffect:
    """An arm against its control on one group of classes.

    Recall is averaged over the group's classes, each class alike, at the seeds that both finished.

    Args:
        arm: The arm.
        group: `head`, `middle` or `tail`, by the control's training counts.
        classes: Classes of the group that have test images: those that recall is averaged over.
        untested: Names of the group's classes without a test image, left out.
        train_images: Training images of all classes of the group, of the control.
        test_images: Test images of the group, on average over the seeds.
        seeds: Number of paired seeds.
        recall: The arm's; None where the group has no test image.
        control_recall: The control's; None likewise.
        difference: Arm minus control; None likewise.
        p_holm: p-value of no difference, corrected over all arms and groups together.
    """

    arm: str
    group: str
    classes: tuple[int, ...]
    untested: tuple[str, ...]
    train_images: int
    test_images: int
    seeds: int
    recall: Estimate | None
    control_recall: Estimate | None
    difference: Estimate | None
    p_holm: float = float("nan")


@dataclass(frozen=True)
class ClassEffect:
    """An arm against its control on one class.

    Args:
        category: The class's index.
        name: Its name.
        group: `head`, `middle`, `tail` or `untrained`.
        train_images: Its training images, of the control.
        test_images: Its test images, on average over the seeds.
        difference: Recall of the arm minus that of the control, paired by seed; without an
            interval for a single test image, and None for a class without one.
        p_holm: p-value of no difference, corrected over the classes.
    """

    category: int
    name: str
    group: str
    train_images: int
    test_images: int
    difference: Estimate | None
    p_holm: float = float("nan")


def tail_groups(train_counts: Sequence[int] | np.ndarray) -> TailGroups:
    """Classes grouped head, middle and tail by their training images.

    Sorted from the most frequent class to the rarest, the head is the fewest classes that together
    hold at least half of the training images, the tail the most classes from the rare end that
    together hold at most a tenth, and the middle the rest. Classes of the same count go together
    (to the more frequent group), so that the order of the classes decides nothing: data of equal
    counts are all head. A group other than the head can be empty.

    Args:
        train_counts: `(classes,)` training images of each class.

    Returns:
        The groups, each sorted from the most frequent class (ties by index).
    """
    counts = np.asarray(train_counts, np.int64)
    total = int(counts.sum())
    found: dict[str, list[int]] = {name: [] for name in (*GROUPS, "untrained")}
    for category in np.argsort(-counts, kind="stable").tolist():
        before = int(counts[counts > counts[category]].sum())
        if counts[category] == 0:
            group = "untrained"
        elif before < HEAD_SHARE * total:
            group = "head"
        elif total - before <= TAIL_SHARE * total:
            group = "tail"
        else:
            group = "middle"
        found[group].append(category)
    return TailGroups(*(tuple(classes) for classes in found.values()))


def tail_effects(arms: Sequence[Arm], control: str, metric: str = "accuracy") -> list[TailEffect]:
    """Each arm's macro recall by group of classes, against its control's.

    Groups go by the control's training counts, also where an arm was trained on more or fewer
    images. Intervals count seeds and test images (`macro_matrix`); they are rough where a group has
    few test images, and too narrow for a class whose few images are all right or all wrong.

    Args:
        arms: All arms of a study.
        control: Name of the arm that others are compared with.
        metric: `accuracy` for recall of the first answer, `top_3` or `top_5` for recall among the
            first three or five.

    Returns:
        For each arm that shares finished seeds and test images with the control, one effect for
        each group that has classes; arms tested on other images are left out.

    Raises:
        ValueError: The metric is not one of those.
    """
    _check(metric)
    found: list[TailEffect] = []
    for arm, baseline in compared(arms, control):
        paired = paired_results(arm, baseline, metric)
        if paired is not None:
            found += _by_group(arm.name, paired, [baseline.trials[s] for s in paired.seeds])
    corrected = holm([_p(effect.difference) for effect in found])
    return [replace(effect, p_holm=p) for effect, p in zip(found, corrected, strict=True)]


def class_effects(arm: Arm, control: Arm, metric: str = "accuracy") -> list[ClassEffect]:
    """Recall of every class, arm minus control.

    Args:
        arm: The arm.
        control: The arm that it is compared with.
        metric: As in `tail_effects`.

    Returns:
        One effect a class with training or test images, from the most to the least trained on;
        none where the arms share no finished seed or were tested on different images.

    Raises:
        ValueError: The metric is not one of the three.
    """
    _check(metric)
    paired = paired_results(arm, control, metric)
    if paired is None:
        return []
    trials = [control.trials[seed] for seed in paired.seeds]
    labels = [true_classes(trial) for trial in trials]
    counts = _train_counts(trials)
    groups = tail_groups(counts)
    found = []
    for category in np.argsort(-counts, kind="stable").tolist():
        rows = [own == category for own in labels]
        tested = _images_of(rows)
        if counts[category] or tested:
            found.append(
                ClassEffect(
                    category=category,
                    name=trials[0].data["class_names"][category],
                    group=groups.of(category),
                    train_images=int(counts[category]),
                    test_images=tested,
                    difference=_recall(paired.differences, rows, paired.images),
                )
            )
    corrected = holm([_p(effect.difference) for effect in found])
    return [replace(effect, p_holm=p) for effect, p in zip(found, corrected, strict=True)]


def true_classes(trial: Trial) -> np.ndarray:
    """`(images,)` true classes of the test images that a trial's protocol scores."""
    return trial.outcomes.labels.astype(np.int64)


def _train_counts(trials: Sequence[Trial]) -> np.ndarray:
    """`(classes,)` training images, the mean of seeds that may have been trained on others."""
    counts = np.mean([trial.data["train_counts"] for trial in trials], axis=0)
    return np.rint(counts).astype(np.int64)


def _images_of(rows: Sequence[np.ndarray]) -> int:
    """How many test images are meant, on average over the seeds; 1 at least where there is any."""
    mean = float(np.mean([own.sum() for own in rows]))
    return max(round(mean), 1) if mean else 0


def _by_group(arm: str, paired: PairedResults, control: Sequence[Trial]) -> Iterator[TailEffect]:
    names, counts = control[0].data["class_names"], _train_counts(control)
    labels = [true_classes(trial) for trial in control]
    for group, classes in tail_groups(counts).items():
        if not classes:
            continue
        rows = [np.isin(own, classes) for own in labels]
        present = {c for own, there in zip(labels, rows, strict=True) for c in own[there].tolist()}
        mine, theirs, difference = (
            _recall(results, rows, paired.images, labels)
            for results in (paired.mine, paired.theirs, paired.differences)
        )
        yield TailEffect(
            arm=arm,
            group=group,
            classes=tuple(c for c in classes if c in present),
            untested=tuple(names[c] for c in classes if c not in present),
            train_images=int(counts[list(classes)].sum()),
            test_images=_images_of(rows),
            seeds=len(paired.seeds),
            recall=mine,
            control_recall=theirs,
            difference=difference,
        )


def _recall(
    results: Sequence[np.ndarray],
    rows: Sequence[np.ndarray],
    images: Sequence[tuple[str, ...]],
    labels: Sequence[np.ndarray] | None = None,
) -> Estimate | None:
    """Mean of some test images' results; None where no seed was tested on one.

    Args:
        results: `(images,)` of each seed.
        rows: Which of its images are meant.
        images: Names of each seed's images.
        labels: Their classes, to be averaged over the classes; None to average over the images.
    """
    values: list[np.ndarray] = []
    names: list[Sequence[str]] = []
    alike = all(own == images[0] for own in images)
    # Seeds that share their images are taken in one product.
    for seeds in [range(len(rows))] if alike else [range(s, s + 1) for s in range(len(rows))]:
        there = rows[seeds[0]]
        if there.any():
            kept = np.stack([results[seed] for seed in seeds])[:, there]
            if labels is not None:
                kept = macro_matrix(kept, labels[seeds[0]][there])
            own = images[0] if alike else np.array(images[seeds[0]])[there].tolist()
            values += list(kept)
            names += [own] * len(kept)
    if not values:
        return None
    estimate = over_results(values, names)
    if max(map(len, values)) > 1:
        return estimate
    # One image says nothing about others, so it gets no interval.
    nan = float("nan")
    return replace(estimate, low=nan, high=nan, p=nan, image_variance=nan)


def _p(estimate: Estimate | None) -> float:
    return float("nan") if estimate is None else estimate.p


def _check(metric: str) -> None:
    if metric not in TOP_K:
        raise ValueError(f"metric: expected one of {', '.join(TOP_K)}, found {metric!r}")
