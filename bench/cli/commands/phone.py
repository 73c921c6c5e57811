"""`bench phone`: a study's models as LiteRT files, run and timed as on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from bench.cli.commands.model import Overwrite
from bench.cli.console import err, out, print_json
from bench.cli.options import CACHE, RESULTS, AsJson, Cache, Data, Results
from bench.errors import KEPT, BenchError, Stopped
from bench.report.units import disk_size

if TYPE_CHECKING:
    from bench.analysis.phone import FormEffect, MeasuredForm
    from bench.engine.phone import PhoneTask
    from bench.store.studies import StudyRecord

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  bench phone mask_gate --arm gate=none\n\n"
    "  bench phone phone --out files/ --json\n\n"
    "Needs the extra phone. Exit code 1 if an operation of a model rules a form out."
)
def phone(
    study: Annotated[str, typer.Argument(help="A study in the store.", show_default=False)],
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help="Only this arm; repeat for more.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the LiteRT files of each arm's lowest seed."),
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Measure again what was measured before.")
    ] = False,
    overwrite: Overwrite = False,
    data: Data = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    as_json: AsJson = False,
) -> None:
    """Convert a study's models to LiteRT: what they cost as on a phone, and what they give up."""
    from bench.analysis.load import load_arms
    from bench.analysis.phone import form_effects, measured_forms
    from bench.cli.progress import phase_bar, retraining
    from bench.engine.phone import check_installed, measure_phone, phone_tasks
    from bench.files.disk import report_disk_full
    from bench.store.trials import Store

    check_installed()
    store = Store(results)
    (recorded,) = store.chosen([study])
    chosen = _chosen(recorded, arms)
    tasks, without = phone_tasks(store, recorded, chosen, again=rerun)
    for what in without:
        err.print(f"left out: {what}", style="yellow", markup=False)
    if not tasks:
        raise BenchError(
            "no arm has a finished trial with a model",
            where=f"study {recorded.name}",
            fix="`bench run` trains what is missing",
        )
    if to is not None:
        tasks = _with_files(recorded, tasks, to, overwrite=overwrite)
    how = retraining(cache, None, data, err if as_json else out)
    try:
        with report_disk_full(*filter(None, (to, results, cache))), phase_bar(err) as say:
            measure_phone(store, tasks, how, say)
    except KeyboardInterrupt:
        raise Stopped(KEPT) from None
    measured = [arm for arm in load_arms(store, recorded) if arm.name in chosen]
    forms = measured_forms(measured)
    effects = list(form_effects(recorded, forms))
    ruled_out = [form for form in forms if form.unsupported]
    if as_json:
        print_json(_to_json(recorded, tasks, forms, effects))
    else:
        print_forms(out, forms, effects)
        again = sum(not task.forms for task in tasks)
        if again:
            out.print(f"{again:,} of {len(tasks):,} trials were measured before; --rerun does so "
                      "again")  # fmt: skip
    for form in ruled_out:
        err.print(
            f"{form.arm.name}: LiteRT has no {form.form} form of the model's operations "
            f"{form.unsupported}",
            style="red",
            markup=False,
        )
    if ruled_out:
        raise typer.Exit(1)


def print_forms(
    console: Console, forms: Sequence[MeasuredForm], effects: Sequence[FormEffect]
) -> None:
    """Print a line for each form of each arm; the report's tables have the rest.

    Args:
        console: Where to.
        forms: A study's forms.
        effects: What each changes.
    """
    from bench.analysis.phone import verdicts_on_accuracy
    from bench.report.tables.phone import busy, machines, refusals

    verdicts = verdicts_on_accuracy(effects)
    arm = None
    for form in forms:
        if form.arm.name != arm:
            arm = form.arm.name
            console.print(f"[bold]{escape(arm)}[/]")
        console.print(_line(form, verdicts.get((arm, form.form), "")), markup=False, soft_wrap=True)
    console.print(
        f"Median of one image on one thread, on no phone but {machines(forms)}; top-1 against the "
        "Keras model. `bench report` shows more.",
        style="dim",
        markup=False,
    )
    for warning in filter(None, (refusals(forms), busy(forms))):
        console.print(warning, style="yellow", markup=False)


def _line(form: MeasuredForm, verdict: str) -> str:
    """A form in a line: size, latency, accuracy, and what it gives up."""
    if form.unsupported:
        return f"  {form.form:<13}ruled out by {form.unsupported}"
    from bench.metrics.catalogue import ACCURACY

    latency, accuracy = form.latency(), form.estimate(ACCURACY.name)
    time = "" if latency is None else f"{1000 * latency.median:.2f} ms"
    top = "" if accuracy is None else f"top-1 {100 * accuracy.mean:.1f} %, "
    return (
        f"  {form.form:<13}{disk_size(form.first.bytes):>9}{time:>12}   {top}"
        f"{100 * form.changed:.1f} % of answers changed: {verdict}"
    )


def _chosen(study: StudyRecord, names: Sequence[str] | None) -> list[str]:
    """The arms that are meant, all without a name.

    Raises:
        BenchError: The study has none of a name.
    """
    from bench.store.find import arm_named

    if not names:
        return [arm.name for arm in study.arms]
    return [arm_named(study, name).name for name in names]


def _with_files(
    study: StudyRecord, tasks: Sequence[PhoneTask], to: Path, *, overwrite: bool
) -> list[PhoneTask]:
    """The tasks, with the files that are to be written; of each arm those of its lowest seed.

    Raises:
        BenchError: One is there already, and was not named to be replaced.
    """
    from bench.report.drawing import file_key
    from bench.store.phone import FORMS
    from bench.train.forms import check_free

    found = []
    for task in tasks:
        key = file_key(study, task.arm)
        files = {form: to / f"{key}.{form}.tflite" for form in FORMS} if task.timed else {}
        for path in files.values():
            check_free(path, overwrite=overwrite)
        found.append(replace(task, files=files))
    return found


def _to_json(
    study: StudyRecord,
    tasks: Sequence[PhoneTask],
    forms: Sequence[MeasuredForm],
    effects: Sequence[FormEffect],
) -> dict[str, Any]:
    """What `--json` prints."""
    files = {
        (task.arm, form): str(path)
        for task in tasks
        for form, path in task.files.items()
        if path.exists()
    }
    measured = {(task.arm, task.seed, form) for task in tasks for form in task.forms}
    return {
        "study": study.name,
        "forms": [
            form.to_json()
            | {
                "file": files.get((form.arm.name, form.form)),
                "measured_now": [
                    s for s in form.records if (form.arm.name, s, form.form) in measured
                ],
                "effects": [
                    effect.to_json()
                    for effect in effects
                    if (effect.of.arm.name, effect.of.form) == (form.arm.name, form.form)
                ],
            }
            for form in forms
        ],
    }
