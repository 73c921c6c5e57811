"""A copy of some studies for others to read: their records and trials in a store of their own.

A compact copy keeps what verdicts and pictures need, so that a study of a hundred trials fits into
a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.metrics.classification import ranks
from bench.store.phone import copy_phone
from bench.store.record import Predictions, TrialRecord
from bench.store.searches import copy_search
from bench.store.studies import StudyRecord
from bench.store.trials import Store

WITH_PICTURES, SCORES = "with pictures", "scores"
"""What a compact copy's environment says of it."""

BEST = 5
"""Predictions that the report shows of an image."""

FEWEST_BITS, ALL_BITS = 6, 23
"""Bits of a float32's fraction."""

HISTORY_BITS = 12
"""Bits that a compact copy keeps of a measurement during training: steps below 0.03 %."""

GATE_BITS = 5
"""Bits of a float16's fraction that a compact copy keeps of a gate's maps: steps below 3 %."""


def export(
    store: Store,
    to: Path,
    studies: Sequence[str] | None = None,
    *,
    compact: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Copy studies, their finished trials, their searches and what was measured for phones.

    Args:
        store: Where they are.
        to: Results folder to add them to; nothing there is replaced.
        studies: Names of the studies; None for all.
        compact: Whether to shorten what is stored (`compacted`), to keep what only pictures show of
            each arm's lowest seed alone, and what trials have in common once.
        progress: Called with (trials done, trials in all).

    Returns:
        How many trials the copy holds of the studies.

    Raises:
        BenchError: The store holds no such study, or a trial cannot be read.
    """
    chosen, target = store.chosen(studies), Store(to)
    wanted = sorted(
        {identity for study in chosen for identity in study.trial_names() if store.has(identity)}
    )
    first = {identity for study in chosen for identity in _lowest_seeds(store, study)}
    for done, identity in enumerate(wanted, start=1):
        record = store.read(identity, weights=not compact)
        if compact:
            record = _compacted_to(WITH_PICTURES if identity in first else SCORES, record)
        target.write(record, share=compact)
        copy_phone(store.root, to, identity)
        if progress is not None:
            progress(done, len(wanted))
    for study in chosen:
        for identity in study.search_ids():
            copy_search(store.root, to, identity)
        target.write_study(_portable(study))
    return len(wanted)


def _lowest_seeds(store: Store, study: StudyRecord) -> Iterator[str]:
    """Each arm's finished trial of the lowest seed, which pictures are drawn of."""
    for arm in study.arms:
        finished = [seed for seed, identity in arm.trials.items() if store.has(identity)]
        if finished:
            yield arm.trials[min(finished)]


def _portable(study: StudyRecord) -> StudyRecord:
    """A study's record without the place that its data had on this machine."""
    if study.data.root is None:
        return study
    root = Path(study.data.root)
    # Where a run with the default cache makes the same phantom.
    place = Path(".cache", "phantom", root.name) if study.data.source == "phantom" else root.name
    return replace(study, data=replace(study.data, root=Path(place).as_posix()))


def compacted(record: TrialRecord, *, pictures: bool = True) -> TrialRecord:
    """A trial with shorter numbers and the same scores.

    Classes that are less probable than the true one get probability 0, and the others lose bits as
    long as the image keeps its prediction, the rank of its true class and the classes above one
    half. So accuracy, top-k, precision, recall and landmark error stay exactly the same;
    cross-entropy changes in its fourth digit, and weights and the landmarks' soft-arg-max places
    are left out.

    Args:
        record: The trial.
        pictures: Whether what only pictures show is kept: the gate's maps, and the five best
            classes.

    Returns:
        The trial; its environment says `compact`.
    """
    gate, landmarks = record.gate, record.landmarks
    if gate is not None:
        fewer = ~np.uint16((1 << (10 - GATE_BITS)) - 1)
        maps = (np.ascontiguousarray(gate.maps).view(np.uint16) & fewer).view(np.float16)
        gate = replace(gate, maps=maps) if pictures else None
    if landmarks is not None:
        landmarks = replace(landmarks, soft=None)
    values = _rounded(np.array([row[3] for row in record.history]), HISTORY_BITS).tolist()
    return replace(
        record,
        history=[(*row[:3], value) for row, value in zip(record.history, values, strict=True)],
        predictions=_shortened(record.predictions, pictures=pictures),
        landmarks=landmarks,
        gate=gate,
        weights=None,
        environment=record.environment | {"compact": WITH_PICTURES if pictures else SCORES},
    )


def compacted_like(record: TrialRecord, copy: TrialRecord) -> TrialRecord:
    """A trial as compact as a copy of it; the trial itself where it is no larger."""
    kind = copy.environment.get("compact")
    return record if kind is None else _compacted_to(kind, record)


def _compacted_to(kind: str, record: TrialRecord) -> TrialRecord:
    """A trial made compact; as it is where it is that compact already."""
    if record.environment.get("compact") in (kind, SCORES):
        return record
    return compacted(record, pictures=kind != SCORES)


def _shortened(predictions: Predictions, *, pictures: bool) -> Predictions:
    """Predictions with the least that keeps their scores, and the best classes for pictures."""
    exact, labels = predictions.probabilities, predictions.labels.astype(np.int64)
    true = np.take_along_axis(exact, labels[:, None], axis=1)
    best = np.sort(exact, axis=1)[:, -BEST:][:, :1]
    kept = np.where(exact >= np.minimum(true, best), exact, 0)
    rounded, rows = kept.copy(), np.arange(len(kept))
    for bits in range(FEWEST_BITS, ALL_BITS + 1):
        rounded[rows] = _rounded(kept[rows], bits)
        rows = rows[~_same_scores(rounded[rows], exact[rows], labels[rows])]
    if not pictures:
        # By the rounded ones, so that a copy with pictures becomes the same.
        true = np.take_along_axis(rounded, labels[:, None], axis=1)
        rounded = np.where(rounded >= true, rounded, 0)
    return replace(predictions, probabilities=rounded)


def _same_scores(rounded: np.ndarray, exact: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`(n,)` whether each image keeps its prediction, its rank and what is above one half."""
    return (
        (rounded.argmax(axis=1) == exact.argmax(axis=1))
        & (ranks(rounded, labels) == ranks(exact, labels))
        & ((rounded > 0.5) == (exact > 0.5)).all(axis=1)
    )


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Numbers as float32 to the nearest with so many bits of fraction."""
    dropped = ALL_BITS - bits
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32((1 << dropped) >> 1)
    return ((whole + half) & ~np.uint32((1 << dropped) - 1)).view(np.float32)
