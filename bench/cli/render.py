"""What `bench plan`, `bench status` and `bench data check` show: gathered, then printed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from bench.data.attributes import data_identity
from bench.data.issues import printable
from bench.report.units import disk_size, duration, operations
from bench.store.plan import FeatureNeed, PlannedTrial, cost_of, data_label, feature_needs
from bench.store.studies import searched_trials
from bench.store.trials import FailureKind, Store
from bench.study.space import feature_specs
from bench.study.study import profile_settings
from bench.study.trial import trial_id
from bench.systems.ledger import LedgerRow, fashionnet_decisions, ledger
from bench.tuning.winners import expected_trials, search_plans, tuning_cost

if TYPE_CHECKING:
    from bench.data.check import CheckReport
    from bench.engine.request import ResolvedStudy, StudyRequest
    from bench.engine.verify import Verification
    from bench.paper.audit import Finding
    from bench.store.fsck.check import FsckReport

SHOWN_ARMS = 40
COUNTED_TRIALS = 20_000
"""Up to this many trials are looked up in the store; a larger grid is only sized."""
SAMPLED_ARMS = 300
"""Arms that the cost of a larger grid is estimated from."""


def plan_overview(request: StudyRequest) -> dict[str, Any]:
    """What a run would do, as plain data.

    Raises:
        BenchError: The study or its data is at fault.
    """
    from bench.engine.request import check_only, resolve

    prepared = resolve(request)
    design, manifest = prepared.design, prepared.manifest
    store = Store(request.results)
    check_only(design, request)
    total = design.arm_count * len(design.seeds)
    whole = total <= COUNTED_TRIALS
    arms = list(design.sampled_arms(COUNTED_TRIALS if whole else SAMPLED_ARMS))
    if request.only:
        arms = [arm for arm in arms if arm.name in request.only]
    overview: dict[str, Any] = {
        "study": design.study.name,
        "title": design.study.title,
        "profile": design.profile,
        "profile_description": profile_settings(design.profile)["description"],
        "design": design.kind,
        "resolution": design.resolution,
        "grid": design.grid_size,
        "control": design.control.name,
        "arms": len(arms) if whole else design.arm_count,
        "seeds": list(design.seeds),
        "trials": len(arms) * len(design.seeds) if whole else total,
        "data": data_label(manifest) if manifest else "phantom, to be drawn on the first run",
        "stored": None,
        "arms_shown": [{"name": arm.name, "levels": arm.levels} for arm in arms[:SHOWN_ARMS]],
        "features": [],
        "cost": None,
        "tuning": None,
    }
    if design.tuning is not None:
        return _plan_tuned(request, prepared, overview, store)
    if manifest is None:
        return overview
    trials = [
        PlannedTrial(
            identity := trial_id(spec, data_identity(spec, manifest)),
            arm.name,
            seed,
            spec,
            store.has(identity),
        )
        for arm in arms
        for seed in design.seeds
        for spec in (arm.trial(seed),)
    ]
    needs = feature_needs([arm.spec for arm in arms], manifest, request.cache)
    overview["features"] = _features(needs)
    distinct = list({trial.id: trial for trial in trials}.values())
    cost = asdict(cost_of(distinct, needs, manifest, store))
    if whole:
        overview["trials"] = len(distinct)
        overview["stored"] = sum(trial.stored for trial in distinct)
        for shown in overview["arms_shown"]:
            of_arm = [trial for trial in trials if trial.arm == shown["name"]]
            shown |= {"trials": len(of_arm), "stored": sum(trial.stored for trial in of_arm)}
    else:
        # The features are those of the sampled arms; the trials' part grows with their number.
        scale = total / len(trials)
        for name in ("trial_flops", "trial_bytes", "seconds"):
            cost[name] = None if cost[name] is None else cost[name] * scale
        cost["sampled"] = len(trials)
    return overview | {"cost": cost}


def _features(needs: Sequence[FeatureNeed]) -> list[dict[str, Any]]:
    return [
        {
            "backbone": need.backbone.name,
            "weights": need.backbone.weights,
            "trained": not need.backbone.frozen,
            "images": len(need.rows),
            "missing": need.missing,
            "bytes_to_write": need.bytes_to_write,
        }
        for need in needs
    ]


def _plan_tuned(
    request: StudyRequest, prepared: ResolvedStudy, overview: dict[str, Any], store: Store
) -> dict[str, Any]:
    """The plan of a tuned study, whose settings are not known beforehand but whose number is."""
    design, manifest = prepared.design, prepared.manifest
    plans = [
        plan
        for plan in search_plans(design, manifest)
        if not request.only or plan.arm in request.only
    ]
    cost = tuning_cost(design, plans, store)
    overview["tuning"] = asdict(cost)
    overview["trials"] = cost.tuning_trials + cost.winner_trials
    if manifest is None:
        return overview
    left = expected_trials(design, plans, manifest, store)
    specs = [spec for plan in plans for spec in feature_specs(plan.tuning, plan.spec)]
    needs = feature_needs(specs, manifest, request.cache)
    missing = sum(not trial.stored for trial in left)
    return overview | {
        "stored": overview["trials"] - missing,
        "features": _features(needs),
        "cost": asdict(cost_of(left, needs, manifest, store)) | {"sampled": None},
    }


def print_plan(console: Console, overview: dict[str, Any]) -> None:
    """Print `plan_overview` for a person."""
    console.print(f"[bold]{overview['study']}[/]  {escape(overview['title'])}")
    grid = Table.grid(padding=(0, 2))
    for name, value in _plan_rows(overview):
        grid.add_row(f"  {name}", escape(value))
    console.print(grid)
    table = Table("arm", box=None, padding=(0, 2), header_style="bold")
    if any("trials" in arm for arm in overview["arms_shown"]):
        table.add_column("in the store", justify="right")
    for arm in overview["arms_shown"]:
        done = [f"{arm['stored']} of {arm['trials']}"] if "trials" in arm else []
        table.add_row(escape(arm["name"]), *done)
    console.print(table)
    if overview["arms"] > len(overview["arms_shown"]):
        console.print(f"  ... and {overview['arms'] - len(overview['arms_shown']):,} more arms")


def _plan_rows(overview: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "data", overview["data"]
    yield "profile", f"{overview['profile']}: {overview['profile_description']}"
    resolution = f", resolution {overview['resolution']}" if overview["resolution"] else ""
    yield "design", f"{overview['design']}{resolution}, control: {overview['control']}"
    of_grid = ""
    if overview["design"] in ("fractional", "random"):
        of_grid = f" of a grid of {overview['grid']:,} cells"
    yield "arms", f"{overview['arms']:,}{of_grid}"
    yield "seeds", f"{len(overview['seeds'])}"
    if overview["tuning"] is not None:
        yield "tuning", _tuning_words(overview["tuning"])
    stored = overview["stored"]
    counted = ""
    if stored is not None:
        counted = f", {stored:,} in the store, {overview['trials'] - stored:,} to train"
    yield "trials", f"{overview['trials']:,}{counted}"
    for need in overview["features"]:
        what = "pixels for" if need["trained"] else "features of"
        yield (
            f"{what} {need['backbone']}",
            f"weights {need['weights']}: {need['images']:,} images shared by all trials, "
            f"{need['missing']:,} to extract, {disk_size(need['bytes_to_write'])}",
        )
    cost = overview["cost"]
    if cost is None:
        return
    sampled = f" (from {cost['sampled']:,} trials drawn at random)" if cost["sampled"] else ""
    yield (
        "operations",
        f"{operations(cost['trial_flops'])} of training, {operations(cost['feature_flops'])} of "
        f"features{sampled}",
    )
    yield (
        "disk",
        f"{disk_size(cost['feature_bytes'])} of features, "
        f"{disk_size(cost['trial_bytes'])} of records",
    )
    if stored == overview["trials"]:
        return
    if cost["seconds"] is None:
        yield "time", "not known: no finished trial in the store is like these"
    else:
        yield (
            "time",
            f"about {duration(cost['seconds'])} of training, one trial after another, at the rate "
            "of those in the store",
        )


def _tuning_words(tuning: dict[str, Any]) -> str:
    each = [f"{tuning[what]:,} {what}" for what in ("proposals", "epochs") if tuning[what]]
    return (
        f"{tuning['algorithm']}, {' or '.join(each)} an arm, judged by {tuning['metric']}: at most "
        f"{tuning['tuning_trials']:,} trials, {tuning['answered']:,} proposals answered; then "
        f"{tuning['winner_trials']:,} trials of the winners"
    )


def status_overview(store: Store) -> list[dict[str, Any]]:
    """Each study in a store with its trials done, diverged, failed and missing, as plain data."""
    overview = []
    for study in store.studies():
        trials = searched_trials(store, study) | study.trial_names()
        done = {identity for identity in trials if store.has(identity)}
        failures = {i: store.failures(i) for i in trials if i not in done}
        ended = {identity: found[-1] for identity, found in failures.items() if found}
        diverged = sum(failure.get("kind") == FailureKind.DIVERGED for failure in ended.values())
        overview.append(
            {
                "study": study.name,
                "profile": study.profile,
                "data": study.data.label,
                "trials": len(trials),
                "done": len(done),
                "diverged": diverged,
                "failed": len(ended) - diverged,
                "missing": len(trials) - len(done) - len(ended),
                "errors": [
                    {
                        "trial": identity,
                        "name": trials[identity],
                        "kind": failure.get("kind", FailureKind.CRASHED),
                        "error": failure["error"],
                    }
                    for identity, failure in ended.items()
                ],
            }
        )
    return overview


def print_status(console: Console, overview: list[dict[str, Any]], results: Path) -> None:
    """Print `status_overview` for a person."""
    if not overview:
        console.print(f"No study in {results} yet. Try: bench run ablations/mask_gate.yaml")
        return
    columns = ("study", "profile", "trials", "done", "diverged", "failed", "missing")
    for data in dict.fromkeys(study["data"] for study in overview):
        table = Table(box=None, padding=(0, 2), header_style="bold")
        for name in columns:
            numeric = name not in ("study", "profile")
            table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
        for study in overview:
            if study["data"] == data:
                table.add_row(*(escape(str(study[name])) for name in columns))
        console.print(f"[dim]Data: {escape(data)}[/]")
        console.print(table)
    for study in overview:
        for error in study["errors"]:
            colour = "yellow" if error["kind"] == FailureKind.DIVERGED else "red"
            said = escape(f"{error['name']}: {error['error']}")
            console.print(f"[{colour}]{escape(error['kind'])}[/] {said}")
            console.print(f"       {escape(str(results / 'failures' / error['trial']))}")


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


def print_fsck(console: Console, report: FsckReport) -> None:
    """Print what `bench fsck` found for a person."""
    for one in report.found:
        console.print(f"[red]{one.kind}[/] {escape(printable(one.path))}: ", end="")
        console.print(escape(printable(one.what)))
        if one.repair is not None:
            console.print(f"    {'repaired' if one.repaired else 'with --repair'}: {one.repair}")
    if report.retrain:
        console.print("\n[bold]To be trained again[/] (`bench run` of their studies does it):")
        for name in report.retrain[:SHOWN_ARMS]:
            console.print(f"  {escape(printable(name))}")
        if len(report.retrain) > SHOWN_ARMS:
            console.print(f"  ... and {len(report.retrain) - SHOWN_ARMS:,} more")
    if report.without_checksums:
        console.print(
            f"{report.without_checksums:,} trials are from before there were checksums: they can "
            "be read, and no more is known of them."
        )
    number = len(report.found)
    found = f"[red]{number:,} found[/]" if number else "[green]nothing found[/]"
    console.print(f"{report.trials:,} trials looked over: {found}")


def print_verified(console: Console, found: Sequence[Verification]) -> None:
    """Print how stored trials compare with the same trained again."""
    colours = {"identical": "green", "within tolerance": "green", "different": "red"}
    for one in found:
        colour = colours.get(one.verdict, "yellow")
        said = f"[{colour}]{one.verdict}[/] {escape(printable(one.name or one.trial))}"
        if one.deviation > 0:
            said += f": a probability differs by {one.deviation:.2g}"
        console.print(said + (f" ({escape(printable(one.where))})" if one.where else ""))
        for name, (then, now) in one.changed.items():
            was, is_now = (escape(printable(str(value))) for value in (then, now))
            console.print(f"    {name}: {was} then, {is_now} now", soft_wrap=True)
    counts = Counter(one.verdict for one in found)
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def print_ledger(console: Console) -> None:
    """Print the ledger for a person, then what FashionNet's descriptions leave open."""
    _print_rows(console, ledger())
    console.print("\nA setting without `as released` is the same in as_published and as_released.")
    console.print("\n[bold]FashionNet[/]: what its descriptions leave open\n")
    _print_rows(console, fashionnet_decisions())


