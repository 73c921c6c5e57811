"""What `bench plan`, `bench status` and `bench data check` show: gathered, then printed."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.design.study import profile_settings
from bench.display import duration
from bench.plan import data_label, expected_seconds, feature_needs, planned
from bench.store import Store

if TYPE_CHECKING:
    from bench.data.check import CheckReport
    from bench.run import Request

SHOWN_ARMS = 40
COUNTED_TRIALS = 20_000
"""Up to this many trials are looked up in the store; a larger grid is only sized."""


def plan_overview(request: Request) -> dict[str, Any]:
    """What a run would do, as plain data.

    Raises:
        BenchError: The study or its data is at fault.
    """
    from bench.run import lay_out

    prepared = lay_out(request)
    laid, manifest = prepared.design, prepared.manifest
    store = Store(request.results)
    arms = [arm for arm in laid.arms() if not request.only or arm.name in request.only] if (
        laid.arm_count <= COUNTED_TRIALS
    ) else list(itertools.islice(laid.arms(), SHOWN_ARMS))  # fmt: skip
    total = laid.arm_count * len(laid.seeds)
    overview: dict[str, Any] = {
        "study": laid.study.name,
        "title": laid.study.title,
        "profile": laid.profile,
        "profile_description": profile_settings(laid.profile)["description"],
        "design": laid.study.design,
        "control": laid.control.name,
        "arms": laid.arm_count,
        "seeds": list(laid.seeds),
        "trials": total,
        "data": data_label(manifest) if manifest else "phantom, to be drawn on the first run",
        "stored": None,
        "arms_shown": [{"name": arm.name, "levels": arm.levels} for arm in arms[:SHOWN_ARMS]],
        "features": [],
        "seconds": None,
    }
    if manifest is None or total > COUNTED_TRIALS:
        return overview
    trials = [
        trial
        for trial in planned(laid, manifest, store)
        if not request.only or trial.arm in request.only
    ]
    overview["trials"] = len({trial.id for trial in trials})
    overview["stored"] = len({trial.id for trial in trials if trial.stored})
    for shown in overview["arms_shown"]:
        of_arm = [trial for trial in trials if trial.arm == shown["name"]]
        shown |= {"trials": len(of_arm), "stored": sum(trial.stored for trial in of_arm)}
    needs = feature_needs([arm.spec for arm in arms], manifest, request.cache)
    overview["features"] = [
        {
            "backbone": need.backbone.name,
            "weights": need.backbone.weights,
            "images": len(need.rows),
            "missing": need.missing,
            "bytes_to_write": need.bytes_to_write,
        }
        for need in needs
    ]
    overview["seconds"] = expected_seconds(trials, store)
    return overview


def print_plan(console: Console, overview: dict[str, Any]) -> None:
    """Print `plan_overview` for a person."""
    console.print(f"[bold]{overview['study']}[/]  {escape(overview['title'])}")
    stored = overview["stored"]
    rows = {
        "data": overview["data"],
        "profile": f"{overview['profile']}: {overview['profile_description']}",
        "design": f"{overview['design']}, control: {overview['control']}",
        "arms": f"{overview['arms']:,}",
        "seeds": f"{len(overview['seeds'])}",
        "trials": f"{overview['trials']:,}"
        + (f", {stored:,} in the store, {overview['trials'] - stored:,} to train"
           if stored is not None else ""),
    }  # fmt: skip
    for need in overview["features"]:
        rows[f"features of {need['backbone']}"] = (
            f"weights {need['weights']}: {need['images']:,} images shared by all "
            f"trials, {need['missing']:,} to extract, {need['bytes_to_write'] / 1e6:,.0f} MB"
        )
    if overview["seconds"] is not None:
        rows["time"] = f"about {duration(overview['seconds'])} of training, one trial after another"
    elif stored is not None and stored < overview["trials"]:
        rows["time"] = "not known: no finished trial in the store is like these"
    grid = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        grid.add_row(f"  {name}", escape(value))
    console.print(grid)
    table = Table("arm", box=None, padding=(0, 2), header_style="bold")
    if stored is not None:
        table.add_column("in the store", justify="right")
    for arm in overview["arms_shown"]:
        done = [f"{arm['stored']} of {arm['trials']}"] if "trials" in arm else []
        table.add_row(escape(arm["name"]), *done)
    console.print(table)
    if overview["arms"] > len(overview["arms_shown"]):
        console.print(f"  ... and {overview['arms'] - len(overview['arms_shown']):,} more arms")


def status_overview(store: Store) -> list[dict[str, Any]]:
    """Each study in a store with its trials done, failed and missing, as plain data."""
    overview = []
    for study in store.studies():
        trials = {
            identity: f"{arm['name']}, seed {seed}"
            for arm in study["arms"]
            for seed, identity in arm["trials"].items()
        }
        done = {identity for identity in trials if store.has(identity)}
        failures = {i: store.failures(i) for i in trials if i not in done}
        failed = {identity: found[-1]["error"] for identity, found in failures.items() if found}
        overview.append(
            {
                "study": study["name"],
                "profile": study["profile"],
                "data": study["data"]["label"],
                "trials": len(trials),
                "done": len(done),
                "failed": len(failed),
                "missing": len(trials) - len(done) - len(failed),
                "errors": [
                    {"trial": identity, "name": trials[identity], "error": error}
                    for identity, error in failed.items()
                ],
            }
        )
    return overview


def print_status(console: Console, overview: list[dict[str, Any]], results: Path) -> None:
    """Print `status_overview` for a person."""
    if not overview:
        console.print(f"No study in {results} yet. Try: bench run ablations/mask_gate.yaml")
        return
    columns = ("study", "profile", "data", "trials", "done", "failed", "missing")
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for name in columns:
        numeric = name in ("trials", "done", "failed", "missing")
        table.add_column(name, justify="right" if numeric else "left")
    for study in overview:
        table.add_row(*(escape(str(study[name])) for name in columns))
    console.print(table)
    for study in overview:
        for error in study["errors"]:
            console.print(f"[red]failed[/] {escape(error['name'])}: {escape(error['error'])}")
            console.print(f"       {results / 'failures' / error['trial']}")


def print_check(console: Console, found: CheckReport) -> None:
    """Print a data check for a person."""
    for title, headers, rows in found.tables():
        table = Table(box=None, padding=(0, 2), header_style="bold", title_justify="left")
        table.title = title
        for index, header in enumerate(headers):
            table.add_column(header, justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        console.print(table)
        console.print()
    if found.harmful:
        console.print("[bold red]Training on this data as it stands would be wrong.[/]")
    else:
        console.print("[green]Nothing here would make training wrong.[/]")
