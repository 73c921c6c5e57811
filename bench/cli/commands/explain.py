"""`bench explain`: what a setting means, and what it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bench.cli.console import out, print_json
from bench.cli.options import AsJson

if TYPE_CHECKING:
    from bench.study.reference import Explained

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  bench explain model.gate\n\n  bench explain train\n\n  bench explain"
)
def explain(
    setting: Annotated[
        str,
        typer.Argument(help="Its dotted path, or that of a group; all by default.", metavar="PATH"),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what a setting of a study means, what it may be, and which systems have it."""
    from bench.study.reference import explain as find

    found = find(setting)
    if as_json:
        print_json([one.to_json() for one in found])
        return
    for one in found:
        print_explained(out, one)


def print_explained(console: Console, setting: Explained) -> None:
    """Print a setting: its path, then what there is to know."""
    default = "" if setting.default is None else f"; {setting.default} by default"
    lines = [setting.meaning, f"Value: {' or '.join(setting.values)}{default}."]
    if setting.systems:
        lines.append(f"Systems: {', '.join(setting.systems)}.")
    console.print(Text(setting.path, style="bold"))
    console.print(Padding(Text("\n".join(lines)), (0, 0, 1, 2)))
