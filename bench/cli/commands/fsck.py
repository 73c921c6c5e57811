"""`bench fsck`: look for damage in the results and cache folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.console import err, out, print_json
from bench.cli.options import CACHE, RESULTS, AsJson, Cache, Results

if TYPE_CHECKING:
    from bench.store.fsck.check import FsckReport

app = typer.Typer()

SHOWN_TRIALS = 40
"""Trials to be trained again that are named."""


@app.command(
    epilog="Examples:\n\n  bench fsck\n\n  bench fsck --repair\n\n  bench fsck --results /store "
    "--cache /scratch --json\n\nExit code 0 if nothing was found, 1 if something was."
)
def fsck(
    results: Results = RESULTS,
    cache: Cache = CACHE,
    repair: Annotated[
        bool,
        typer.Option(
            help="Delete what can be made again, and move damaged records aside: the next run "
            "makes them again."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find what is corrupt, incomplete, foreign or stale in results and cache."""
    from bench.cli.progress import phase_bar
    from bench.store.fsck.check import fsck as look_over

    with phase_bar(err) as say:
        report = look_over(results, cache, repair=repair, say=say)
    if as_json:
        print_json(report.to_json())
    else:
        print_fsck(out, report)
    if report.found:
        raise typer.Exit(1)


def print_fsck(console: Console, report: FsckReport) -> None:
    """Print what was found, and which trials must be trained again."""
    from bench.data.issues import printable

    for one in report.found:
        console.print(f"[red]{one.kind}[/] {escape(printable(one.path))}: ", end="")
        console.print(escape(printable(one.what)))
        if one.repair is not None:
            console.print(f"    {'repaired' if one.repaired else 'with --repair'}: {one.repair}")
    if report.retrain:
        console.print("\n[bold]To be trained again[/] (`bench run` of their studies does it):")
        for name in report.retrain[:SHOWN_TRIALS]:
            console.print(f"  {escape(printable(name))}")
        if len(report.retrain) > SHOWN_TRIALS:
            console.print(f"  ... and {len(report.retrain) - SHOWN_TRIALS:,} more")
    if report.without_checksums:
        console.print(
            f"{report.without_checksums:,} trials are older than checksums: they can be read, but "
            "not checked further."
        )
    number = len(report.found)
    found = f"[red]{number:,} found[/]" if number else "[green]nothing found[/]"
    console.print(f"{report.trials:,} trials looked over: {found}")
