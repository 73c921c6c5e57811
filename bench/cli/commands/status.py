"""`bench status`: how far the studies in the store are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.console import out, print_json
from bench.cli.options import RESULTS, AsJson, Results
from bench.cli.render import plain_table

if TYPE_CHECKING:
    from bench.store.status import StudyStatus

app = typer.Typer()

NUMBERS = ("trials", "done", "diverged", "failed", "missing")


@app.command(epilog="Example:\n\n  bench status --json")
def status(results: Results = RESULTS, as_json: AsJson = False) -> None:
    """Show the studies in the store: trials done, failed and missing."""
    from bench.store.status import study_status
    from bench.store.trials import Store

    studies = study_status(Store(results))
    if as_json:
        print_json([study.to_json() for study in studies])
    else:
        print_status(out, studies, results)


def print_status(console: Console, studies: Sequence[StudyStatus], results: Path) -> None:
    """Print how far studies are, a table for each data set, then what went wrong."""
    from bench.store.trials import FailureKind

    if not studies:
        console.print(f"No study in {results} yet. Try: bench run mask_gate")
        return
    for data in dict.fromkeys(study.data for study in studies):
        table = plain_table(("study", "profile", *NUMBERS), numeric=NUMBERS)
        for study in studies:
            if study.data == data:
                numbers = (study.trials, study.done, study.diverged, study.failed, study.missing)
                table.add_row(escape(study.study), escape(study.profile), *map(str, numbers))
        console.print(f"[dim]Data: {escape(data)}[/]")
        console.print(table)
    for study in studies:
        for error in study.errors:
            color = "yellow" if error.kind == FailureKind.DIVERGED else "red"
            what = escape(f"{error.name}: {error.error}")
            console.print(f"[{color}]{escape(error.kind)}[/] {what}")
            console.print(f"       {escape(str(results / 'failures' / error.trial))}")
