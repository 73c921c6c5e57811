"""`bench model`: a trial's trained model, as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench.cli.console import err, out, print_json
from bench.cli.options import CACHE, RESULTS, AsJson, Cache, Data, Results
from bench.errors import BenchError
from bench.report.units import disk_size

if TYPE_CHECKING:
    from bench.engine.model import TrainedTrial
    from bench.store.record import Epoch

app = typer.Typer()

Words = Annotated[
    list[str],
    typer.Argument(
        help="The trial: its identity, or the beginning of it; or STUDY ARM SEED.",
        metavar="TRIAL",
        show_default=False,
    ),
]
OfEpoch = Annotated[
    str | None,
    typer.Option(
        help="Weights of the best epoch or the last one. Without it: those that were kept, or else "
        "those that the trial was tested with.",
        metavar="[best|last]",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


@app.command(
    epilog="Examples:\n\n  bench model mask_gate gate=none 0 --to model.keras\n\n"
    "  bench model 0123456789abcdef --to model.tflite\n\n"
    "By the ending: .keras, .weights.h5, .onnx (needs the extra onnx), .tflite; without one, the "
    "folder of a SavedModel. Exit code 1 if the trial was trained again and came out different."
)
def model(
    trial: Words,
    to: Annotated[Path, typer.Option("--to", help="File or folder to write.")],
    epoch: OfEpoch = None,
    overwrite: Overwrite = False,
    data: Data = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    as_json: AsJson = False,
) -> None:
    """Write a trial's trained model; one whose weights were not kept is trained again."""
    from bench.cli.progress import retraining
    from bench.engine.model import trained_trial
    from bench.files.disk import report_disk_full
    from bench.store.agreement import Verdict
    from bench.store.find import find_trial
    from bench.store.trials import Store
    from bench.train.forms import check_free, form_of

    form, wanted = form_of(to), known_epoch(epoch)
    check_free(to, overwrite=overwrite)
    store = Store(results)
    identity, used = find_trial(store, trial)
    if len(trial) > used:
        raise BenchError(
            f"found more than a trial: {' '.join(trial[used:])}",
            where="bench model",
            fix="quote an arm's name that has spaces",
        )
    with report_disk_full(to.parent, results, cache):
        how = retraining(cache, None, data, err if as_json else out)
        found = trained_trial(store, identity, how, wanted)
        _write(found, to, results, overwrite=overwrite)
    size = sum(path.stat().st_size for path in (to, *to.rglob("*")) if path.is_file())
    if as_json:
        print_json(
            {
                "trial": identity,
                "name": found.name,
                "epoch": found.kept.epoch,
                "form": form.name,
                "file": str(to),
                "bytes": size,
                "kept": found.again is None,
                "trained_again": None if found.again is None else found.again.to_json(),
            }
        )
    else:
        out.print(f"{to} ({form.name}, {disk_size(size)})", markup=False)
        print_found(out, found)
    if found.again is not None and found.again.verdict is Verdict.DIFFERENT:
        raise typer.Exit(1)


def known_epoch(epoch: str | None) -> Epoch | None:
    """The value of `--epoch`.

    Raises:
        BenchError: There is no such epoch.
    """
    from bench.store.record import EPOCHS

    if epoch is not None and epoch not in EPOCHS:
        raise BenchError(f"no epoch `{epoch}`", where="--epoch", fix=f"give {' or '.join(EPOCHS)}")
    return epoch


def print_found(console: Console, found: TrainedTrial) -> None:
    """Print which weights a model has, and how far they are those of the stored trial."""
    from bench.store.agreement import Verdict

    epoch, tested = found.kept.epoch, found.record.spec["train"]["selection"]
    console.print(
        f"  {found.name or 'trial'} ({found.record.id}), weights of the {epoch} epoch"
        + (f" (tested: the {tested} one)" if epoch != tested else ""),
        markup=False,
        soft_wrap=True,
    )
    again = found.again
    if again is None:
        return
    if again.verdict is Verdict.IDENTICAL:
        console.print("  not kept with the trial: trained again, identical to what is stored")
        return
    off = f": a probability differs by {again.deviation:.2g}" if again.deviation > 0 else ""
    changed = "; ".join(again.changes())
    console.print(
        f"  not kept with the trial: trained again, not identical to what is stored but "
        f"{again.verdict}{off}" + (f" ({changed})" if changed else ""),
        style="yellow",
        markup=False,
        soft_wrap=True,
    )


def _write(found: TrainedTrial, to: Path, results: Path, *, overwrite: bool) -> None:
    from bench.engine.process import output_in

    with output_in(results / "logs" / f"model.{os.getpid()}.log"):
        from bench.train.forms import write_model
        from bench.train.whole_model import description, whole_model

        made = whole_model(found.record, found.kept)
        write_model(made, description(found.record, found.kept, made), to, overwrite=overwrite)
