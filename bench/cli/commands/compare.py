"""`bench compare`: does a rerun agree with the results that it repeats?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.console import err, out, print_json
from bench.cli.options import AsJson

if TYPE_CHECKING:
    from bench.analysis.rerun import Rerun
    from bench.report.cells import Table

app = typer.Typer()

WIDE = 110
"""From so many columns on, a terminal has room for both intervals."""

STYLES = {"identical": "green", "agrees": "green", "differs": "red"}


@app.command(
    epilog="Examples:\n\n  bench compare results/reference results\n\n"
    "  bench compare downloaded/results results --study mask_gate --out comparison/\n\n"
    "Exit code 0 if they agree or it cannot be told, 1 if an arm differs or an effect is better in "
    "one and worse in the other."
)
def compare(
    a: Annotated[
        Path, typer.Argument(metavar="RESULTS_A", help="Results folder, say a downloaded one.")
    ],
    b: Annotated[
        Path, typer.Argument(metavar="RESULTS_B", help="Results folder that is held against it.")
    ],
    study: Annotated[
        list[str] | None,
        typer.Option(help="Only this study; repeat for more. All that both hold by default."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Also write a page with tables and a figure here.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a probability that is rounding.")
    ] = 1e-3,
    as_json: AsJson = False,
) -> None:
    """Compare two results folders: does a rerun agree?"""
    from bench.analysis.replication import Agreement
    from bench.analysis.rerun import common_studies, compare_study
    from bench.files.atomic import finite
    from bench.report.comparison import write_comparison
    from bench.store.trials import Store
    from bench.systems.registry import load_plugins

    load_plugins()  # arms are compared in their metrics too
    one, other = Store(a), Store(b)
    with err.status("Reading both stores ...") if err.is_terminal else nullcontext():
        names = common_studies(one, other, study)
        found = [compare_study(one, other, name, tolerance) for name in names]
        page = write_comparison(found, a, b, to) if to is not None else None
    if as_json:
        print_json(
            finite(
                {
                    "a": str(a),
                    "b": str(b),
                    "page": None if page is None else str(page),
                    "studies": [rerun.to_json() for rerun in found],
                }
            )
        )
    else:
        out.print(f"A: {escape(str(a))}\nB: {escape(str(b))}", soft_wrap=True)
        for rerun in found:
            print_rerun(out, rerun)
        if page is not None:
            out.print(f"\nPage: {escape(str(page))}", soft_wrap=True)
    if any(rerun.answer is Agreement.DIFFERS for rerun in found):
        raise typer.Exit(1)


def print_rerun(console: Console, rerun: Rerun) -> None:
    """Print a study's comparison, the answer last."""
    from bench.report.tables.replication import arms_in_both, effects_in_both

    console.print(f"\n[bold]{escape(rerun.a.name)}[/]: {escape(rerun.a.title)}")
    for warning in rerun.warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
    wide = console.width >= WIDE
    columns = ("arm", "metric", *(("A", "B") if wide else ()), "B - A", "verdict")
    _print_unlike(console, arms_in_both(rerun), columns, "identical")
    ends = ("effect in A", "effect in B") if wide else ("verdict in A", "verdict in B")
    columns = ("arm", "metric", *ends, "verdicts")
    _print_unlike(console, effects_in_both(rerun), columns, "the same")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in rerun.verdicts.items())
    console.print(f"\nTrials: {counts or 'none'}")
    if rerun.suspects:
        console.print("What differs in the records of those that are not identical:")
    for name, pairs in rerun.suspects.items():
        (was, now), more = pairs[0], len(pairs) - 1
        others = f" (and {more} more pairs)" if more else ""
        said = f"  {name}: {was} in A, {now} in B{others}"
        console.print(escape(said), soft_wrap=True)
    color = STYLES.get(rerun.answer, "yellow")
    console.print(f"\n[{color}]{escape(rerun.sentence)}[/]")


def _print_unlike(console: Console, table: Table, columns: Sequence[str], alike: str) -> None:
    """Those rows of a table that are not alike by their last column, and how many are."""
    from bench.cli.render import plain_table

    wordy = dict(zip(table.columns, table.wordy(), strict=True))
    places = [table.columns.index(column) for column in columns]
    rows = [[row[place] for place in places] for row in table.shown()]
    unlike = [row for row in rows if row[-1] != alike]
    same = sum(row.get(columns[-1]) == alike for row in table.rows)
    console.print(f"\n{table.title}: {same} of {len(table.rows)} {alike}")
    if unlike:
        shown = plain_table(columns, [column for column in columns if not wordy[column]])
        for column in shown.columns[:2]:
            column.no_wrap = True  # names are not cut: the verdict is what wraps
        for row in unlike:
            shown.add_row(*map(escape, row))
        console.print(shown)
