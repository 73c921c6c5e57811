"""`bench report`: tables, figures and the page, from what is in the store."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import err, out, print_json
from bench.cli.options import RESULTS, AsJson, Results
from bench.errors import BenchError

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  bench report --out report/\n\n"
    "  bench report --study mask_gate --format markdown --out docs/results"
)
def report(
    to: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("report"),
    results: Results = RESULTS,
    study: Annotated[
        list[str] | None, typer.Option(help="Only this study; repeat for more.")
    ] = None,
    forms: Annotated[
        list[str] | None,
        typer.Option("--format", help="html, markdown or latex; repeat for more. All by default."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    fresh: Annotated[
        bool, typer.Option(help="Redraw every figure, including those that have not changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild tables, figures and comparisons from what is in the store."""
    from bench.report.page import PAGES, write_report
    from bench.store.trials import Store

    for form in forms or ():
        if form not in PAGES:
            raise BenchError(f"no format `{form}`", fix=f"formats: {', '.join(PAGES)}")
    working = "Reading the store and drawing figures ..."
    with err.status(working) if err.is_terminal else nullcontext():
        summary = write_report(Store(results), to, study, forms, fresh=fresh)
    if as_json:
        print_json(
            {
                "out": str(to),
                "page": str(summary.page),
                "studies": summary.studies,
                "tables": summary.tables,
                "figures": summary.figures,
                "unchanged": summary.unchanged,
            }
        )
    else:
        out.print(f"Report: {summary.page}" + (" (unchanged)" if summary.unchanged else ""))
    if open_it:
        typer.launch(str(summary.page.resolve()))
