"""What a detector finds: precision by recall, detections in their images, garments found again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from bench.analysis.arms import Arm
from bench.data.deepfashion2.categories import NAMES
from bench.metrics.detection import Detections, overlaps, pasted
from bench.metrics.oks import LANDMARK_COUNTS
from bench.metrics.precision import RECALLS, Kind
from bench.metrics.retrieval import nearest
from bench.report.drawing import (
    GREY,
    MOST_DRAWN,
    Figure,
    colours_of,
    file_key,
    foremost,
    left_out,
    literal,
    lowest_seed,
    seeds_an_arm,
    settle,
)
from bench.report.figures.photos import Photo, draw_photo, read_photo
from bench.store.studies import StudyRecord

RIGHT, WRONG, MISSED = "#029e73", "#d55e00", "#0173b2"
"""Colours of what is found rightly, of what is not there, and of what is not found."""

PANELS: dict[Kind, str] = {"box": "boxes", "mask": "masks", "landmark": "visible landmarks"}
SHOWN_IMAGES, SHOWN_QUERIES, BEST = 8, 4, 5
LIKELY = 0.3
"""Probability from which on a detection is drawn."""

MATCHING = 0.5
"""Overlap from which on a detection is of a garment."""


def precision_by_recall(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Precision by recall at an overlap of a half, for boxes, masks and landmarks.

    Data: `arm`, `of`, `recall`, and the mean over seeds of the `precision`.
    """
    able = [arm for arm in arms if _precision(arm, "box")]
    if not able:
        return None
    shown = foremost(able, MOST_DRAWN)
    colours = colours_of(shown)
    rows: list[dict[str, Any]] = []
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), sharey=True, layout="constrained")
    for arm in shown:
        colour = colours[arm.name]
        for axis, (kind, of) in zip(axes, PANELS.items(), strict=True):
            precision = np.mean(_precision(arm, kind), axis=0)
            axis.plot(100 * RECALLS, 100 * precision, color=colour, lw=1.6,
                      label=literal(arm.name), zorder=1 if colour == GREY else 2)  # fmt: skip
            rows += [
                {"arm": arm.name, "of": of, "recall": recall, "precision": value}
                for recall, value in zip(RECALLS, precision, strict=True)
            ]
    for axis, of in zip(axes, PANELS.values(), strict=True):
        axis.set(title=of.capitalize(), xlabel="recall (%)", xlim=(0, 100), ylim=(0, 102))
    axes[0].set_ylabel("precision (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
                  frameon=False, fontsize=9)  # fmt: skip
    settle(figure)
    return Figure(
        f"{study.name}.precision_recall",
        "Precision by recall",
        "Interpolated as COCO does, at an overlap (of landmarks, a similarity) of 0.5; the mean "
        f"over categories and seeds ({seeds_an_arm(shown)}). {left_out(len(shown), len(able))}",
        figure,
        pd.DataFrame(rows),
    )


def _precision(arm: Arm, kind: Kind) -> list[np.ndarray]:
    """The curve of each seed; none of an arm that detects nothing, and without pycocotools."""
    found = [trial.outcomes.precision(kind) for trial in arm.trials.values()]
    return [one.curve for one in found if one is not None]


