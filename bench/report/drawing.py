"""What every figure of the report shares: the figure with its data, its style and its words.

Text that comes from data (names of classes, arms and files) is drawn letter by letter, whatever it
holds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib

# Where it is in use already, as in a notebook, its backend stays.
if "matplotlib.pyplot" not in sys.modules:
    matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_hex

from bench.analysis.arms import Arm, by_size, controls, effects
from bench.analysis.intervals import Estimate
from bench.files.atomic import new_file
from bench.metrics.catalogue import ACCURACY
from bench.report.seeds import explained
from bench.store.studies import StudyRecord
from bench.study.study import DesignKind

PAPER_COLOURS = {
    "Baseline-100": "tab:blue",
    "Baseline-1000": "tab:orange",
    "Baseline-5000": "tab:red",
}
"""Figure 7's colours."""

GREY = "0.75"
MOST_COLOURS = 8
"""Colours that a reader can tell apart."""

MOST_DRAWN = 40
"""Arms that a figure with a row an arm has room for."""

RANKED = (DesignKind.LEDGER, DesignKind.LEAVE_ONE_OUT)
"""Designs whose arms are ranked by the size of their effect: their order means nothing."""

DPI = 150
"""Dots to the inch of a figure's PNG."""

LONGEST = 30
"""Characters of a name that a drawing has room for."""


@dataclass(frozen=True)
class Figure:
    """A figure of the report.

    Args:
        name: File name without ending.
        title: Heading.
        caption: Axes, units and number of seeds, in words; `draw` adds data and profile.
        figure: Matplotlib's figure.
        data: The numbers shown, one row a mark or a group of marks.
        chart: Makes its interactive form of `data`, a Vega-Lite specification
            (`bench.report.interactive`); None where asking would tell no more.
    """

    name: str
    title: str
    caption: str
    figure: Any
    data: pd.DataFrame
    chart: Callable[[pd.DataFrame], dict[str, Any]] | None = None

    def write(self, folder: Path) -> Path:
        """Write `<name>.png`, `.svg`, `.csv` and, of an interactive one, `.vl.json`.

        Returns:
            The PNG.
        """
        png = folder / f"{self.name}.png"
        # Laid out and measured once: `bbox_inches="tight"` draws again for each file to do both.
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine(None)
        edges = self.figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
        self.figure.savefig(png, dpi=DPI, bbox_inches=edges)
        self.figure.savefig(
            png.with_suffix(".svg"), bbox_inches=edges, metadata={"Date": None, "Creator": None}
        )
        plt.close(self.figure)
        self.data.to_csv(png.with_suffix(".csv"), index=False, lineterminator="\n")
        if self.chart is not None:
            # The description is what a screen reader is told, as a picture's `alt` is.
            spec = {"description": f"{self.title}. {self.caption}", **self.chart(self.data)}
            with new_file(folder / f"{self.name}.vl.json") as draft:
                draft.write_text(json.dumps(spec, allow_nan=False), encoding="utf-8")
        return png


FigureMaker = Callable[[StudyRecord, Sequence[Arm]], Figure | Iterator[Figure] | None]
"""What makes a study's figures of one kind from its record and its arms as measured."""


