"""A study's arms, read from the store: of every trial what the analysis needs, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from bench.analysis.arms import Arm, Failure, Looked, Trial
from bench.analysis.sequential import Looks
from bench.files.signals import ProcessPool
from bench.metrics.catalogue import scores
from bench.store.outcomes import light_outcomes, scored_images, stored_outcomes
from bench.store.phone import has_phone_records, phone_records
from bench.store.studies import StudyRecord, study_searches
from bench.store.trials import FailureKind, Store

MANY, PART = 1000, 100
"""From so many trials on they are read by several processes, in parts of so many."""


def load_arms(store: Store, study: StudyRecord) -> list[Arm]:
    """A study's arms with every finished trial, and their searches.

    Args:
        store: The store.
        study: The study's record.

    Raises:
        BenchError: A stored trial, a search or a record of a phone's form cannot be read.
    """
    stored = sorted(identity for identity in study.trial_names() if store.has(identity))
    found = dict(zip(stored, _loaded(store, stored), strict=True))
    searches = study_searches(store.root, study)
    arms = []
    for recorded in study.arms:
        trials, failed = {}, {}
        for seed, identity in sorted(recorded.trials.items()):
            if identity in found:
                trials[seed] = found[identity]
            elif failures := store.failures(identity):
                last = failures[-1]
                failed[seed] = Failure(last.get("kind", FailureKind.CRASHED), last["error"])
        against = recorded.against or study.control
        arms.append(
            Arm(
                name=recorded.name,
                levels=recorded.levels,
                against=None if recorded.name == against else against,
                trials=trials,
                planned=len(recorded.trials),
                failed=failed,
                search=searches.get(recorded.name),
                looked=_looked(study, recorded.name),
            )
        )
    return arms


def _looked(study: StudyRecord, arm: str) -> Looked | None:
    """How far an arm was looked at, by the study's record; None in one of fixed seeds."""
    if study.until is None:
        return None
    seeds, verdicts = 0, {}
    for look in study.looks:
        if arm in look.arms:
            seeds = look.seeds
            if look.arms[arm].settled:
                verdicts = {study.until.metric: look.arms[arm].verdict}
    return Looked(Looks(study.until.looks), seeds, verdicts)


def _loaded(store: Store, trials: list[str]) -> Iterator[Trial]:
    """Trials, read by a process a core where there are many."""
    keep = _Loader(store)
    if len(trials) < MANY:
        yield from map(keep, trials)
        return
    parts = [trials[start : start + PART] for start in range(0, len(trials), PART)]
    with ProcessPool() as pool:
        for part in pool.map(partial(_load_part, store), parts):
            yield from map(keep.shared, part)


def _load_part(store: Store, trials: list[str]) -> list[Trial]:
    return list(map(_Loader(store), trials))


class _Loader:
    """Reads trials, and keeps what they have in common once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Any, Any] = {}
        self._any_phone = has_phone_records(store.root)

    def __call__(self, identity: str) -> Trial:
        record = self._store.read(identity, gates=False)
        outcomes = stored_outcomes(record)
        columns = zip(*record.history, strict=True) if record.history else [()] * 4
        epochs, splits, names, values = columns
        return Trial(
            about={
                "spec": record.spec,
                "data": self._once(repr(record.data), record.data),
                "timings": record.timings,
                "environment": record.environment,
            },
            images=self._once(tuple(record.predictions.images[scored_images(record)]), None),
            outcomes=light_outcomes(self._store, record, outcomes),
            metrics=record.metrics | scores(outcomes, record.spec.get("eval", {})),
            history={
                "epoch": np.array(epochs, np.int32),
                "split": np.array(splits, dtype=object),
                "metric": np.array(names, dtype=object),
                "value": np.array(values, np.float64),
            },
            gated=self._store.has_gate(identity),
            read=partial(self._store.read, identity),
            phone=phone_records(self._store.root, identity) if self._any_phone else {},
        )

    def shared(self, trial: Trial) -> Trial:
        """A trial from another process, with what it has in common with others kept once."""
        data = self._once(repr(trial.data), trial.about["data"])
        images = self._once(trial.images, None)
        return replace(trial, about=trial.about | {"data": data}, images=images)

    def _once(self, key: Any, value: Any) -> Any:
        """The first value of a key, so that equal ones take memory once."""
        return self._known.setdefault(key, key if value is None else value)
