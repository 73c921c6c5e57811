"""The commands; the only room that prints, asks or exits.

Light at import: each command imports what it needs when it is called.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import bench
from bench.cli.console import SafeConsole
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.engine.request import StudyRequest
    from bench.engine.run import Result
    from bench.store.mirror import MirrorResult

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Reproduce a vision paper's tables and take its claims apart: from a YAML study to a "
    "report.",
    epilog="Start with: [bold]bench run ablations/mask_gate.yaml[/], then [bold]bench report --out "
    "report/[/]",
)
data_app = typer.Typer(no_args_is_help=True, help="Look at data, or draw the phantom.")
app.add_typer(data_app, name="data")

# Bound to today's stream: while Ray runs, whatever it prints goes to the log.
out = SafeConsole(highlight=False, file=sys.stdout)
err = SafeConsole(stderr=True, highlight=False)

Study = Annotated[Path, typer.Argument(help="A study's YAML file.", show_default=False)]
Studies = Annotated[list[Path], typer.Argument(help="Studies' YAML files.", show_default=False)]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data: DeepFashion's layout, or one folder a class. Without it: the "
        "phantom.",
        envvar="BENCH_DATA",
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(help="smoke, laptop (default without --data) or paper (default with it)."),
]
Results = Annotated[Path, typer.Option(help="Results folder.", envvar="BENCH_RESULTS")]
Cache = Annotated[
    Path, typer.Option(help="Folder for the phantom, weights, features.", envvar="BENCH_CACHE")
]
Only = Annotated[list[str] | None, typer.Option(help="Run only this arm; repeat for more.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="PATH=VALUE above the study's own settings; repeat for more."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Trials at the same time; as many as fit by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

RESULTS, CACHE = Path("results"), Path(".cache")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"bench {bench.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    del version, debug  # `--debug` is read in `main`, where errors arrive


@app.command(
    epilog="Examples:\n\n  bench run ablations/mask_gate.yaml\n\n"
    "  bench run ablations/mask_gate.yaml --data /data/DeepFashion --gpus-per-trial 0.5\n\n"
    "  bench run ablations/tables.yaml --only Baseline-1000 --set train.epochs=3\n\n"
    "  bench run ablations/*.yaml --profile smoke"
)
def run(
    studies: Studies,
    data: Data = None,
    profile: Profile = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    workers: Workers = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads a trial; 1 by default, so that a trial gives the same bytes whatever "
            "runs beside it.",
        ),
    ] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(min=0.0, help="GPUs a trial, fractions too.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Address of a Ray cluster.")] = None,
    only: Only = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Train at most this many trials.")
    ] = None,
    rerun: Annotated[bool, typer.Option(help="Train stored trials again.")] = False,
    trial_timeout: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds that a trial may take; a trial that hangs then fails."),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints of a trial in training.")
    ] = 60.0,
    share: Annotated[
        bool,
        typer.Option(
            help="Let trials of one shape share a compiled network: the same bytes, sooner."
        ),
    ] = True,
    mirror_url: Annotated[
        str | None,
        typer.Option(
            "--mirror",
            help="Begin with the trials of this URL (s3://, ...), and end by adding to it.",
        ),
    ] = None,
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Train whatever of one or more studies is not in the store yet."""
    from bench.cli.progress import phase_bar, trial_bar
    from bench.engine.resources import Resources
    from bench.engine.run import run as run_studies

    if only and len(studies) > 1:
        raise BenchError(
            "names arms of one study, and several studies were given",
            where="--only",
            fix="run that study alone",
        )
    requests = [
        replace(
            _request(study, data, profile, results, cache, only, settings),
            limit=limit,
            rerun=rerun,
            trial_timeout=trial_timeout,
            checkpoint_seconds=checkpoint_every,
            reuse_compiled=share,
        )
        for study in studies
    ]
    screen = err if as_json else out
    if mirror_url is not None:
        _mirror(results, mirror_url)
    try:
        found = run_studies(
            requests,
            Resources(workers, threads, gpus_per_trial, address),
            phases=lambda: phase_bar(screen),
            trials_shown=trial_bar(screen),
        )
    except KeyboardInterrupt:
        err.print(
            "\nStopped. What is finished is in the store; the same command goes on from there."
        )
        raise typer.Exit(130) from None
    finally:
        if mirror_url is not None:
            _mirror(results, mirror_url)
    if as_json:
        _print_json([result.__dict__ for result in found])
    else:
        _print_run(found, results)
    if any(result.failed for result in found):
        raise typer.Exit(1)


