"""A whole run, start to end: data, plan, features, trials, and what became of them.

Light until there is something to train: Ray and Keras are imported only then.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench
from bench.data.manifest import Manifest
from bench.data.phantom import draw_phantom, drawn_as, is_drawn
from bench.data.settings import PhantomSource
from bench.data.sources import open_source
from bench.design.design import Design
from bench.design.lay import lay_study
from bench.design.study import load_study
from bench.engine.resources import Resources, Shares
from bench.errors import BenchError
from bench.plan import (
    PlannedTrial,
    drop_damaged,
    feature_needs,
    planned,
    study_record,
    unprepared,
)
from bench.store import Store
from bench.yaml_source import nearest

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Args:
        study: The study's YAML.
        data: Folder of the data; None for the phantom.
        profile: `smoke`, `laptop` or `paper`; None for `paper` with data and `laptop` without.
        results: Results folder.
        cache: Cache folder.
        only: Names of the only arms to run; empty for all.
        limit: Most trials to run; None for all.
        rerun: Train again what is in the store, and replace it.
        settings: Dotted path -> value, above the study's own.
    """

    study: Path
    data: Path | None = None
    profile: str | None = None
    results: Path = Path("results")
    cache: Path = Path(".cache")
    only: tuple[str, ...] = ()
    limit: int | None = None
    rerun: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A study laid out over its data.

    Args:
        design: The study under its profile.
        manifest: The data; None for a phantom that is not drawn yet.
        data_root: Where the data lies, or will.
    """

    design: Design
    manifest: Manifest | None
    data_root: Path


@dataclass(frozen=True)
class Result:
    """What became of a run.

    Args:
        study: Name of the study.
        stored: Trials that were in the store already.
        finished: Trials trained now.
        failed: Names of the trials that failed.
        held_back: Trials left for later by `limit`.
        repaired: Damaged feature shards that were extracted anew.
        seconds: How long it took.
    """

    study: str
    stored: int
    finished: int
    failed: tuple[str, ...]
    held_back: int
    repaired: tuple[str, ...]
    seconds: float


def lay_out(request: Request, *, draw: Say | None = None) -> Prepared:
    """Read the study and open its data.

    Args:
        request: What the user asked for.
        draw: Draw the phantom if it is not there, telling this of the progress; None leaves it
            undrawn, for a plan.

    Raises:
        BenchError: With file, line and column where the study is at fault.
    """
    study, file = load_study(request.study)
    profile = request.profile or ("paper" if request.data else "laptop")
    manifest = None
    data_source: dict[str, Any] | None = None
    if request.data is not None:
        manifest = open_source(request.data, cache=request.cache, progress=_named(draw, "sizes"))
        data_source = {"kind": manifest.source}
        if manifest.source == "phantom":
            data_source |= drawn_as(request.data)
    laid = lay_study(
        study, file, profile=profile, data_source=data_source, settings=request.settings
    )
    if request.data is not None:
        assert manifest is not None
        return Prepared(laid, manifest, request.data.resolve())
    root = _phantom_root(laid, request.cache, request.study)
    source = laid.control.spec.data.source
    assert isinstance(source, PhantomSource)
    if draw is not None:
        root.parent.mkdir(parents=True, exist_ok=True)
        draw_phantom(root, images=source.images, seed=source.seed, progress=_named(draw, "drawing"))
    if is_drawn(root, images=source.images, seed=source.seed):
        manifest = open_source(root, cache=request.cache)
    return Prepared(laid, manifest, root.resolve())


def run(
    request: Request,
    resources: Resources,
    *,
    phases: Callable[[], Any],
    trials_shown: Callable[[int, int, dict[str, str], Shares], Any],
) -> Result:
    """Train whatever of a study is not in the store.

    Args:
        request: What the user asked for.
        resources: What may be used.
        phases: Makes a context manager that yields `say(phase, done, total)`.
        trials_shown: Called with (trials to run, trials stored, names by id, shares); makes a
            context manager with `event(trial id, what)`.

    Raises:
        BenchError: Something in the study, the data or the weights is not as it must be.
    """
    begun = time.monotonic()
    with phases() as say:
        prepared = lay_out(request, draw=say)
    manifest = prepared.manifest
    assert manifest is not None
    store = Store(request.results)
    wanted = _chosen(prepared.design, request, manifest, store)
    pending = [trial for trial in wanted if request.rerun or not trial.stored]
    store.write_study(
        prepared.design.study.name,
        study_record(
            prepared.design,
            planned(prepared.design, manifest, store),
            manifest,
            bench.__version__,
        ),
    )
    held_back = max(len(pending) - request.limit, 0) if request.limit is not None else 0
    pending = pending[: request.limit] if request.limit is not None else pending
    stored = len(wanted) - len(pending) - held_back
    outcomes: dict[str, str] = {}
    repaired: list[str] = []
    names = {trial.id: f"{trial.arm}, seed {trial.seed}" for trial in pending}
    if pending:
        outcomes, repaired = _engine(
            request, resources, prepared, pending, stored, names, phases, trials_shown
        )
    return Result(
        study=prepared.design.study.name,
        stored=stored,
        finished=sum(outcome == "finished" for outcome in outcomes.values()),
        failed=tuple(names[i] for i in names if pending and outcomes.get(i) != "finished"),
        held_back=held_back,
        repaired=tuple(repaired),
        seconds=time.monotonic() - begun,
    )


def _engine(
    request: Request,
    resources: Resources,
    prepared: Prepared,
    pending: list[PlannedTrial],
    stored: int,
    names: dict[str, str],
    phases: Callable[[], Any],
    trials_shown: Callable[[int, int, dict[str, str], Shares], Any],
) -> tuple[dict[str, str], list[str]]:
    assert prepared.manifest is not None
    manifest, specs = prepared.manifest, [trial.spec for trial in pending]
    repaired = drop_damaged(feature_needs(specs, manifest, request.cache), manifest, request.cache)
    needs = unprepared(feature_needs(specs, manifest, request.cache), request.cache)
    from bench.engine.tune import cluster, extract_features, run_trials
    from bench.engine.worker import Job

    request.cache.mkdir(parents=True, exist_ok=True)
    job = Job(
        data=prepared.data_root,
        cache=request.cache.resolve(),
        results=request.results.resolve(),
        log=(
            request.results / "logs" / f"{prepared.design.study.name}.{os.getpid()}.log"
        ).resolve(),
        profile=prepared.design.profile,
        replace=request.rerun,
        commit=_commit(),
    )
    with cluster(resources, len(pending), job.log) as shares:
        if needs:
            with phases() as say:
                extract_features(needs, job, shares, say)
        with trials_shown(len(pending), stored, names, shares) as shown:
            return run_trials(pending, job, shares, shown.event), repaired


def _commit() -> str | None:
    """The commit of the checkout that the bench runs from, `+` where files differ from it."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        head, changed = (
            subprocess.run(
                ["git", *words], cwd=folder, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "bench"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or not its owner: the version stands alone
    return head + ("+" if changed else "")


def check_only(laid: Design, request: Request) -> None:
    """Make sure that every arm named by `--only` is in the design.

    Raises:
        BenchError: One is not.
    """
    if not request.only:
        return
    known = [arm.name for arm in laid.arms()]
    for name in request.only:
        if name not in known:
            meant = nearest(name, known)
            raise BenchError(
                f"the study has no arm `{name}`",
                where=str(request.study),
                fix=f"did you mean `{meant}`?" if meant else f"its arms: {'; '.join(known[:20])}",
            )


def _chosen(laid: Design, request: Request, manifest: Manifest, store: Store) -> list[PlannedTrial]:
    check_only(laid, request)
    chosen: dict[str, PlannedTrial] = {}
    for trial in planned(laid, manifest, store):
        if not request.only or trial.arm in request.only:
            chosen.setdefault(trial.id, trial)
    return list(chosen.values())


def _phantom_root(laid: Design, cache: Path, study: Path) -> Path:
    sources = {arm.spec.data.source for arm in itertools.islice(laid.arms(), 1000)}
    other = next((source for source in sources if not isinstance(source, PhantomSource)), None)
    if other is not None:
        raise BenchError(
            f"the study asks for {other.kind} data, and no folder was given",
            where=str(study),
            fix="add `--data DIR`",
        )
    if len(sources) > 1:
        raise BenchError(
            "the arms ask for different phantoms; a run has one data source",
            where=str(study),
            fix="set data.source in `base`, and run the study once for each phantom",
        )
    source = next(iter(sources))
    assert isinstance(source, PhantomSource)
    return cache / "phantom" / f"{source.images}-images-seed-{source.seed}"


def _named(say: Say | None, phase: str) -> Callable[[int, int], None] | None:
    return None if say is None else lambda done, total: say(phase, done, total)
