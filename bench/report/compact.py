"""A table as a paper prints it: the columns that a reader compares, narrow enough for a page.

It takes the package booktabs alone. Digits stand below digits: what a number lacks in digits is
filled with blanks of a digit's width.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.escapes import latex_text

PAGE, COLUMN = 345.0, 229.0
"""Points: the text of a page of `article`, and a column of its two-column form."""

FONTS = {"footnotesize": 4.5, "scriptsize": 4.1}
"""Font -> points that a letter takes, rather more than less."""

GAP = 6.0
"""Points between two columns."""

LINES = (30, 20, 14, 10)
"""Letters of words that stand in a line, before a column is left out."""

NEW_ROW = r" \tabularnewline"
r"""What `\\` would be: words that are set to the left give that another meaning."""

BLANK, POINT, PLUS = r"\phantom{0}", r"\phantom{.}", r"\phantom{$+$}"

NUMBER = re.compile(r"([+-]?)(\d[\d,]*)(\.\d+)?")


@dataclass(frozen=True)
class Column:
    """A column of text: its head, its cells, and whether it holds words."""

    head: str
    cells: Sequence[str]
    wordy: bool

    def letters(self, line: int) -> int:
        """Of its widest line, where words are broken after so many letters."""
        longest = max(map(len, (*self.cells, *self.head.split())))
        if not self.wordy:
            return longest
        unbroken = max(map(len, re.split(r"[\s-]", " ".join((*self.cells, self.head)))))
        return max(min(longest, line), unbroken)


def compact_latex(columns: Sequence[Column]) -> str | None:
    """Columns as a LaTeX `tabular` that fits a page, in the largest font that does.

    Args:
        columns: The name of the row, then the rest, the most important first.

    Returns:
        None where not even the first two fit.
    """
    for kept in range(len(columns), 1, -1):
        for (font, letter), line in itertools.product(FONTS.items(), LINES):
            letters = [column.letters(line) for column in columns[:kept]]
            width = letter * sum(letters) + GAP * (kept - 1)
            if width <= PAGE:
                fits = f"% Fits {'a column' if width <= COLUMN else 'a page'}. Package: booktabs."
                without = ", ".join(latex_text(column.head) for column in columns[kept:])
                left_out = f"\n% Left out for want of room: {without}." if without else ""
                return f"{fits}{left_out}\n{_tabular(columns[:kept], letters, font, letter)}"
    return None


def _tabular(columns: Sequence[Column], letters: Sequence[int], font: str, letter: float) -> str:
    forms, cells = zip(
        *(_typeset(c, most, letter) for c, most in zip(columns, letters, strict=True)), strict=True
    )
    lines = [
        f"{{\\{font}\\setlength{{\\tabcolsep}}{{{GAP / 2:g}pt}}%",
        f"\\begin{{tabular}}{{@{{}}{''.join(forms)}@{{}}}}",
        "\\toprule",
        " & ".join(map(_head, columns, letters)) + NEW_ROW,
        "\\midrule",
        *(" & ".join(row) + NEW_ROW for row in zip(*cells, strict=True)),
        "\\bottomrule",
        "\\end{tabular}}",
    ]
    return "\n".join(lines)


def _typeset(column: Column, letters: int, letter: float) -> tuple[str, list[str]]:
    """A column's form, as `tabular` is told it, and its cells."""
    if not column.wordy:
        return "r", _aligned(column.cells)
    texts = [latex_text(cell) for cell in column.cells]
    if max(map(len, column.cells)) <= letters:
        return "l", texts
    return f"p{{{letters * letter:.0f}pt}}", [rf"\raggedright {text}" for text in texts]


def _head(column: Column, letters: int) -> str:
    parts = textwrap.wrap(column.head, letters, break_long_words=False)
    stacked = r"\\".join(map(latex_text, parts))
    return rf"\shortstack[{'l' if column.wordy else 'r'}]{{{stacked}}}"


def _aligned(cells: Sequence[str]) -> list[str]:
    """Cells whose numbers have the same width before and after the point, place by place."""
    found = [[match.groups("") for match in NUMBER.finditer(cell)] for cell in cells]
    places = itertools.zip_longest(*found, fillvalue=("", "", ""))
    widths = [[max(map(len, part)) for part in zip(*place, strict=True)] for place in places]
    return [_with_blanks(cell, widths) for cell in cells]


def _with_blanks(cell: str, widths: Sequence[Sequence[int]]) -> str:
    wanted = iter(widths)

    def padded(found: re.Match[str]) -> str:
        sign, whole, rest = found.groups("")
        signs, wholes, rests = next(wanted)
        before = BLANK * (wholes - len(whole)) + (PLUS if signs and not sign else "")
        after = (POINT if rests and not rest else "") + BLANK * (rests - max(len(rest), 1))
        return f"{before}{f'${sign}$' if sign else ''}{whole}{rest}{after if rests else ''}"

    # Escaped first: what the blanks are made of must stay.
    return NUMBER.sub(padded, latex_text(cell).replace("$\\pm$", r"\,$\pm$\,"))
