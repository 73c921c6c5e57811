"""`bench data`: check a data folder, generate the phantom."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.console import err, out, print_json
from bench.cli.options import CACHE, AsJson, Cache
from bench.cli.render import plain_table

if TYPE_CHECKING:
    from bench.data.check import CheckReport

app = typer.Typer(name="data", no_args_is_help=True, help="Check data, or generate the phantom.")


@app.command(epilog="Example:\n\n  bench data check /data/DeepFashion --decode")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the data.", show_default=False)],
    decode: Annotated[bool, typer.Option(help="Decode every image, not just its header.")] = False,
    cache: Cache = CACHE,
    as_json: AsJson = False,
) -> None:
    """Count what is in a data folder, and everything odd about it."""
    from bench.cli.progress import phase_bar
    from bench.data.check import check as check_source
    from bench.data.sources import open_source

    with phase_bar(err) as say:
        manifest = open_source(
            folder,
            cache=cache,
            progress=lambda done, total: say("reading", done, total),
            as_it_is=True,
        )
        found = check_source(
            manifest, decode=decode, progress=lambda done, total: say("decoding", done, total)
        )
    if as_json:
        print_json(found.to_json())
    else:
        print_check(out, found)
    if found.blocking:
        raise typer.Exit(1)


def print_check(console: Console, found: CheckReport) -> None:
    """Print what a data folder contains."""
    console.print(escape(found.data), highlight=False)
    console.print()
    for title, headers, rows in found.tables():
        numeric = ["count"] if title == "Issues" else headers[1:]
        table = plain_table(headers, numeric=numeric, title=title)
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        console.print(table)
        console.print()
    if found.blocking:
        console.print("[bold red]Training on this data as it stands would be wrong.[/]")
    else:
        console.print("[green]Nothing here would make training wrong.[/]")


class Layout(StrEnum):
    """Layouts that a phantom can have."""

    DEEPFASHION = "deepfashion"
    DEEPFASHION2 = "deepfashion2"


@app.command(
    epilog="Examples:\n\n  bench data phantom /tmp/phantom --images 2000\n\n"
    "  bench data phantom /tmp/phantom2 --layout deepfashion2 --images 800 --sheet sheet.png"
)
def phantom(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.", show_default=False)],
    images: Annotated[int, typer.Option(min=50, help="How many photographs.")] = 6000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 0,
    sheet: Annotated[
        Path | None, typer.Option(help="Also write a contact sheet, a PNG, here.")
    ] = None,
    layout: Annotated[
        Layout, typer.Option(help="One garment an image, or one to three, in pairs.")
    ] = Layout.DEEPFASHION,
) -> None:
    """Generate the phantom: drawn garments in DeepFashion's layout, or in DeepFashion2's."""
    from bench.cli.progress import phase_bar
    from bench.data.deepfashion2.phantom import generate_deepfashion2
    from bench.data.deepfashion2.sheet import items_sheet
    from bench.data.phantom import contact_sheet, generate_phantom

    of_items = layout == Layout.DEEPFASHION2
    with phase_bar(err) as say:
        (generate_deepfashion2 if of_items else generate_phantom)(
            folder,
            images=images,
            seed=seed,
            progress=lambda done, total: say("generating", done, total),
        )
    out.print(f"{images:,} photographs in {folder}")
    if sheet is not None:
        drawn = (items_sheet if of_items else contact_sheet)(folder, sheet)
        out.print(f"contact sheet: {drawn}")
