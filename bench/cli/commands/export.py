"""`bench export`: copy studies into another results folder, or their trials into one table."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import err, out, print_json
from bench.cli.options import RESULTS, AsJson, Results
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.store.trials import Store

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  bench export mask_gate --to shared/results --compact\n\n"
    "  bench export --tidy trials.parquet\n\n"
    "  bench export mask_gate --tidy trials.csv --results shared/results"
)
def export(
    studies: Annotated[
        list[str] | None,
        typer.Argument(help="Names of studies; all by default.", show_default=False),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Results folder to add them to.")] = None,
    tidy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table to write, .parquet or .csv, with a row a trial: metrics, settings, "
            "timings, hardware.",
        ),
    ] = None,
    results: Results = RESULTS,
    compact: Annotated[
        bool,
        typer.Option(help="Keep what verdicts and pictures need: about a tenth, same scores."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy studies into another results folder, or their trials into one table."""
    from bench.store.trials import Store

    if (to is None) == (tidy is None):
        raise BenchError(
            "expected either a results folder or a table to export to",
            fix="add `--to FOLDER` or `--tidy FILE`",
        )
    if compact and tidy is not None:
        raise BenchError("rounds probabilities, which a table has none of", where="--compact")
    store = Store(results)
    names = [study.name for study in store.chosen(studies)]
    if tidy is not None:
        place, trials = tidy, _write_trials(store, names, tidy)
    else:
        assert to is not None, "one of the two is given"
        place, trials = to, _copy(store, names, to, compact)
    if as_json:
        print_json({"studies": names, "trials": trials, "to": str(place)})
    else:
        out.print(f"{trials} trials of {', '.join(names)} in {place}", soft_wrap=True, markup=False)


def _copy(store: Store, names: list[str], to: Path, compact: bool) -> int:
    """Copy studies; returns how many trials the copy holds of them."""
    from bench.cli.progress import phase_bar
    from bench.store.export import export as copy

    with phase_bar(err) as say:
        return copy(
            store,
            to,
            names,
            compact=compact,
            progress=lambda done, total: say("copying", done, total),
        )


def _write_trials(store: Store, names: list[str], path: Path) -> int:
    """Write the trials of studies as a table; returns how many it has."""
    from bench.analysis.frames import check_format, trials_of, write_frame

    check_format(path)
    with err.status("Reading the store ...") if err.is_terminal else nullcontext():
        frame = trials_of(store, names)
    write_frame(frame, path)
    return len(frame)
