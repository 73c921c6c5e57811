"""How frequent the classes of the data are: the paper's Figure 1."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm
from bench.report.drawing import Figure, count, literal
from bench.store.studies import StudyRecord

MOST_ROWS = (70, 30)
"""Of more classes than these together, only so many of the most and of the least frequent."""

PARTS = {"head": "#0173b2", "middle": "#8fb8d8", "tail": "#de8f05", "absent": "#de8f05"}
"""Colours of the parts of a long-tailed distribution."""


def class_distribution(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Images of each class of the data, most frequent first: the paper's Figure 1.

    Args:
        study: The study's record.
        arms: Its arms as measured; they share the data.

    Returns:
        Data: `class`, `images`, `share`, `cumulative share` and `part`: `head` for the fewest
        classes that hold half of all images, `tail` for the most classes that hold no more than
        1 % together, `absent` for those without an image. None for a record without the counts.
    """
    counts, names = study.data.class_counts, study.data.class_names
    if not counts or not names or not sum(counts):
        return None
    table = _frequencies(names, counts)
    shown, left_out = table, max(0, len(table) - sum(MOST_ROWS))
    if left_out:
        shown = pd.concat([table.head(MOST_ROWS[0]), table.tail(MOST_ROWS[1])])

    figure, axis = plt.subplots(figsize=(8.5, 0.18 * len(shown) + 1.3))
    places = np.arange(len(shown))
    axis.barh(places, shown["images"], color=[PARTS[part] for part in shown["part"]], height=0.8)
    for place, images, share in zip(places, shown["images"], shown["share"], strict=True):
        digits = 1 if share >= 0.01 else 2
        words = f"{images:,} ({100 * share:.{digits}f} %)" if images else "none"
        axis.text(max(images, 0.7) * 1.08, place, words, va="center", fontsize=7.5, color="0.3",
                  bbox={"color": "white", "pad": 0.4})  # fmt: skip
    if left_out:
        axis.axhline(MOST_ROWS[0] - 0.5, color="0.3", lw=1, ls=":")
    axis.set_xscale("log")
    axis.set_xlim(0.7, 5 * table["images"].max())
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    axis.set_yticks(places, [literal(name) for name in shown["class"]], fontsize=8)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="x", labelsize=9)
    axis.set_xlabel("images (logarithmic scale)", fontsize=10)
    legend = _legend(table)
    handles = [plt.Rectangle((0, 0), 1, 1, color=PARTS[part]) for part in legend]
    axis.legend(handles, list(legend.values()), fontsize=8, loc="lower right", framealpha=1)
    figure.tight_layout()
    absent = int((table["part"] == "absent").sum())
    return Figure(
        f"{study.name}.classes",
        "Images of each class",
        f"Images of each class (horizontal, logarithmic) and their share of all, most "
        f"frequent first: {int(table['images'].sum()):,} images, "
        f"{count(len(table) - absent, 'class')} that occur, {absent} that do not; the whole "
        "source, before any split or sample. Head: the fewest classes that hold half of the "
        "images; tail: as many of the rarest as hold no more than 1 % together. "
        + (f"Not drawn: the {left_out} classes at the dotted line." if left_out else ""),
        figure,
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


def _legend(table: pd.DataFrame) -> dict[str, str]:
    """Part -> its words in the legend, for the parts that occur."""
    share = table.groupby("part")["share"].sum()
    return {
        part: f"{part}: {count(int((table['part'] == part).sum()), 'class')}, "
        f"{100 * share[part]:.1f} % of images"
        for part in ("head", "middle", "tail")
        if part in share.index
    }
