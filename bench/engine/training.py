"""Trains planned trials, whoever planned them: a run of studies, or a check of stored trials.

Light until something is trained: Ray and Keras are imported only then.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.data.manifest import Manifest
from bench.engine.config import RunOptions, WorkerConfig
from bench.engine.resources import Resources, ResourceSplit
from bench.engine.trial_batches import TrialList
from bench.engine.until_settled import UntilSettledStudy
from bench.errors import BenchError
from bench.store.plan import PlannedTrial, drop_damaged, feature_needs, unprepared
from bench.study.cost import largest_training
from bench.train.arithmetic import check_installed
from bench.train.status import TrialStatus
from bench.tuning.tuned_study import TunedStudy, opened

Phases = Callable[[], Any]
"""Makes a context manager that yields `say(phase, done, total)`."""

GrowingStudy = TunedStudy | UntilSettledStudy
"""A study whose next trials depend on how earlier ones ended."""

TrialsShown = Callable[[int, int, ResourceSplit], Any]
"""Called with (trials to train, trials stored, resources of each); makes a context manager with
`event(trial, status)` and `look(study, trials)`, told of a look and the trials before the next."""


@dataclass(frozen=True)
class TrialGroup:
    """Trials over the same data and in one arithmetic, and what their workers must know.

    Args:
        config: What their workers must know.
        trials: Trials that are known beforehand.
        growing: Studies whose further trials are not known yet.
        unprepared: Whether features or weights are still to be made.
        dropped: Damaged feature shards that were dropped, to be made anew.
        trial_bytes: What its largest trial takes of a GPU's memory; None where it is not known.
    """

    config: WorkerConfig
    trials: Sequence[PlannedTrial]
    growing: Sequence[GrowingStudy]
    unprepared: bool
    dropped: list[str]
    trial_bytes: float | None

    @classmethod
    def over(
        cls,
        manifest: Manifest,
        data_root: Path,
        trials: Sequence[PlannedTrial],
        growing: Sequence[GrowingStudy] = (),
        *,
        arithmetic: str,
        options: RunOptions,
        profile: str,
        log: Path,
    ) -> TrialGroup:
        """A group of trials over some data.

        Features on disk are compared with their checksums; damaged ones are dropped, to be made
        anew. The cache folder is made where it is missing.

        Args:
            manifest: The data.
            data_root: Its folder.
            trials: Trials that are known beforehand.
            growing: Studies over the same data whose further trials are not known yet.
            arithmetic: How they all compute.
            options: The run's options.
            profile: Profile, for the record.
            log: File for what the workers print.
        """
        options = replace(options, results=options.results.resolve(), cache=options.cache.resolve())
        options.cache.mkdir(parents=True, exist_ok=True)
        specs = [trial.spec for trial in trials]
        specs += [spec for study in growing for spec in study.feature_specs()]
        every = feature_needs(specs, manifest, options.cache)
        dropped, needs = drop_damaged(every, manifest, options.cache)
        config = WorkerConfig(
            run=uuid.uuid4().hex[:12],
            options=options,
            data_root=data_root,
            fingerprint=manifest.fingerprint,
            features=tuple(
                (need.backbone, need.backbone.weights_digest, tuple(need.rows.tolist()))
                for need in needs
            ),
            arithmetic=arithmetic,
            log=log.resolve(),
            profile=profile,
            commit=_commit(),
        )
        memory = largest_training(specs, len(manifest.class_names))
        return cls(config, trials, growing, bool(unprepared(needs)), dropped, memory)


def train(
    groups: Sequence[TrialGroup],
    resources: Resources,
    total: int,
    *,
    stored: int = 0,
    phases: Phases,
    trials_shown: TrialsShown,
) -> dict[str, TrialStatus]:
    """Train groups of trials in one Ray session; each trial goes to its group's results folder.

    Args:
        groups: The groups, at least one.
        resources: What may be used.
        total: Trials to train, at most.
        stored: Trials that need no training, for the display.
        phases: Shows the making of features.
        trials_shown: Shows the trials.

    Returns:
        Trial id -> one of `bench.train.status.ENDED`.
    """
    for group in groups:
        check_installed(group.config.arithmetic)
    if any(group.config.arithmetic == "portable" for group in groups):
        _check_portable(resources)
    # Heavy from here on; `session` imports Ray Tune while Ray starts.
    from bench.engine.session import session

    outcomes: dict[str, TrialStatus] = {}
    first = groups[0].config
    growing = [study for group in groups for study in group.growing]
    tuned = [study for study in growing if isinstance(study, TunedStudy)]
    memory = [group.trial_bytes for group in groups]
    largest = None if None in memory else max(filter(None, memory), default=0.0)
    where = (first.options.results, first.log)
    with opened(tuned), session(resources, total, largest, *where) as ray:
        from bench.engine.extraction import extract_features
        from bench.engine.tune import train_sources

        for group in groups:
            if group.unprepared or resources.address:
                with phases() as say:
                    extract_features(group.config, ray, say)
        with trials_shown(total, stored, ray.split_of(first.arithmetic)) as shown:
            for group in groups:
                for study in group.growing:
                    if isinstance(study, TunedStudy):
                        study.found = lambda trial: shown.event(trial, TrialStatus.STORED)
                    else:
                        study.looked = shown.look
                reuse = group.config.options.reuse_compiled
                known = TrialList(group.trials, reuse_compiled=reuse)
                outcomes |= train_sources([known, *group.growing], group.config, ray, shown.event)
    return outcomes


def _check_portable(resources: Resources) -> None:
    """Portable arithmetic is one thread's, on the CPU: more would be asked for in vain."""
    for option, asked in (
        ("--threads", (resources.threads or 1) > 1),
        ("--gpus-per-trial", bool(resources.gpus_per_trial)),
    ):
        if asked:
            raise BenchError(
                f"trials in portable arithmetic use one CPU thread and no GPU, and would ignore "
                f"{option}",
                where="train.arithmetic",
                fix="add `--set train.arithmetic=native`, or leave the option out",
            )


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