def detected(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """What an arm's lowest seed finds in some test images, and which garments it finds again.

    Args:
        study: The study's record.
        arms: The arms to show; those that detect nothing are left out.
    """
    for arm in arms:
        seed = lowest_seed(arm)
        if seed is None:
            continue
        outcomes = arm.trials[seed].outcomes
        ranks = outcomes.retrieval_ranks
        if ranks is None:
            continue
        detections = outcomes.detections()
        assert detections is not None, "retrieval ranks are of detections"
        yield _in_images(study, arm, seed, detections)
        yield from _found_again(study, arm, seed, detections, ranks)


def _in_images(study: StudyRecord, arm: Arm, seed: int, found: Detections) -> Figure:
    """Test images at even distances, with their detections. Data: a row a detection or a miss."""
    chosen = _evenly(np.arange(len(found.images)), SHOWN_IMAGES)
    figure, axes = plt.subplots(2, SHOWN_IMAGES // 2, figsize=(14, 8.2), layout="constrained")
    rows: list[dict[str, Any]] = []
    for axis in axes.flat[len(chosen) :]:
        axis.set_axis_off()
    for axis, image in zip(axes.flat, chosen, strict=False):
        photo = read_photo(study, found.images[image])
        draw_photo(axis, photo)
        own = found.sizes[image]
        owner = _matched(found, image)
        for place, item in owner.items():
            box = found.boxes[image, place].astype(float)
            colour = WRONG if item is None else RIGHT
            _draw_outline(axis, found, image, place, photo, colour)
            _draw_box(axis, box, own, photo, colour)
            if item is not None:
                count = LANDMARK_COUNTS[int(found.category[image, place])]
                points = found.points[image, place, :count] * _scale(own, photo)
                axis.plot(*points[points.any(axis=1)].T, ".", color=colour, ms=3.5)
            rows.append(
                _row(found, image, photo, "wrong" if item is None else "right", box)
                | {
                    "category": NAMES[int(found.category[image, place])],
                    "probability": float(found.scores[image, place]),
                }
            )
        missed = [i for i in range(len(found.truth[image])) if i not in owner.values()]
        for index in missed:
            there = found.truth[image][index]
            box = np.array(there.box)
            _draw_box(axis, box, own, photo, MISSED, "--")
            category = {"category": NAMES[there.category]}
            rows.append(_row(found, image, photo, "missed", box) | category)
        axis.set_title(_words(found, image, owner, missed), fontsize=9, loc="left")
    _legend(figure, {"right": RIGHT, "wrong": WRONG, "missed (dashed)": MISSED})
    settle(figure)
    return Figure(
        f"{study.name}.detections.{file_key(study, arm.name)}",
        f"Detections of {arm.name}",
        f"Test images at even distances, by path; {arm.name}, seed {seed}; detections with a "
        f"probability of {LIKELY} or more: box, mask and, of right ones, landmarks. Right: of the "
        f"category of a garment that it overlaps by {MATCHING}, which no more probable one is of.",
        figure,
        pd.DataFrame(rows),
    )


def _row(found: Detections, image: int, photo: Photo, word: str, box: np.ndarray) -> dict[str, Any]:
    """A box of an image as data."""
    corners = dict(zip(("x1", "y1", "x2", "y2"), box.tolist(), strict=True))
    return {"image": found.images[image], "fault": photo.fault, "shown as": word} | corners


def _evenly(rows: np.ndarray, count: int) -> list[int]:
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [int(rows[place]) for place in places]


def _matched(found: Detections, image: int) -> dict[int, int | None]:
    """Which garment each likely detection of an image is of, the most probable first."""
    items = found.truth[image]
    truth = np.array([item.box for item in items], float).reshape(-1, 4)
    by_place = overlaps(found.boxes[image].astype(float), truth)
    owner: dict[int, int | None] = {}
    for place in np.argsort(-found.scores[image], kind="stable").tolist():
        if found.scores[image, place] < LIKELY:
            break
        shared = by_place[place]
        able = [
            index
            for index, item in enumerate(items)
            if shared[index] >= MATCHING
            and item.category == found.category[image, place]
            and index not in owner.values()
        ]
        owner[place] = max(able, key=lambda index: shared[index]) if able else None
    return owner


def _scale(own: np.ndarray, photo: Photo) -> np.ndarray:
    """From an image's own pixels to those that it is shown in."""
    return np.array(photo.size) / own


def _draw_box(
    axis: Any, box: np.ndarray, own: np.ndarray, photo: Photo, colour: str, style: str = "-"
) -> None:
    x1, y1, x2, y2 = box * np.tile(_scale(own, photo), 2)
    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=colour, lw=1.8, ls=style))


