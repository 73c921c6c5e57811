"""The form of tables that several commands print.

What is too long for a line goes on in the next one: a cut path or name would identify nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table


def plain_table(columns: Sequence[str], numeric: Sequence[str], *, title: str = "") -> Table:
    """A table without lines.

    Args:
        columns: Headers, first to last.
        numeric: Those of them whose cells are aligned to the right and never wrapped.
        title: Shown above it; empty for none.
    """
    table = Table(box=None, padding=(0, 2), header_style="bold", title_justify="left")
    table.title = title or None
    for name in columns:
        right = name in numeric
        table.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
    return table


def plain_grid(style: str = "") -> Table:
    """Names and what they stand for, in two columns.

    Args:
        style: Of the names.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=style, overflow="fold")
    grid.add_column(overflow="fold")
    return grid
