"""Which classes an arm gains and loses, the rare ones apart from the frequent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from bench.analysis.arms import ALPHA, Arm, controls
from bench.analysis.tails import GROUPS, ClassEffect, class_effects
from bench.report.drawing import (
    MOST_DRAWN,
    Figure,
    colours_of,
    foremost,
    left_out,
    literal,
    settle,
)
from bench.report.interactive import gains_chart
from bench.store.studies import StudyRecord

MOST_PANELS = 6
"""Arms beside each other that a page has room for."""


def class_gains(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """Recall of every class, each arm minus its control, the most frequent class first.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Yields:
        A figure a control that shares finished seeds and test images with an arm. Data: `arm`,
        `class`, `kind of class`, `training images`, `test images`, `difference` with its `low` and
        `high` (points) and `p (Holm)`.
    """
    for control in controls(list(arms)):
        figure = _against(study, arms, control)
        if figure is not None:
            yield figure


def _against(study: StudyRecord, arms: Sequence[Arm], control: str) -> Figure | None:
    baseline = next((arm for arm in arms if arm.name == control), None)
    if baseline is None:
        return None
    against = [arm for arm in arms if arm.against == control]
    found = {arm.name: class_effects(arm, baseline) for arm in foremost(against, MOST_PANELS)}
    found = {name: tested for name, every in found.items() if (tested := _tested(every))}
    if not found:
        return None
    shown = next(iter(found.values()))[:MOST_DRAWN]
    places = {effect.category: place for place, effect in enumerate(shown)}
    colours = colours_of(arms)
    figure, axes = plt.subplots(
        1, len(found), figsize=(2.4 + 2.0 * len(found), 0.19 * len(shown) + 1.5),
        sharex=True, sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for axis, (name, effects) in zip(axes[0], found.items(), strict=True):
        for effect in effects:
            if effect.category in places and effect.difference is not None:
                _draw(axis, places[effect.category], effect, colours[name])
        axis.axvline(0, color="0.3", lw=1)
        for before, after in itertools.pairwise(shown):
            if before.group != after.group:
                axis.axhline(places[after.category] - 0.5, color="0.6", lw=0.8, ls=":")
        axis.set_title(literal(name, 24), fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        axis.locator_params(axis="x", nbins=5)
    labels = [f"{literal(effect.name)} ({effect.train_images:,})" for effect in shown]
    axes[0, 0].set_yticks(range(len(shown)), labels, fontsize=8)
    axes[0, 0].set_ylim(len(shown) - 0.4, -0.6)
    figure.supxlabel("difference in recall (points)", fontsize=9)
    settle(figure)
    caption = (
        f"Recall of the first answer, arm minus {control} at the same seeds on the same test "
        "images (horizontal), by class (vertical; number of training images), the most frequent "
        f"first; dotted lines part {', '.join(GROUPS[:-1])} and {GROUPS[-1]} classes. Bars: 95 % "
        "intervals over seeds and test images, none for a class of one test image; filled: settled "
        "after Holm's correction over the arm's classes. "
        + (f"The {len(shown)} most frequent classes. " if len(places) == MOST_DRAWN else "")
        + f"{left_out(len(found), len(against))}"
    )
    chart = partial(
        gains_chart, colours={name: to_hex(colours[name]) for name in found}, most=MOST_DRAWN
    )
    first = control == study.control
    name = f"{study.name}.class_gains" + ("" if first else f"_against_{_key(arms, control)}")
    return Figure(name, f"Gains by class against {control}", caption, figure, _data(found), chart)


def _tested(effects: Sequence[ClassEffect]) -> list[ClassEffect]:
    return [effect for effect in effects if effect.difference is not None]


def _draw(axis: Any, place: int, effect: ClassEffect, colour: Any) -> None:
    difference = effect.difference
    assert difference is not None  # of the caller's choice
    if np.isfinite(difference.half_width):
        axis.plot([100 * difference.low, 100 * difference.high], [place] * 2, color=colour, lw=1.2)
    settled = effect.p_holm < ALPHA
    axis.plot([100 * difference.mean], [place], "o", color=colour, ms=4,
              mfc=colour if settled else "white")  # fmt: skip


def _data(found: dict[str, list[ClassEffect]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arm": arm,
            "class": effect.name,
            "kind of class": effect.group,
            "training images": effect.train_images,
            "test images": effect.test_images,
            "difference": 100 * effect.difference.mean,
            "low": 100 * effect.difference.low,
            "high": 100 * effect.difference.high,
            "p (Holm)": effect.p_holm,
        }
        for arm, effects in found.items()
        for effect in effects
        if effect.difference is not None
    )


def _key(arms: Sequence[Arm], name: str) -> int:
    return [arm.name for arm in arms].index(name) + 1
