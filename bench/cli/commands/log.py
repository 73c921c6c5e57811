"""`bench log`: write stored trials to an experiment tracker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import err, out, print_json
from bench.cli.options import RESULTS, AsJson

if TYPE_CHECKING:
    from bench.trackers.log import Logged

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  bench log --to tensorboard:runs\n\n"
    "  bench log results/reference --study mask_gate --to mlflow:http://localhost:5000\n\n"
    "  WANDB_MODE=offline bench log --to wandb:fashion --no-figures\n\n"
    "Each trial is logged once: the same command again logs what is new."
)
def log(
    to: Annotated[str, typer.Option(help="tensorboard:DIR, mlflow:URI or wandb:PROJECT.")],
    results: Annotated[Path, typer.Argument(metavar="STORE", help="Results folder.")] = RESULTS,
    study: Annotated[
        list[str] | None, typer.Option(help="Only this study; repeat for more.")
    ] = None,
    figures: Annotated[bool, typer.Option(help="Log the report's figures too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write stored trials to TensorBoard, MLflow or Weights & Biases."""
    found = log_store(results, to, study, figures=figures)
    if as_json:
        print_json(found.to_json())
    else:
        there = f", {found.there} were there" if found.there else ""
        logged = f"{found.trials} trials and {found.figures} figures logged to {to}{there}"
        out.print(logged, soft_wrap=True, markup=False)


def log_store(
    results: Path, to: str, studies: Sequence[str] | None, *, figures: bool = True
) -> Logged:
    """Log what a tracker has not yet, and show the progress."""
    from bench.cli.progress import phase_bar
    from bench.store.trials import Store
    from bench.trackers.log import log as log_new

    with phase_bar(err) as say:
        return log_new(Store(results), to, studies, figures=figures, say=say)
