"""`bench export`: copy studies and their trials into another results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import err, out, print_json
from bench.cli.options import RESULTS, AsJson, Results

app = typer.Typer()


@app.command(
    epilog="Example:\n\n  bench export mask_gate --to shared/results --compact\n\n"
    "  bench report --results shared/results --out report/"
)
def export(
    studies: Annotated[list[str], typer.Argument(help="Names of studies.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="Results folder to add them to.")],
    results: Results = RESULTS,
    compact: Annotated[
        bool,
        typer.Option(help="Keep what verdicts and pictures need: about a tenth, same scores."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy studies and their trials into another results folder."""
    from bench.cli.progress import phase_bar
    from bench.store.export import export as copy
    from bench.store.trials import Store

    with phase_bar(err) as say:
        trials = copy(
            Store(results),
            to,
            studies,
            compact=compact,
            progress=lambda done, total: say("copying", done, total),
        )
    if as_json:
        print_json({"studies": studies, "trials": trials, "to": str(to)})
    else:
        out.print(f"{trials} trials of {', '.join(studies)} in {to}")
