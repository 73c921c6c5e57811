"""What every picture of data and answers shares, and the first of them: the classes' frequencies.

A picture is a figure of the report together with the numbers that it draws. Text that comes from
data (names of classes, arms and files) is drawn letter by letter, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from bench.analysis.arms import Arm
from bench.report.figures import Figure

MOST_ROWS = (70, 30)
"""Of more classes than these together, only so many of the most and of the least frequent."""

LONGEST = 30
"""Characters of a name that a drawing has room for."""

PARTS = {"head": "#0173b2", "middle": "#8fb8d8", "tail": "#de8f05", "absent": "#de8f05"}
"""Colours of the parts of a long-tailed distribution."""


@dataclass(frozen=True)
class Picture:
    """A figure and what it draws.

    Args:
        figure: The figure.
        data: The numbers drawn, one row a mark or a group of marks.
    """

    figure: Figure
    data: pd.DataFrame

    def write(self, folder: Path) -> Path:
        """Write `<name>.png`, `<name>.svg` and `<name>.csv`; returns the PNG."""
        self.data.to_csv(folder / f"{self.figure.name}.csv", index=False)
        return self.figure.write(folder)


def set_style() -> None:
    """The look of the report's figures, and what makes their files the same on every run."""
    plt.rcdefaults()
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams["svg.hashsalt"] = "ropanet-bench"
    plt.rcParams["svg.fonttype"] = "none"


def about(study: dict[str, Any]) -> str:
    """The sentence on data and profile that ends every caption."""
    return f"Data: {study['data']['label']}; profile {study['profile']}."


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


def file_key(study: dict[str, Any], arm: str) -> str:
    """An arm's name as part of a file's name, different for each arm of the study."""
    names = [plain["name"] for plain in study["arms"]]
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


def lowest_seed(arm: Arm) -> int | None:
    """The seed that single images are shown of; None for an arm without a finished trial."""
    return min(arm.trials, default=None)


def class_distribution(study: dict[str, Any]) -> Picture | None:
    """Images of each class of the data, most frequent first: the paper's Figure 1.

    Args:
        study: The study's record.

    Returns:
        Data: `class`, `images`, `share`, `cumulative share` and `part`: `head` for the fewest
        classes that hold half of all images, `tail` for the most classes that hold no more than
        1 % together, `absent` for those without an image. None for a record without the counts.
    """
    counts, names = study["data"].get("class_counts"), study["data"].get("class_names")
    if not counts or not names or not sum(counts):
        return None
    table = _frequencies(names, counts)
    shown, left_out = table, max(0, len(table) - sum(MOST_ROWS))
    if left_out:
        shown = pd.concat([table.head(MOST_ROWS[0]), table.tail(MOST_ROWS[1])])

    set_style()
    figure, axis = plt.subplots(figsize=(8.5, 0.18 * len(shown) + 1.3))
    places = np.arange(len(shown))
    axis.barh(places, shown["images"], color=[PARTS[part] for part in shown["part"]], height=0.8)
    for place, images, share in zip(places, shown["images"], shown["share"], strict=True):
        words = f"{images:,} ({100 * share:.2g} %)" if images else "none"
        axis.text(max(images, 0.7) * 1.08, place, words, va="center", fontsize=7.5, color="0.3")
    if left_out:
        axis.axhline(MOST_ROWS[0] - 0.5, color="0.3", lw=1, ls=":")
    axis.set_xscale("log")
    axis.set_xlim(0.7, 5 * table["images"].max())
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    axis.set_yticks(places, [literal(name) for name in shown["class"]], fontsize=8)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("images (logarithmic scale)")
    said = _said_of_parts(table)
    handles = [plt.Rectangle((0, 0), 1, 1, color=PARTS[part]) for part in said]
    axis.legend(handles, list(said.values()), fontsize=8, loc="lower right", framealpha=1)
    figure.tight_layout()
    absent = int((table["part"] == "absent").sum())
    return Picture(
        Figure(
            f"{study['name']}.classes",
            "Images of each class",
            f"Images of each class (horizontal, logarithmic) and their share of all, most "
            f"frequent first: {int(table['images'].sum()):,} images, "
            f"{count(len(table) - absent, 'class')} that occur, {absent} that do not; the whole "
            "source, before any split or sample. "
            + (f"Not drawn: the {left_out} classes at the dotted line. " if left_out else "")
            + about(study),
            figure,
        ),
        table if not left_out else shown.reset_index(drop=True),
    )


def _frequencies(names: Sequence[str], counts: Sequence[int]) -> pd.DataFrame:
    table = pd.DataFrame({"class": names, "images": np.asarray(counts, np.int64)})
    table = table.sort_values("images", ascending=False, kind="stable", ignore_index=True)
    total, through = int(table["images"].sum()), table["images"].cumsum()
    before = through - table["images"]
    table["share"] = table["images"] / total
    table["cumulative share"] = through / total
    table["part"] = np.select(
        [table["images"] == 0, 2 * before < total, 100 * before >= 99 * total],
        ["absent", "head", "tail"],
        "middle",
    )
    return table


def _said_of_parts(table: pd.DataFrame) -> dict[str, str]:
    """Part -> its words in the legend, for the parts that occur."""
    share = table.groupby("part")["share"].sum()
    return {
        part: f"{part}: {count(int((table['part'] == part).sum()), 'class')}, "
        f"{100 * share[part]:.1f} % of images"
        for part in ("head", "middle", "tail")
        if part in share.index
    }
