"""Trains planned trials, whoever planned them: a run of studies, or a check of stored trials.

Light until something is trained: Ray and Keras are imported only then.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.manifest import Manifest
from bench.engine.config import WorkerConfig
from bench.engine.resources import Resources, ResourceSplit
from bench.store.plan import PlannedTrial, drop_damaged, feature_needs, unprepared
from bench.tuning.tuned_study import TunedStudy, opened

Phases = Callable[[], Any]
"""Makes a context manager that yields `say(phase, done, total)`."""

TrialsShown = Callable[[int, int, dict[str, str], ResourceSplit], Any]
"""Called with (trials to train, trials stored, names by id, shares); makes a context manager with
`event(trial id, what)`."""


@dataclass(frozen=True)
class TrialGroup:
    """Trials over the same data.

    Args:
        config: What holds for all of them (`bench.engine.config.WorkerConfig`).
        trials: The trials.
        sources: Tuned studies, which bring further trials as they go.
        unprepared: Whether features or weights are still to be made.
        dropped: Damaged feature shards that were dropped, to be made anew.
    """

    config: WorkerConfig
    trials: list[PlannedTrial]
    sources: list[TunedStudy]
    unprepared: bool
    dropped: list[str]


def batch_of(
    trials: list[PlannedTrial],
    manifest: Manifest,
    data: Path,
    *,
    cache: Path,
    results: Path,
    log: Path,
    profile: str,
    sources: Sequence[TunedStudy] = (),
    **options: Any,
) -> TrialGroup:
    """Trials over the same data, and what their workers must know.

    Features on disk are compared with their checksums; damaged ones are dropped, to be made anew.

    Args:
        trials: The trials.
        manifest: Their data.
        data: Where it lies.
        cache: Cache folder; made where it is missing.
        results: Results folder.
        log: File for what the workers print.
        profile: Profile, for the record.
        sources: Tuned studies over the same data.
        options: More fields of `bench.engine.config.WorkerConfig`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    specs = [trial.spec for trial in trials]
    specs += [spec for source in sources for spec in source.feature_specs()]
    every = feature_needs(specs, manifest, cache)
    dropped, needs = drop_damaged(every, manifest, cache)
    config = WorkerConfig(
        run=uuid.uuid4().hex[:12],
        data=data,
        fingerprint=manifest.fingerprint,
        needs=tuple((need.backbone, tuple(need.rows.tolist())) for need in needs),
        cache=cache.resolve(),
        results=results.resolve(),
        log=log.resolve(),
        profile=profile,
        commit=_commit(),
        **options,
    )
    return TrialGroup(config, trials, list(sources), bool(unprepared(needs, cache)), dropped)


def train(
    batches: Sequence[TrialGroup],
    resources: Resources,
    *,
    phases: Phases,
    trials_shown: TrialsShown,
    stored: int = 0,
    limit: int | None = None,
) -> dict[str, str]:
    """Train batches of trials in one Ray session; each trial goes to its batch's results folder.

    Args:
        batches: The batches, at least one.
        resources: What may be used.
        phases: Shows the making of features.
        trials_shown: Shows the trials.
        stored: Trials that need no training, for the display.
        limit: Most trials to train, those of tuned studies included; None for all.

    Returns:
        Trial id -> `finished`, `stored`, `diverged` or `failed`.
    """
    # Heavy from here on; `session` imports Ray Tune while Ray starts.
    from bench.engine.session import session

    names = {trial.id: trial.name for batch in batches for trial in batch.trials}
    outcomes: dict[str, str] = {}
    first = batches[0].config
    tuned = [source for batch in batches for source in batch.sources]
    total, room = len(names) + sum(source.left for source in tuned), None
    if limit is not None:
        total, room = min(total, limit), limit - len(names)
    with opened(tuned), session(resources, total, first.results, first.log) as ray:
        from bench.engine.scheduler import run_with_sources
        from bench.engine.tune import extract_features, run_trials

        for batch in batches:
            if batch.unprepared or resources.address:
                with phases() as say:
                    extract_features(batch.config, ray, say)
        with trials_shown(total, stored, names, ray.shares) as shown:
            for batch in batches:
                if not batch.sources:
                    outcomes |= run_trials(batch.trials, batch.config, ray, shown.event)
                    continue
                for source in batch.sources:
                    source.found = lambda identity: shown.event(identity, "stored")
                outcomes |= run_with_sources(
                    batch.trials, batch.sources, batch.config, ray, shown.event, names, room
                )
    return outcomes


def _commit() -> str | None:
    """The commit of the checkout that the bench runs from, `+` where files differ from it."""
    folder = Path(__file__).resolve().parents[2]
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
