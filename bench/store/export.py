"""A copy of some studies for others to read: their records and trials in a store of their own.

A compact copy keeps the digits of a probability that its metrics need, so that a study of dozens of
trials fits into a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.metrics.classification import ranks
from bench.store.record import TrialRecord
from bench.store.searches import copy_search
from bench.store.studies import StudyRecord
from bench.store.trials import Store

BEST = 5
"""Predictions that the report shows of an image."""

FEWEST_BITS, ALL_BITS = 6, 23
"""Bits of a float32's fraction."""

PLACE_BITS = 12
"""Bits that a compact copy keeps of a true landmark's place: steps of a twentieth of a pixel."""

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
    """Copy studies, their finished trials and their searches.

    Args:
        store: Where they are.
        to: Results folder to add them to; nothing there is replaced.
        studies: Names of the studies; None for all.
        compact: Whether to round what is stored (`compacted`).
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
    for done, identity in enumerate(wanted, start=1):
        record = store.read(identity, weights=not compact)
        target.write(compacted(record) if compact else record)
        if progress is not None:
            progress(done, len(wanted))
    for study in chosen:
        for identity in study.search_ids():
            copy_search(store.root, to, identity)
        target.write_study(_portable(study))
    return len(wanted)


def _portable(study: StudyRecord) -> StudyRecord:
    """A study's record without the place that its data had on this machine."""
    if study.data.root is None:
        return study
    root = Path(study.data.root)
    # Where a run with the default cache makes the same phantom.
    place = Path(".cache", "phantom", root.name) if study.data.source == "phantom" else root.name
    return replace(study, data=replace(study.data, root=Path(place).as_posix()))


def compacted(record: TrialRecord) -> TrialRecord:
    """A trial with shorter numbers and the same predictions.

    Classes that are less probable than the true one and than the five best get probability 0, and
    the others lose bits as long as every image keeps its prediction, the rank of its true class and
    the classes above one half. So accuracy, top-k, precision and recall stay exactly the same;
    cross-entropy and landmark error may change in their fourth digit. Weights stay out. Its
    environment says `compact`.
    """
    exact, labels = record.predictions.probabilities, record.predictions.labels.astype(np.int64)

    def invariants(probabilities: np.ndarray) -> list[np.ndarray]:
        return [probabilities.argmax(axis=1), ranks(probabilities, labels), probabilities > 0.5]

    before = invariants(exact)
    true = np.take_along_axis(exact, labels[:, None], axis=1)
    best = np.sort(exact, axis=1)[:, -BEST:][:, :1]
    kept = np.where(exact >= np.minimum(true, best), exact, 0)
    for bits in range(FEWEST_BITS, ALL_BITS + 1):
        rounded = _rounded(kept, bits)
        if all(np.array_equal(*pair) for pair in zip(before, invariants(rounded), strict=True)):
            break
    gate = record.gate
    if gate is not None:
        fewer = ~np.uint16((1 << (10 - GATE_BITS)) - 1)
        maps = (np.ascontiguousarray(gate.maps).view(np.uint16) & fewer).view(np.float16)
        gate = replace(gate, maps=maps)
    landmarks = record.landmarks
    if landmarks is not None:
        landmarks = replace(landmarks, true=_rounded(landmarks.true, PLACE_BITS))
    return replace(
        record,
        predictions=replace(record.predictions, probabilities=rounded),
        landmarks=landmarks,
        gate=gate,
        weights=None,
        environment=record.environment | {"compact": True},
    )


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Float32 numbers to the nearest with so many bits of fraction."""
    dropped = ALL_BITS - bits
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32((1 << dropped) >> 1)
    return ((whole + half) & ~np.uint32((1 << dropped) - 1)).view(np.float32)
