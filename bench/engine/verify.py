"""Stored trials trained again and compared: is what is stored what happens?"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.data.attributes import data_identity
from bench.data.manifest import Manifest
from bench.data.phantom import generate_phantom_once, phantom_folder
from bench.data.sources import open_source
from bench.engine.config import RunOptions
from bench.engine.resources import Resources
from bench.engine.training import Phases, TrialGroup, TrialsShown, train
from bench.errors import BenchError
from bench.store.agreement import TOLERANCE, Verdict, Verification, compare
from bench.store.plan import PlannedTrial
from bench.store.record import TrialRecord
from bench.store.trials import Store
from bench.study.settings.data import PhantomSource
from bench.study.trial import SEMANTICS, TrialSpec, trial_id


@dataclass(frozen=True)
class _Origin:
    """What a trial is trained again from: its data, its settings, and its number of threads."""

    manifest: Manifest
    root: Path
    threads: int
    planned: PlannedTrial


def verify(
    store: Store,
    cache: Path,
    trials: Sequence[str],
    *,
    resources: Resources,
    data: Path | None = None,
    tolerance: float = TOLERANCE,
    phases: Phases,
    trials_shown: TrialsShown,
) -> list[Verification]:
    """Train stored trials again, into a folder that is then removed, and compare.

    Each is trained with as many CPU threads as it was, since their number changes the rounding.

    Args:
        store: The store.
        cache: Cache folder.
        trials: Identities.
        resources: What may be used; its `threads` are each record's own.
        data: Folder of the data; None for where the studies say it is, or the phantom.
        tolerance: Largest difference of a probability that counts as rounding.
        phases: Shows the making of features.
        trials_shown: Shows the trials.

    Raises:
        BenchError: A trial is not in the store or cannot be read, or its data is missing.
    """
    names, roots = _named(store)
    records = {trial: store.read(trial) for trial in dict.fromkeys(trials)}
    found: dict[str, Verification] = {}
    origins: list[_Origin] = []
    open_data = functools.cache(functools.partial(open_source, cache=cache))
    for trial, record in records.items():
        spec, root = _spec_of(record), data or roots.get(trial)
        if spec is None:
            found[trial] = _not_compared(trial, "this bench cannot read its settings")
            continue
        root = _data_of(spec, root, cache, phases)
        origin = _origin(record, spec, names.get(trial, trial), root, open_data(root))
        if isinstance(origin, _Origin):
            origins.append(origin)
        else:
            found[trial] = origin
    again = Store(cache / f".verify-{os.getpid()}")
    try:
        for group in _trained_alike(origins):
            _train_again(group, store, cache, again, resources, phases, trials_shown)
        for origin in origins:
            trial = origin.planned.id
            found[trial] = _compared(records[trial], again, tolerance)
    finally:
        shutil.rmtree(again.root, ignore_errors=True)
    return [replace(found[trial], name=names.get(trial, "")) for trial in records]


def _origin(
    record: TrialRecord, spec: TrialSpec, name: str, root: Path, manifest: Manifest
) -> _Origin | Verification:
    """What a stored trial is trained again from, or why it cannot be."""
    if trial_id(spec, data_identity(spec, manifest)) != record.id:
        changed = _changed_identity(record, manifest)
        why = "it would be another trial now" if changed else "its settings mean another trial"
        return replace(_not_compared(record.id, why), changed=changed)
    planned = PlannedTrial(record.id, name, spec.seed, spec, stored=False)
    return _Origin(manifest, root, int(record.environment.get("threads") or 1), planned)


def _trained_alike(origins: Sequence[_Origin]) -> list[list[_Origin]]:
    """Trials by data, threads and arithmetic."""
    groups: dict[tuple[Path, int, str], list[_Origin]] = {}
    for origin in origins:
        alike = (origin.root, origin.threads, origin.planned.spec.arithmetic or "native")
        groups.setdefault(alike, []).append(origin)
    return list(groups.values())


def _train_again(
    group: Sequence[_Origin],
    store: Store,
    cache: Path,
    again: Store,
    resources: Resources,
    phases: Phases,
    trials_shown: TrialsShown,
) -> None:
    one = group[0]
    trials = TrialGroup.over(
        one.manifest,
        one.root.resolve(),
        [origin.planned for origin in group],
        arithmetic=one.planned.spec.arithmetic or "native",
        options=RunOptions(results=again.root, cache=cache),
        profile="verify",
        log=store.root / "logs" / f"verify.{os.getpid()}.log",
    )
    threads = replace(resources, threads=one.threads)
    train([trials], threads, len(group), phases=phases, trials_shown=trials_shown)


def _compared(stored: TrialRecord, again: Store, tolerance: float) -> Verification:
    if again.has(stored.id):
        return compare(stored, again.read(stored.id), tolerance)
    failures = again.failures(stored.id)
    why = failures[-1]["error"] if failures else "it was not trained"
    return replace(_not_compared(stored.id, why), verdict=Verdict.DIFFERENT)


def _named(store: Store) -> tuple[dict[str, str], dict[str, Path]]:
    """Names of trials, and folders of their data, by the studies' records."""
    names: dict[str, str] = {}
    roots: dict[str, Path] = {}
    for study in store.studies():
        for trial, name in study.trial_names().items():
            names.setdefault(trial, f"{study.name}: {name}")
            if study.data.root is not None:
                roots.setdefault(trial, Path(study.data.root))
    return names, roots


def _spec_of(record: TrialRecord) -> TrialSpec | None:
    try:
        return TrialSpec.model_validate(record.spec)
    except ValidationError:
        return None


def _data_of(spec: TrialSpec, root: Path | None, cache: Path, phases: Phases) -> Path:
    """Folder of a trial's data; a phantom is generated where it is missing."""
    if root is not None and root.is_dir():
        return root
    source = spec.data.source
    if isinstance(source, PhantomSource):
        root = cache / phantom_folder(source.images, source.seed)
        with phases() as say:
            return generate_phantom_once(
                root,
                cache,
                images=source.images,
                seed=source.seed,
                progress=lambda done, total: say("generating", done, total),
            )
    raise BenchError(
        f"the trial's data is not there any more: {root}"
        if root
        else "nothing says where its data lay",
        where="bench verify",
        fix="add `--data DIR`",
    )


def _changed_identity(record: TrialRecord, manifest: Manifest) -> dict[str, tuple[Any, Any]]:
    then = record.environment.get("semantics")
    pairs = {
        "data": (record.data["fingerprint"], manifest.fingerprint),
        "semantics": (then, SEMANTICS),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _not_compared(trial: str, why: str) -> Verification:
    return Verification(trial, "", Verdict.NOT_COMPARED, float("nan"), why, {})