def draw(make: FigureMaker, study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """Make figures of one kind, in the report's style, with captions that name data and profile.

    Lazily, because an open figure holds megabytes.

    Args:
        make: Makes them.
        study: The study's record.
        arms: Its arms as measured.
    """
    set_style()
    made = make(study, arms)
    for figure in (made,) if isinstance(made, Figure) else made or ():
        source = f"Data: {study.data.label}; profile {study.profile}."
        caption = explained(figure.caption, arms).rstrip()
        yield replace(figure, caption=f"{caption} {source}")


def set_style() -> None:
    """The style of the report's figures, and what makes their files the same on every run."""
    plt.rcdefaults()
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams["svg.hashsalt"] = "ropanet-bench"
    plt.rcParams["svg.fonttype"] = "none"


def settle(figure: Any) -> None:
    """Fix the layout of a constrained figure, to a ten-thousandth of its size.

    The solver of constrained layouts gives places that differ between runs by rounding, and the
    names inside an SVG are made of them.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis in figure.axes:
        axis.set_position(np.round(axis.get_position(original=True).bounds, 4))


def literal(text: str, longest: int = LONGEST) -> str:
    """Text from data as Matplotlib draws it letter by letter: no formula, no line break.

    Args:
        text: The text.
        longest: Characters to keep; the last one becomes `…` where there are more.
    """
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    plain = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    # An escaped dollar opens no formula, and is drawn as a plain one.
    return plain.replace("$", r"\$")


def file_key(study: StudyRecord, arm: str) -> str:
    """An arm's name as part of a file's name, different for each arm of the study."""
    names = [recorded.name for recorded in study.arms]
    keys = [re.sub(r"[^a-z0-9=.]+", "-", name.lower()).strip("-.")[:60] for name in names]
    place = names.index(arm)
    unlike = keys[place] and keys.count(keys[place]) == 1
    return keys[place] if unlike else f"{keys[place]}_{place + 1}"


def count(number: int, what: str) -> str:
    """`1 seed`, `1,200 images`, `4 classes`."""
    plural = what + ("es" if what.endswith("s") else "s")
    return f"{number:,} {what if number == 1 else plural}"


def span(numbers: Sequence[int]) -> str:
    """`5`, or `3 to 5` where they differ."""
    ends = sorted({min(numbers), max(numbers)})
    return " to ".join(f"{number:,}" for number in ends)


def seeds_an_arm(arms: Sequence[Arm]) -> str:
    """`n = 5 an arm`, or `n = 3 to 5 an arm` where they differ."""
    return f"n = {span([len(arm.trials) for arm in arms])} an arm"


def draw_interval(axis: Any, place: float, estimate: Estimate, scale: float, colour: Any) -> None:
    """A mean as a diamond on its 95 % interval, in a row of a figure."""
    if np.isfinite(estimate.half_width):
        axis.plot([scale * estimate.low, scale * estimate.high], [place] * 2, color=colour, lw=2)
    axis.plot([scale * estimate.mean], [place], "D", color=colour, ms=7, mec="white")


def lowest_seed(arm: Arm) -> int | None:
    """The seed that single images are shown of; None for an arm without a finished trial."""
    return min(arm.trials, default=None)


def colours_of(arms: Sequence[Arm]) -> dict[str, Any]:
    """A colour an arm; grey for those beyond what colours can tell apart."""
    palette = [*sns.color_palette("colorblind", MOST_COLOURS)]
    chosen = {arm.name: GREY for arm in arms}
    coloured = foremost(arms, MOST_COLOURS)
    chosen |= {arm.name: colour for arm, colour in zip(coloured, palette, strict=False)}
    return chosen | {name: PAPER_COLOURS[name] for name in chosen if name in PAPER_COLOURS}


def hex_colours(arms: Sequence[Arm], colours: dict[str, Any]) -> dict[str, str]:
    """The arms' colours as a page writes them."""
    return {arm.name: to_hex(colours[arm.name]) for arm in arms}


def foremost(arms: Sequence[Arm], most: int) -> list[Arm]:
    """All of a few arms; of many, the controls and those of the largest effects in accuracy."""
    if len(arms) <= most:
        return list(arms)
    first = controls(list(arms))
    found = by_size([e for c in first for e in effects(list(arms), c, ACCURACY.name)])
    names = set(list(dict.fromkeys([*first, *(effect.arm for effect in found)]))[:most])
    return [arm for arm in arms if arm.name in names]


def left_out(shown: int, of: int) -> str:
    """The sentence on arms that a figure has no room for."""
    if shown == of:
        return ""
    return (
        f"Drawn: the controls and the arms of the largest effects, {shown} of {of:,}; all are "
        "in the table. "
    )
