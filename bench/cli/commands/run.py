"""`bench run`: train what a study lacks in the store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from bench.cli.commands.log import log_store
from bench.cli.commands.mirror import mirror_store
from bench.cli.console import err, out, print_json
from bench.cli.options import (
    CACHE,
    RESULTS,
    AsJson,
    Backend,
    Cache,
    Data,
    KeepModels,
    Only,
    Profile,
    Results,
    ScaleToData,
    Set,
    Studies,
    UntilSettled,
    Workers,
    study_request,
)
from bench.errors import KEPT, BenchError, Stopped
from bench.report.units import duration

if TYPE_CHECKING:
    from bench.engine.config import RunOptions
    from bench.engine.request import StudyRequest
    from bench.engine.resources import Resources
    from bench.engine.run import Result
    from bench.trackers.log import RunLog

app = typer.Typer()

Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="CPU threads per trial; 1 by default, so that a trial gives the same bytes whatever "
        "runs beside it.",
    ),
]


def _gpus(asked: str) -> float | Literal["auto"]:
    """A number of GPUs from 0, or `auto`.

    Raises:
        BadParameter: It is neither.
    """
    if asked == "auto":
        return "auto"
    try:
        number = float(asked)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise typer.BadParameter(f"expected a number from 0, such as 0.5, or auto; found {asked!r}")
    return number


GpusPerTrial = Annotated[
    Any,  # what the parser gives, which Typer cannot be told otherwise
    typer.Option(
        parser=_gpus,
        metavar="NUMBER|auto",
        help="GPUs per trial, fractions allowed; auto: as small a part as holds the largest trial.",
    ),
]
Address = Annotated[str | None, typer.Option(help="Address of a Ray cluster.")]
Limit = Annotated[int | None, typer.Option(min=0, help="Train at most this many trials.")]
Rerun = Annotated[bool, typer.Option(help="Train stored trials again.")]
TrialTimeout = Annotated[
    float | None,
    typer.Option(min=1, help="Seconds that a trial may take; a trial that hangs then fails."),
]
CheckpointEvery = Annotated[
    float, typer.Option(min=0, help="Seconds between two checkpoints of a trial in training.")
]
Share = Annotated[
    bool,
    typer.Option(
        help="Let trials of one shape share a compiled network: the same bytes, in less time."
    ),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        "--mirror",
        help="Copy trials from this URL (s3://, ...) before the run, and to it afterwards.",
    ),
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log",
        help="Log trials as they end, and figures afterwards: tensorboard:DIR, mlflow:URI or "
        "wandb:PROJECT.",
    ),
]


@app.command(
    epilog="Examples:\n\n  bench run mask_gate\n\n"
    "  bench run mask_gate --data /data/DeepFashion --gpus-per-trial 0.5\n\n"
    "  bench run my_study.yaml --until-settled\n\n"
    "  bench run my_study.yaml --log tensorboard:runs\n\n"
    "  bench run my_study.yaml --keep-models best\n\n"
    "  bench run tables --only Baseline-1000 --set train.epochs=3\n\n"
    "  bench run ablations/*.yaml --profile smoke"
)
def run(
    studies: Studies,
    data: Data = None,
    profile: Profile = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    workers: Workers = None,
    threads: Threads = None,
    gpus_per_trial: GpusPerTrial = None,
    address: Address = None,
    only: Only = None,
    limit: Limit = None,
    rerun: Rerun = False,
    trial_timeout: TrialTimeout = None,
    checkpoint_every: CheckpointEvery = 60.0,
    share: Share = True,
    mirror_url: Mirror = None,
    log_to: Log = None,
    settings: Set = None,
    until_settled: UntilSettled = False,
    backend: Backend = None,
    keep_models: KeepModels = None,
    scale: ScaleToData = False,
    as_json: AsJson = False,
) -> None:
    """Train the trials of one or more studies that are not in the store yet."""
    from bench.engine.config import RunOptions
    from bench.engine.resources import Resources

    if only and len(studies) > 1:
        raise BenchError(
            "names arms of one study, and several studies were given",
            where="--only",
            fix="run that study alone",
        )
    requests = [
        study_request(
            study, data, profile, only, settings, until_settled, backend, keep_models, scale
        )
        for study in studies
    ]
    options = RunOptions(
        results=results,
        cache=cache,
        limit=limit,
        rerun=rerun,
        trial_timeout=trial_timeout,
        checkpoint_seconds=checkpoint_every,
        reuse_compiled=share,
    )
    resources = Resources(workers, threads, gpus_per_trial, address)
    run_log = None if log_to is None else _run_log(results, log_to, studies)
    with _mirrored(results, mirror_url):
        found = _run(requests, options, resources, err if as_json else out, run_log)
    if as_json:
        print_json([result.to_json() for result in found])
    else:
        print_run(out, found, results)
    if log_to is not None:
        log_store(results, log_to, [result.study for result in found])
    if any(result.failed for result in found):
        raise typer.Exit(1)


@contextmanager
def _mirrored(results: Path, url: str | None) -> Iterator[None]:
    """Exchange trials with a mirror before and after, if there is one."""
    if url is None:
        yield
        return
    mirror_store(results, url)
    try:
        yield
    except BaseException:
        try:
            mirror_store(results, url)
        except BenchError as error:  # the run's own end is what is to be told
            err.print(str(error), style="red", markup=False)
        raise
    mirror_store(results, url)


def _run_log(results: Path, to: str, studies: Sequence[Path]) -> RunLog:
    """What logs trials as they end; made before anything is trained, so that it fails early."""
    from bench.store.trials import Store
    from bench.study.study import load_study
    from bench.trackers.log import RunLog

    def warn(text: str) -> None:
        err.print(f"  {text}", style="yellow", markup=False)

    return RunLog(Store(results), to, [load_study(study)[0].name for study in studies], warn)


def _run(
    requests: Sequence[StudyRequest],
    options: RunOptions,
    resources: Resources,
    screen: Console,
    run_log: RunLog | None,
) -> list[Result]:
    from bench.cli.progress import phase_bar, trial_bar
    from bench.engine.run import run as run_studies

    try:
        return run_studies(
            requests,
            options,
            resources,
            phases=lambda: phase_bar(screen),
            trials_shown=trial_bar(screen, run_log.ended if run_log else None),
        )
    except KeyboardInterrupt:
        raise Stopped(KEPT) from None


def print_run(console: Console, found: Sequence[Result], results: Path) -> None:
    """Print what became of the studies of a run, and what to do next."""
    for result in found:
        parts = [f"{result.finished} trained", f"{result.stored} in the store already"]
        if result.diverged:
            parts.append(f"[yellow]{len(result.diverged)} diverged[/]")
        if result.failed:
            parts.append(f"[red]{len(result.failed)} failed[/]")
        if result.held_back:
            parts.append(f"{result.held_back} left for later")
        console.print(f"[bold]{result.study}[/] (profile {result.profile}): {', '.join(parts)}")
        for note in result.notes:
            console.print(f"  {note}")
        for sentence in result.answer:
            console.print(f"  {sentence}", markup=False, highlight=False)
    for shard in found[0].repaired:
        console.print(f"  a damaged feature file was found and extracted again: {shard}")
    if not any(result.finished or result.failed or result.held_back for result in found):
        console.print("Nothing to train: every trial is in the store.")
    elif found[0].seconds >= 1:
        console.print(f"In {duration(found[0].seconds)}.")
    if any(result.failed for result in found):
        console.print(f"Why: `bench status --results {results}`, and {results / 'failures'}")
    else:
        console.print(f"Next: bench report --results {results} --out report/")
