"""What a table of the report is made of: cells that keep their numbers, and the writers.

A cell holds the value itself; it is rounded only where it is shown (page, Markdown, LaTeX), never
in the CSV, which is in the unit of its column's head.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from bench.analysis.intervals import Estimate
from bench.report.compact import Column, compact_latex
from bench.report.escapes import in_latin, markdown_text

WORDS = (
    "arm", "row", "metric", "verdict", "source", "contrast", "kind", "check", "calculation",
    "item", "answer", "setting",
)  # fmt: skip
"""Columns whose heads open so hold text and are set to the left."""

COMPARING = ("metric", "kind of class", "contrast", "verdict")
"""Columns without a number that a paper's table has all the same."""

MOST_ROWS = 200
"""Rows of a table that are shown; its CSV has all."""

MOST_COLUMNS = 10
"""Columns that a page has room for without wrapping or scrolling them."""


@dataclass(frozen=True)
class Measured:
    """A measured cell.

    Args:
        estimate: Mean and interval.
        percent: Whether it is shown in percent.
        signed: Whether its sign is always shown, and its interval by both ends.
    """

    estimate: Estimate
    percent: bool
    signed: bool = False

    @property
    def scale(self) -> float:
        """What the estimate is multiplied with to be in the column's unit."""
        return 100.0 if self.percent else 1.0

    def __str__(self) -> str:
        digits = 1 if self.percent else 3
        sign = "+" if self.signed else ""
        mean, low, high, half = (
            value * self.scale
            for value in (
                self.estimate.mean,
                self.estimate.low,
                self.estimate.high,
                self.estimate.half_width,
            )
        )
        if not np.isfinite(mean):
            return "–"
        shown = f"{_no_minus_zero(mean, digits):{sign}.{digits}f}"
        if not np.isfinite(half):
            return f"{shown} (no interval)"
        if self.signed or abs(high - mean - half) > 1e-9:
            ends = (f"{_no_minus_zero(end, digits):{sign}.{digits}f}" for end in (low, high))
            return f"{shown} [{', '.join(ends)}]"
        return f"{shown} ± {half:.{digits}f}"


@dataclass(frozen=True)
class Trials:
    """How many of a row's trials there are.

    Args:
        finished: In the store.
        planned: In the study.
        failed: Tried, and not in the store.
        diverged: Ended with a loss that is no number.
    """

    finished: int
    planned: int
    failed: int
    diverged: int = 0

    def __str__(self) -> str:
        text = f"{self.finished} of {self.planned}"
        text += f", {self.diverged} diverged" if self.diverged else ""
        return f"{text}, {self.failed} failed" if self.failed else text


