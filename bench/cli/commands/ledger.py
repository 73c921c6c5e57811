"""`bench ledger`: the decisions that the paper leaves open."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.console import out, print_json
from bench.cli.options import AsJson
from bench.cli.render import plain_grid

if TYPE_CHECKING:
    from bench.systems.ledger import LedgerRow

app = typer.Typer()


@app.command(epilog="Example:\n\n  bench ledger --json")
def ledger(as_json: AsJson = False) -> None:
    """Show the decisions that the paper leaves open, and the setting for each."""
    from bench.systems.ledger import decisions

    of_systems = list(decisions().values())
    if as_json:
        print_json([to_json(row) for rows in of_systems for row in rows])
    else:
        print_ledger(out, of_systems)


def to_json(row: LedgerRow) -> dict[str, Any]:
    """A decision as plain values."""
    return {
        "row": row.row,
        "decision": row.decision,
        "paper": row.paper,
        "code": row.code,
        "default": row.default,
        "settings": row.settings,
        "released": row.released,
        "unverified": row.unverified,
        "system": row.system,
    }


def print_ledger(console: Console, of_systems: Sequence[Sequence[LedgerRow]]) -> None:
    """Print the paper's open decisions, then those of other systems."""
    first, *others = of_systems
    _print_rows(console, first)
    console.print("\nA setting without `as released` is the same in as_published and as_released.")
    for rows in others:
        console.print(f"\n[bold]{rows[0].system}[/]: what its descriptions leave open\n")
        _print_rows(console, rows)


def _print_rows(console: Console, rows: Sequence[LedgerRow]) -> None:
    for row in rows:
        console.print(f"[bold]{row.row:>2}  {escape(row.decision)}[/]")
        grid = plain_grid(style="dim")
        grid.add_row("    paper", escape(row.paper))
        if row.code != "–":
            code = f"{row.code} (unverified)" if row.unverified else row.code
            grid.add_row("    released code", escape(code))
        grid.add_row("    default", escape(row.default))
        for path in row.settings:
            released = json.dumps(row.released.get(path))
            changed = f", as released: {released}" if path in row.released else ""
            grid.add_row("    setting", escape(f"{path}{changed}"))
        console.print(grid)
