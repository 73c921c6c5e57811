"""A study's arms, read from the store: of every trial what the analysis needs, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from bench.analysis.arms import Arm, Failure, Trial
from bench.metrics.values import (
    asked_for,
    classification,
    normalised_error,
    ranks,
    scored_rows,
    trained_landmarks,
)
from bench.store.record import Landmarks
from bench.store.trials import CRASHED, Store

MANY, PART = 1000, 100
"""From so many trials on they are read by several processes, in parts of so many."""


def load_arms(store: Store, study: dict[str, Any]) -> list[Arm]:
    """A study's arms with every finished trial.

    Args:
        store: The store.
        study: The study's record.

    Raises:
        BenchError: A stored trial cannot be read.
    """
    wanted = {identity for arm in study["arms"] for identity in arm["trials"].values()}
    stored = sorted(identity for identity in wanted if store.has(identity))
    found = dict(zip(stored, _loaded(store, stored), strict=True))
    arms = []
    for plain in study["arms"]:
        trials, failed = {}, {}
        for seed, identity in sorted(plain["trials"].items(), key=lambda item: int(item[0])):
            if identity in found:
                trials[int(seed)] = found[identity]
            elif failures := store.failures(identity):
                last = failures[-1]
                failed[int(seed)] = Failure(last.get("kind", CRASHED), last["error"])
        arms.append(
            Arm(
                name=plain["name"],
                levels=plain["levels"],
                against=_against(plain, study["control"]),
                trials=trials,
                planned=len(plain["trials"]),
                failed=failed,
            )
        )
    return arms


def _against(plain: dict[str, Any], control: str) -> str | None:
    name: str = plain.get("against") or control
    return None if plain["name"] == name else name


def _loaded(store: Store, trials: list[str]) -> Iterator[Trial]:
    """Trials, read by a process a core where there are many."""
    keep = _Loader(store)
    if len(trials) < MANY:
        yield from map(keep, trials)
        return
    parts = [trials[start : start + PART] for start in range(0, len(trials), PART)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for part in pool.map(partial(_load_part, store), parts):
            yield from map(keep.shared, part)


def _load_part(store: Store, trials: list[str]) -> list[Trial]:
    return list(map(_Loader(store), trials))


class _Loader:
    """Reads trials, and keeps what they have in common once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Any, Any] = {}

    def __call__(self, identity: str) -> Trial:
        record = self._store.read(identity, gates=False)
        evaluation = record.spec.get("eval", {})
        batch_size = (record.spec.get("train") or {}).get("batch_size", 1)
        said = record.predictions
        labels = said.labels.astype(np.int64)
        rows = scored_rows(len(labels), evaluation.get("protocol", "whole_split"), batch_size)
        labels, probabilities = labels[rows], said.probabilities[rows]
        before = ranks(probabilities, labels)
        scores = asked_for(classification(probabilities, labels, before), evaluation)
        metrics = record.metrics | scores
        errors = None
        if record.landmarks is not None:
            put = record.landmarks
            errors = _image_errors(put)
            metrics["landmark_ne"] = normalised_error(put.predicted, put.true, put.visibility)
        columns = zip(*record.history, strict=True) if record.history else [()] * 4
        epochs, splits, names, values = columns
        return Trial(
            about={
                "spec": record.spec,
                "data": self._once(repr(record.data), record.data),
                "timings": record.timings,
                "environment": record.environment,
            },
            images=self._once(tuple(said.images[rows]), None),
            labels=labels.astype(np.int32),
            ranks=before.astype(np.int32),
            errors=None if errors is None else errors.astype(np.float32),
            answers=probabilities.argmax(axis=1).astype(np.int32),
            sure=np.asarray((probabilities > 0.5).any(axis=1)),
            confident=probabilities[np.arange(len(labels)), labels] > 0.5,
            metrics=metrics,
            history={
                "epoch": np.array(epochs, np.int32),
                "split": np.array(splits, dtype=object),
                "metric": np.array(names, dtype=object),
                "value": np.array(values, np.float64),
            },
            gated=self._store.has_gate(identity),
            read=partial(self._store.read, identity),
        )

    def shared(self, trial: Trial) -> Trial:
        """A trial from another process, with what it has in common with others kept once."""
        data = self._once(repr(trial.data), trial.about["data"])
        images = self._once(trial.images, None)
        return replace(trial, about=trial.about | {"data": data}, images=images)

    def _once(self, key: Any, value: Any) -> Any:
        """The first value of a key, so that equal ones take memory once."""
        return self._known.setdefault(key, key if value is None else value)


def _image_errors(landmarks: Landmarks) -> np.ndarray:
    scored = trained_landmarks(landmarks.visibility)
    distance = np.linalg.norm(landmarks.predicted - landmarks.true, axis=-1)
    total = np.where(scored, distance, 0.0).sum(axis=1)
    count = scored.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