@dataclass(frozen=True)
class Printed:
    """A published figure, shown digit for digit as it was printed.

    Args:
        text: As printed, such as `94.6`.
        value: The same in the unit of the column.
    """

    text: str
    value: float

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Args:
        name: File name without ending.
        title: Heading.
        note: What the reader must know to read it.
        columns: Heads, in order.
        rows: Values by head: text, numbers, None, `Measured`, `Printed` or `Trials`.
    """

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def caption(self) -> str:
        """The note, and how many rows there was no room for."""
        if len(self.rows) <= MOST_ROWS:
            return self.note
        return f"{self.note} The first {MOST_ROWS} of {len(self.rows):,} rows; all are in the CSV."

    def shown(self) -> list[list[str]]:
        """Rows as text, rounded; the first `MOST_ROWS`."""
        rows = self.rows[:MOST_ROWS]
        return [[_text(row.get(column)) for column in self.columns] for row in rows]

    def raw(self) -> pd.DataFrame:
        """Rows unrounded; a measured cell becomes mean, low, high, seeds and images."""
        measured = {
            name for row in self.rows for name, value in row.items() if isinstance(value, Measured)
        }
        rows = [dict(_expanded(self.columns, row, measured)) for row in self.rows]
        columns = dict.fromkeys(name for row in rows for name in row)
        # Nullable types: a count stays whole in a column that has gaps.
        return pd.DataFrame(rows, columns=list(columns)).convert_dtypes()

    def turned(self) -> Table:
        """Itself, or with rows and columns exchanged where it is so wide that this is narrower."""
        first, *heads = self.columns
        names = [_text(row.get(first)) for row in self.rows]
        if (
            len(self.columns) <= MOST_COLUMNS
            or len(names) >= len(heads)
            or any(self.wordy()[1:])
            or len({f"by {first}", *names}) <= len(names)
        ):
            return self
        by = f"by {first}"
        rows = (
            {by: head} | {name: row.get(head) for name, row in zip(names, self.rows, strict=True)}
            for head in heads
        )
        return replace(self, columns=(by, *names), rows=tuple(rows))

    def wordy(self) -> list[bool]:
        """For each column, whether it holds words."""
        return [column.startswith(WORDS) for column in self.columns]

    def write(self, folder: Path) -> list[Path]:
        """Write `<name>.csv`, `.md`, `.tex` and, of measured ones, `.compact.tex`; returns them."""
        paths = [folder / f"{self.name}.{ending}" for ending in self.endings]
        self.raw().to_csv(paths[0], index=False, lineterminator="\n")
        paths[1].write_text(
            f"**{markdown_text(self.title)}**\n\n{self.markdown()}\n\n{markdown_text(self.caption)}\n",
            encoding="utf-8",
        )
        # A line break in a title would end the comment and run on as LaTeX.
        comment = " ".join(f"{self.title}. {self.caption}".split())
        paths[2].write_text(f"% {comment}\n{self.latex()}\n", encoding="utf-8")
        for path in paths[3:]:
            path.write_text(f"% {comment}\n{self.compact}\n", encoding="utf-8")
        return paths

    def markdown(self) -> str:
        """The rows as a Markdown table, every text escaped."""
        body = [[markdown_text(cell) for cell in row] for row in self.shown()]
        heads = [markdown_text(column) for column in self.columns]
        return tabulate(body, heads, "pipe", disable_numparse=True, colalign=self._align())

    def latex(self) -> str:
        """The rows as a LaTeX `tabular` (package booktabs), every text escaped."""
        text = tabulate(
            self.shown(),
            self.columns,
            "latex_booktabs",
            disable_numparse=True,
            colalign=self._align(),
        )
        return in_latin(text)

    @cached_property
    def compact(self) -> str | None:
        """The rows as a paper has them, in LaTeX; None of a table that nothing is measured in."""
        table = self.turned()
        measured = [
            column
            for column in table.columns
            if any(isinstance(row.get(column), Measured | Printed) for row in table.rows)
        ]
        kept = [
            column
            for number, column in enumerate(table.columns)
            if not number or column in measured or column.startswith(COMPARING)
        ]
        if not measured:
            return None
        shown = dict(zip(table.columns, zip(*table.shown(), strict=True), strict=True))
        for name in kept:
            if name.startswith("verdict"):  # without its reason or advice
                shown[name] = tuple(re.split(r";| \(", cell)[0] for cell in shown[name])
        return compact_latex([Column(name, shown[name], name not in measured) for name in kept])

    @property
    def endings(self) -> tuple[str, ...]:
        """Of its files."""
        return ("csv", "md", "tex", *(("compact.tex",) if self.compact else ()))

    def _align(self) -> list[str]:
        return ["left" if wordy else "right" for wordy in self.wordy()]


def _no_minus_zero(value: float, digits: int) -> float:
    return round(value, digits) + 0.0


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        if not np.isfinite(value):
            return "–"
        return "< 0.001" if 0 <= value < 0.001 else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _expanded(
    columns: Sequence[str], row: dict[str, Any], measured: Collection[str]
) -> Iterator[tuple[str, Any]]:
    for column in columns:
        value = row.get(column)
        if isinstance(value, Measured):
            estimate = value.estimate
            yield f"{column} mean", estimate.mean * value.scale
            yield f"{column} low", estimate.low * value.scale
            yield f"{column} high", estimate.high * value.scale
            yield f"{column} seeds", estimate.seeds
            yield f"{column} images", estimate.images
        elif isinstance(value, Trials):
            yield column, value.finished
            yield f"{column} planned", value.planned
            yield f"{column} diverged", value.diverged
            yield f"{column} failed", value.failed
        elif isinstance(value, Printed):
            yield column, value.value
        elif value is not None or column not in measured:
            # A gap in a measured column has no column of its own.
            yield column, value