def _draw_outline(
    axis: Any, found: Detections, image: int, place: int, photo: Photo, colour: str
) -> None:
    """The edge of a detection's mask."""
    width, height = (int(side) for side in photo.size)
    box = found.boxes[image, place].astype(float) * np.tile(_scale(found.sizes[image], photo), 2)
    inside = pasted(found.masks[image, place], box, width, height)
    if inside.any() and not inside.all():
        axis.contour(inside, levels=[0.5], colors=[colour], linewidths=1.0)


def _words(
    found: Detections, image: int, owner: dict[int, int | None], missed: Sequence[int]
) -> str:
    lines = [
        f"{'right' if item is not None else 'wrong'}: {NAMES[int(found.category[image, place])]}, "
        f"{found.scores[image, place]:.2f}"
        for place, item in owner.items()
    ] + [f"missed: {NAMES[found.truth[image][index].category]}" for index in missed]
    lines = lines if len(lines) <= 4 else [*lines[:3], f"and {len(lines) - 3} more"]
    return "\n".join(lines)


def _found_again(
    study: StudyRecord, arm: Arm, seed: int, found: Detections, ranks: np.ndarray
) -> Iterator[Figure]:
    """Users' garments, and the best of the shops' detections for each. Data: a row a detection."""
    owners = [
        (image, index) for image, items in enumerate(found.truth) for index in range(len(items))
    ]
    asked = np.flatnonzero(np.isfinite(ranks))
    if not len(asked):
        return
    by_rank = asked[np.argsort(ranks[asked], kind="stable")]
    chosen = _evenly(by_rank, SHOWN_QUERIES)
    figure, axes = plt.subplots(
        len(chosen), 1 + BEST, figsize=(14, 2.9 * len(chosen)), layout="constrained", squeeze=False
    )
    rows: list[dict[str, Any]] = []
    firsts = nearest(found, [owners[garment] for garment in chosen], BEST)
    for line, garment, best in zip(axes, chosen, firsts, strict=True):
        image, index = owners[garment]
        item = found.truth[image][index]
        photo = read_photo(study, found.images[image])
        draw_photo(line[0], photo)
        _draw_box(line[0], np.array(item.box), found.sizes[image], photo, MISSED)
        rank = int(ranks[garment]) + 1
        words = f"asked: {NAMES[item.category]}\nfirst right one: {rank}"
        line[0].set_title(words, fontsize=9, loc="left")
        for axis in line[1 + len(best) :]:
            axis.set_axis_off()
        for number, (axis, (shop, place, right)) in enumerate(
            zip(line[1:], best, strict=False), start=1
        ):
            photo = read_photo(study, found.images[shop])
            draw_photo(axis, photo)
            box = found.boxes[shop, place].astype(float)
            _draw_box(axis, box, found.sizes[shop], photo, RIGHT if right else WRONG)
            word = "right" if right else "wrong"
            axis.set_title(f"{number}: {word}", fontsize=9, loc="left")
            asked_for = {"asked": found.images[image], "garment": index + 1}
            ranked = {"rank of first right": rank, "rank": number}
            rows.append(asked_for | ranked | _row(found, shop, photo, word, box))
    _legend(figure, {"asked for": MISSED, "the same garment": RIGHT, "another": WRONG})
    settle(figure)
    yield Figure(
        f"{study.name}.retrieved.{file_key(study, arm.name)}",
        f"Garments found again by {arm.name}",
        f"Users' garments and the {BEST} best of the shops' detections; {arm.name}, seed {seed}. "
        f"Chosen by rule: of the {len(asked):,} garments that were found in their image and have a "
        "partner in the gallery, by the rank of their first right answer, at even distances from "
        "the best to the worst.",
        figure,
        pd.DataFrame(rows),
    )


def _legend(figure: Any, colours: dict[str, str]) -> None:
    handles = [
        Rectangle((0, 0), 1, 1, fill=False, ec=colour, lw=1.8) for colour in colours.values()
    ]
    figure.legend(handles, list(colours), loc="outside lower center", ncols=len(colours),
                  frameon=False, fontsize=9)  # fmt: skip