def _print_run(found: list[Result], results: Path) -> None:
    from bench.report.units import duration

    for result in found:
        parts = [f"{result.finished} trained", f"{result.stored} in the store already"]
        if result.diverged:
            parts.append(f"[yellow]{len(result.diverged)} diverged[/]")
        if result.failed:
            parts.append(f"[red]{len(result.failed)} failed[/]")
        if result.held_back:
            parts.append(f"{result.held_back} left for later")
        out.print(f"[bold]{result.study}[/] (profile {result.profile}): {', '.join(parts)}")
    for shard in found[0].repaired:
        out.print(f"  a damaged feature file was found and made anew: {shard}")
    if not any(result.finished or result.failed or result.held_back for result in found):
        out.print("Nothing to train: every trial is in the store.")
    elif found[0].seconds >= 1:
        out.print(f"In {duration(found[0].seconds)}.")
    if any(result.failed for result in found):
        out.print(f"Why: `bench status --results {results}`, and {results / 'failures'}")
    else:
        out.print(f"Next: bench report --results {results} --out report/")


@app.command(epilog="Example:\n\n  bench plan ablations/mask_gate.yaml --data /data/DeepFashion")
def plan(
    study: Study,
    data: Data = None,
    profile: Profile = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    only: Only = None,
    settings: Set = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, and do nothing."""
    from bench.cli.render import plan_overview, print_plan

    request = _request(study, data, profile, results, cache, only, settings)
    overview = plan_overview(request)
    if as_json:
        _print_json(overview)
    else:
        print_plan(out, overview)


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
        bool, typer.Option(help="Draw everything anew, also what has not changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild tables, figures and comparisons from what is in the store."""
    from bench.report.page import PAGES, write_report
    from bench.store.trials import Store

    for form in forms or ():
        if form not in PAGES:
            raise BenchError(f"no format `{form}`", fix=f"formats: {', '.join(PAGES)}")
    with err.status("Reading the store and drawing ...") if err.is_terminal else _nothing():
        summary = write_report(Store(results), to, study, forms, fresh=fresh)
    if as_json:
        _print_json({"out": str(to), **{k: str(v) for k, v in summary.__dict__.items()}})
    else:
        out.print(f"Report: {summary.page}" + (" (unchanged)" if summary.unchanged else ""))
    if open_it:
        typer.launch(str(summary.page.resolve()))


@app.command(
    epilog="Example:\n\n  bench export mask_gate --to shared/results --compact\n\n"
    "  bench report --results shared/results --out report/"
)
def export(
    studies: Annotated[list[str], typer.Argument(help="Names of studies.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="Results folder to add them to.")],
    results: Results = RESULTS,
    compact: Annotated[
        bool,
        typer.Option(help="Round probabilities as far as no answer and no rank changes."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy studies and their trials into a results folder of their own."""
    from bench.cli.progress import phase_bar
    from bench.store.export import export as copy
    from bench.store.trials import Store

    with phase_bar(err) as say:
        trials = copy(
            Store(results),
            to,
            studies,
            compact=compact,
            progress=lambda done, total: say("copying", done, total),
        )
    if as_json:
        _print_json({"studies": studies, "trials": trials, "to": str(to)})
    else:
        out.print(f"{trials} trials of {', '.join(studies)} in {to}")


@app.command(
    epilog="Examples:\n\n  bench verify --sample 5\n\n  bench verify 0123456789abcdef --json\n\n"
    "Exit code 0 where all are identical or within tolerance, 1 otherwise."
)
def verify(
    trials: Annotated[
        list[str] | None, typer.Argument(help="Identities of trials.", show_default=False)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="As many trials, drawn at random.")
    ] = None,
    data: Data = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    workers: Workers = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a probability taken for rounding.")
    ] = 1e-3,
    as_json: AsJson = False,
) -> None:
    """Train stored trials again and compare: is what is stored what happens?"""
    import random

    from bench.cli.progress import phase_bar, trial_bar
    from bench.cli.render import print_verified
    from bench.engine.resources import Resources
    from bench.engine.verify import CLOSE, IDENTICAL
    from bench.engine.verify import verify as train_again
    from bench.store.trials import Store

    store = Store(results)
    chosen = list(trials or ())
    if sample is not None:
        rest = [identity for identity in store.ids() if identity not in chosen]
        chosen += random.sample(rest, min(sample, len(rest)))
    if not chosen:
        raise BenchError(
            "no trial was named", where="bench verify", fix="name trials, or add `--sample 5`"
        )
    screen = err if as_json else out
    found = train_again(
        store,
        cache,
        chosen,
        resources=Resources(workers),
        data=data,
        tolerance=tolerance,
        phases=lambda: phase_bar(screen),
        trials_shown=trial_bar(screen),
    )
    if as_json:
        _print_json([one.__dict__ for one in found])
    else:
        print_verified(out, found)
    if any(one.verdict not in (IDENTICAL, CLOSE) for one in found):
        raise typer.Exit(1)


@app.command(epilog="Example:\n\n  bench mirror s3://bucket/ropanet")
def mirror(
    url: Annotated[
        str, typer.Argument(help="s3://, gs://, a folder: what fsspec knows.", show_default=False)
    ],
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Make a results folder and a copy of it elsewhere hold the same trials and studies."""
    found = _mirror(results, url)
    if as_json:
        _print_json(found.__dict__)
    else:
        out.print(f"{found.down} trials came from the mirror, {found.up} went to it")


def _mirror(results: Path, url: str) -> MirrorResult:
    from bench.cli.progress import phase_bar
    from bench.store.mirror import mirror as exchange
    from bench.store.trials import Store

    with phase_bar(err) as say:
        found = exchange(Store(results), url, say)
    for trial in found.damaged:
        err.print(f"not what was written, left in the mirror: {trial}", style="red", markup=False)
    return found


@app.command(epilog="Example:\n\n  bench status --json")
def status(results: Results = RESULTS, as_json: AsJson = False) -> None:
    """Show the studies in the store: trials done, failed and missing."""
    from bench.cli.render import print_status, status_overview
    from bench.store.trials import Store

    overview = status_overview(Store(results))
    if as_json:
        _print_json(overview)
    else:
        print_status(out, overview, results)


@app.command(
    epilog="Examples:\n\n  bench fsck\n\n  bench fsck --repair\n\n  bench fsck --results /store "
    "--cache /scratch --json\n\nExit code 0 where nothing was found, 1 where something was."
)
def fsck(
    results: Results = RESULTS,
    cache: Cache = CACHE,
    repair: Annotated[
        bool,
        typer.Option(
            help="Drop what can be made again, and move damaged records aside: the next run "
            "makes them anew."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find what rotted, was cut short, does not belong or is stale in results and cache."""
    from bench.cli.progress import phase_bar
    from bench.cli.render import print_fsck
    from bench.store.fsck.check import fsck as look_over

    with phase_bar(err) as say:
        report = look_over(results, cache, repair=repair, say=say)
    if as_json:
        _print_json(report.to_json())
    else:
        print_fsck(out, report)
    if report.found:
        raise typer.Exit(1)


@app.command(
    epilog="Example:\n\n  bench schema > ablations/study.schema.json\n\nA study that opens with "
    "`# yaml-language-server: $schema=study.schema.json` is then completed and checked by editors."
)
def schema() -> None:
    """Print the JSON Schema of a study."""
    from bench.study.schema import study_schema

    _print_json(study_schema())


@app.command(epilog="Example:\n\n  bench ledger --json")
def ledger(as_json: AsJson = False) -> None:
    """Show the decisions that the paper leaves open, and the setting that carries each."""
    from bench.cli.render import print_ledger
    from bench.systems.ledger import fashionnet_decisions
    from bench.systems.ledger import ledger as rows

    if as_json:
        _print_json([row.__dict__ for row in (*rows(), *fashionnet_decisions())])
    else:
        print_ledger(out)


@app.command(
    epilog="Examples:\n\n  bench audit\n\n  bench audit another_paper.yaml --json\n\n"
    "The form of such a file: bench/paper/claims.yaml."
)
def audit(
    claims: Annotated[
        Path | None,
        typer.Argument(help="A paper's claims, a YAML file; this paper's where left out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check published results by arithmetic alone: no data, no model."""
    from bench.cli.render import print_audit
    from bench.paper.audit import audit as check_claims
    from bench.paper.audit import load_claims

    read = load_claims(claims)
    findings = check_claims(read)
    if as_json:
        _print_json([finding.to_json() for finding in findings])
    else:
        print_audit(out, read.paper, findings)


@data_app.command("check", epilog="Example:\n\n  bench data check /data/DeepFashion --decode")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder of the data.", show_default=False)],
    decode: Annotated[bool, typer.Option(help="Decode every image, not just its header.")] = False,
    cache: Cache = CACHE,
    as_json: AsJson = False,
) -> None:
    """Count what is in a data folder, and everything odd about it."""
    from bench.cli.progress import phase_bar
    from bench.cli.render import print_check
    from bench.data.check import check
    from bench.data.sources import open_source

    with phase_bar(err) as say:
        manifest = open_source(
            folder, cache=cache, progress=lambda done, total: say("sizes", done, total)
        )
        found = check(
            manifest, decode=decode, progress=lambda done, total: say("decoding", done, total)
        )
    if as_json:
        _print_json(found.to_json())
    else:
        print_check(out, found)
    if found.harmful:
        raise typer.Exit(1)


@data_app.command("phantom", epilog="Example:\n\n  bench data phantom /tmp/phantom --images 2000")
def data_phantom(
    folder: Annotated[Path, typer.Argument(help="Folder to draw into.", show_default=False)],
    images: Annotated[int, typer.Option(min=50, help="How many photographs.")] = 6000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawing.")] = 0,
    sheet: Annotated[
        Path | None, typer.Option(help="Also write a contact sheet, a PNG, here.")
    ] = None,
) -> None:
    """Draw the phantom: garments in DeepFashion's layout, for a machine without DeepFashion."""
    from bench.cli.progress import phase_bar
    from bench.data.phantom import contact_sheet, generate_phantom

    with phase_bar(err) as say:
        generate_phantom(
            folder,
            images=images,
            seed=seed,
            progress=lambda done, total: say("drawing", done, total),
        )
    out.print(f"{images:,} photographs in {folder}")
    if sheet is not None:
        out.print(f"contact sheet: {contact_sheet(folder, sheet)}")


def main() -> None:
    """Run a command; one message and exit code 2 for a fault of input, no traceback."""
    debug = "--debug" in sys.argv
    try:
        app()
    except BenchError as error:
        if debug:
            raise
        err.print("[bold red]error:[/] ", end="")
        err.print(str(error), markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("\nStopped.")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        # A disk that is full, a folder that cannot be written: the system's words say it best.
        if debug:
            raise
        err.print("[bold red]error:[/] ", end="")
        err.print(str(error), markup=False)
        sys.exit(2)


def _request(
    study: Path,
    data: Path | None,
    profile: str | None,
    results: Path,
    cache: Path,
    only: list[str] | None,
    settings: list[str] | None,
) -> StudyRequest:
    from bench.engine.request import StudyRequest
    from bench.study.study import PROFILES

    if profile is not None and profile not in PROFILES:
        raise BenchError(f"no profile `{profile}`", fix=f"profiles: {', '.join(PROFILES)}")
    return StudyRequest(
        study=study,
        data=data,
        profile=profile,
        results=results,
        cache=cache,
        only=tuple(only or ()),
        settings=_settings(settings or []),
    )


def _settings(pairs: list[str]) -> dict[str, Any]:
    from bench.files.yaml import parse_yaml

    settings = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path:
            raise BenchError(f"found `{pair}`", where="--set", fix="write PATH=VALUE")
        settings[path] = parse_yaml(value, "--set").value
    return settings


def _print_json(plain: Any) -> None:
    typer.echo(json.dumps(plain, indent=1, default=str))


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()
