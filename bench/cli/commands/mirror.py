"""`bench mirror`: exchange trials with a copy of the results folder elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import err, out, print_json
from bench.cli.options import RESULTS, AsJson, Results

if TYPE_CHECKING:
    from bench.store.mirror import MirrorResult

app = typer.Typer()


@app.command(epilog="Example:\n\n  bench mirror s3://bucket/ropanet")
def mirror(
    url: Annotated[
        str,
        typer.Argument(help="s3://, gs://, a folder: any that fsspec knows.", show_default=False),
    ],
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Synchronize a results folder with a copy of it elsewhere, in both directions."""
    found = mirror_store(results, url)
    if as_json:
        print_json({"down": found.down, "up": found.up, "damaged": found.damaged})
    else:
        out.print(f"{found.down} trials copied from the mirror, {found.up} copied to it")


def mirror_store(results: Path, url: str) -> MirrorResult:
    """Exchange trials with a mirror, show the progress and name what is damaged there."""
    from bench.cli.progress import phase_bar
    from bench.store.mirror import mirror as exchange
    from bench.store.trials import Store

    with phase_bar(err) as say:
        found = exchange(Store(results), url, say)
    for trial in found.damaged:
        err.print(f"damaged, left in the mirror: {trial}", style="red", markup=False)
    return found