def _print_rows(console: Console, rows: Sequence[LedgerRow]) -> None:
    for row in rows:
        console.print(f"[bold]{row.row:>2}  {escape(row.decision)}[/]")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_row("    paper", escape(row.paper))
        if row.code != "–":
            code = f"{row.code} (unverified)" if row.unverified else row.code
            grid.add_row("    released code", escape(code))
        grid.add_row("    default", escape(row.default))
        for path in row.settings:
            released = json.dumps(row.released.get(path))
            changed = f", as released: {released}" if path in row.released else ""
            grid.add_row("    setting", escape(f"{path}{changed}"))
        console.print(grid)


AUDIT_STYLES = {"impossible": "bold red", "suspicious": "yellow", "consistent": "green"}


def print_audit(console: Console, paper: str, findings: Sequence[Finding]) -> None:
    """Print an audit for a person: what asks for an explanation first."""
    console.print(f"[bold]{escape(paper)}[/]\n")
    order = ("impossible", "suspicious", "cannot tell", "possible", "consistent")
    for finding in sorted(findings, key=lambda found: order.index(found.verdict)):
        style = AUDIT_STYLES.get(finding.verdict, "")
        about = ", ".join(part for part in (finding.row, finding.metric) if part)
        console.print(
            f"[{style}]{finding.verdict}[/]" if style else finding.verdict,
            f"[bold]{escape(finding.check)}[/]",
            escape(f"({finding.source}) {about}"),
        )
        console.print(Padding(escape(finding.calculation), (0, 0, 0, 4)))
    counts = Counter(str(finding.verdict) for finding in findings)
    shown = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict])
    console.print(f"\n{len(findings)} findings: {shown}")
