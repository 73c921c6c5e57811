"""`bench verify`: train stored trials again and compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.console import err, out, print_json
from bench.cli.options import CACHE, RESULTS, AsJson, Cache, Data, Results, Workers
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.store.agreement import Verification
    from bench.store.trials import Store

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  bench verify --sample 5\n\n  bench verify 0123456789abcdef --json\n\n"
    "Exit code 0 if all are identical or within tolerance, 1 otherwise."
)
def verify(
    trials: Annotated[
        list[str] | None, typer.Argument(help="Ids of trials.", show_default=False)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="This many trials, chosen at random.")
    ] = None,
    data: Data = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    workers: Workers = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a probability that is rounding.")
    ] = 1e-3,
    as_json: AsJson = False,
) -> None:
    """Train stored trials again and compare: do they reproduce?"""
    from bench.cli.progress import retraining
    from bench.engine.verify import verify as train_and_compare
    from bench.store.agreement import Verdict
    from bench.store.trials import Store

    store = Store(results)
    how = retraining(cache, workers, data, err if as_json else out)
    found = train_and_compare(store, _chosen(store, trials or [], sample), how, tolerance=tolerance)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        print_verified(out, found)
    if any(one.verdict not in (Verdict.IDENTICAL, Verdict.CLOSE) for one in found):
        raise typer.Exit(1)


def _chosen(store: Store, named: list[str], sample: int | None) -> list[str]:
    import random

    chosen = list(named)
    if sample is not None:
        rest = [identity for identity in store.ids() if identity not in chosen]
        chosen += random.sample(rest, min(sample, len(rest)))
    if not chosen:
        raise BenchError(
            "no trial was named", where="bench verify", fix="name trials, or add `--sample 5`"
        )
    return chosen


def print_verified(console: Console, found: Sequence[Verification]) -> None:
    """Print how stored trials compare with the same trained again."""
    from bench.data.issues import printable
    from bench.store.agreement import Verdict

    colors = {Verdict.IDENTICAL: "green", Verdict.CLOSE: "green", Verdict.DIFFERENT: "red"}
    for one in found:
        color = colors.get(one.verdict, "yellow")
        line = f"[{color}]{one.verdict}[/] {escape(printable(one.name or one.trial))}"
        if one.deviation > 0:
            line += f": a probability differs by {one.deviation:.2g}"
        console.print(line + (f" ({escape(printable(one.where))})" if one.where else ""))
        for change in one.changes():
            console.print(f"    {printable(change)}", markup=False, soft_wrap=True)
    counts = Counter(one.verdict for one in found)
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
