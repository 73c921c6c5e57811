"""Stored trials trained again, from the data and the settings that they were trained from."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.data.attributes import data_identity
from bench.data.manifest import Manifest
from bench.data.phantoms import generate_once, phantom_folder
from bench.data.sources import open_source
from bench.engine.config import RunOptions
from bench.engine.resources import Resources
from bench.engine.training import Phases, TrialGroup, TrialsShown, train
from bench.errors import BenchError
from bench.store.agreement import Verdict, Verification
from bench.store.plan import PlannedTrial
from bench.store.record import Epoch, TrialRecord
from bench.store.trials import Store
from bench.study.settings.data import PhantomSource
from bench.study.trial import SEMANTICS, TrialSpec, trial_id


@dataclass(frozen=True)
class Retraining:
    """How stored trials are trained again.

    Args:
        cache: Cache folder.
        resources: What may be used; its `threads` are each record's own, since their number
            changes the rounding.
        phases: Shows the making of features.
        trials_shown: Shows the trials.
        data: Folder of the data; None for where the studies say it is, or the phantom.
    """

    cache: Path
    resources: Resources
    phases: Phases
    trials_shown: TrialsShown
    data: Path | None = None


@dataclass(frozen=True)
class _Origin:
    """What a trial is trained again from: its data, its settings, and its number of threads."""

    manifest: Manifest
    root: Path
    threads: int
    planned: PlannedTrial


def train_again(
    store: Store,
    records: Mapping[str, TrialRecord],
    into: Store,
    how: Retraining,
    keep: Epoch | None = None,
) -> dict[str, Verification]:
    """Train stored trials again, into another store.

    Args:
        store: The store that they are from.
        records: Identity -> record.
        into: Where to put them; whatever failed has its failures there.
        how: How they are trained.
        keep: The epoch whose weights are kept with them; None for none.

    Returns:
        Identity -> why it could not be trained again, of those that could not.

    Raises:
        BenchError: The data of one is missing.
    """
    names, roots = named(store)
    refused: dict[str, Verification] = {}
    origins: list[_Origin] = []
    open_data = functools.cache(functools.partial(open_source, cache=how.cache))
    for trial, record in records.items():
        spec = _spec_of(record)
        if spec is None:
            refused[trial] = not_compared(trial, "this bench cannot read its settings")
            continue
        root = _data_of(trial, spec, how.data or roots.get(trial), how)
        origin = _origin(record, spec, names.get(trial, trial), root, open_data(root))
        if isinstance(origin, _Origin):
            origins.append(replace(origin, planned=replace(origin.planned, keep=keep)))
        else:
            refused[trial] = origin
    for group in _trained_alike(origins):
        _train_group(group, store, into, how)
    return refused


def _origin(
    record: TrialRecord, spec: TrialSpec, name: str, root: Path, manifest: Manifest
) -> _Origin | Verification:
    """What a stored trial is trained again from, or why it cannot be."""
    if trial_id(spec, data_identity(spec, manifest)) != record.id:
        changed = _changed_identity(record, manifest)
        why = "it would be another trial now" if changed else "its settings mean another trial"
        return replace(not_compared(record.id, why), changed=changed)
    planned = PlannedTrial(record.id, name, spec.seed, spec, stored=False)
    return _Origin(manifest, root, int(record.environment.get("threads") or 1), planned)


def _trained_alike(origins: Sequence[_Origin]) -> list[list[_Origin]]:
    """Trials by data, threads and arithmetic."""
    groups: dict[tuple[Path, int, str], list[_Origin]] = {}
    for origin in origins:
        alike = (origin.root, origin.threads, origin.planned.spec.arithmetic or "native")
        groups.setdefault(alike, []).append(origin)
    return list(groups.values())


def _train_group(group: Sequence[_Origin], store: Store, into: Store, how: Retraining) -> None:
    one = group[0]
    trials = TrialGroup.over(
        one.manifest,
        one.root.resolve(),
        [origin.planned for origin in group],
        arithmetic=one.planned.spec.arithmetic or "native",
        options=RunOptions(results=into.root, cache=how.cache),
        profile="verify",
        log=store.root / "logs" / f"verify.{os.getpid()}.log",
    )
    threads = replace(how.resources, threads=one.threads)
    train([trials], threads, len(group), phases=how.phases, trials_shown=how.trials_shown)


def named(store: Store) -> tuple[dict[str, str], dict[str, Path]]:
    """Names of trials, and folders of their data, by the studies' records."""
    names: dict[str, str] = {}
    roots: dict[str, Path] = {}
    for study in store.studies():
        for trial, name in study.trial_names().items():
            names.setdefault(trial, f"{study.name}: {name}")
            if study.data.root is not None:
                roots.setdefault(trial, Path(study.data.root))
    return names, roots


def data_of(store: Store, record: TrialRecord, how: Retraining) -> tuple[TrialSpec, Path]:
    """A stored trial's settings and the folder of its data; a phantom is generated if missing.

    Args:
        store: The store that it is from.
        record: The trial.
        how: Says where the data is, and shows its making.

    Raises:
        BenchError: This bench cannot read its settings, or the data is missing.
    """
    spec = _spec_of(record)
    if spec is None:
        raise BenchError(
            "this bench cannot read its settings",
            where=f"trial {record.id}",
            fix=f"use the bench that trained it, {record.environment.get('bench')}",
        )
    return spec, _data_of(record.id, spec, how.data or named(store)[1].get(record.id), how)


def _spec_of(record: TrialRecord) -> TrialSpec | None:
    try:
        return TrialSpec.model_validate(record.spec)
    except ValidationError:
        return None


def _data_of(trial: str, spec: TrialSpec, root: Path | None, how: Retraining) -> Path:
    """Folder of a trial's data; a phantom is generated where it is missing."""
    if root is not None and root.is_dir():
        return root
    source = spec.data.source
    if isinstance(source, PhantomSource):
        root = how.cache / phantom_folder(source)
        with how.phases() as say:
            return generate_once(
                source, root, how.cache, lambda done, total: say("generating", done, total)
            )
    raise BenchError(
        f"the trial's data is not there any more: {root}"
        if root
        else "nothing says where its data lay",
        where=f"trial {trial}",
        fix="add `--data DIR`",
    )


def _changed_identity(record: TrialRecord, manifest: Manifest) -> dict[str, tuple[Any, Any]]:
    then = record.environment.get("semantics")
    pairs = {
        "data": (record.data["fingerprint"], manifest.fingerprint),
        "semantics": (then, SEMANTICS),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def not_compared(trial: str, why: str) -> Verification:
    """A trial that there is nothing to compare with, and why."""
    return Verification(trial, "", Verdict.NOT_COMPARED, float("nan"), why, {})
