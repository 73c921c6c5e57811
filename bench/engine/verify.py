"""Stored trials trained again and compared: is what is stored what happens?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

from bench.engine.retrain import Retraining, named, not_compared, train_again
from bench.store.agreement import TOLERANCE, Verdict, Verification, compare
from bench.store.record import TrialRecord
from bench.store.trials import Store


def verify(
    store: Store, trials: Sequence[str], how: Retraining, *, tolerance: float = TOLERANCE
) -> list[Verification]:
    """Train stored trials again, into a folder that is then removed, and compare.

    Args:
        store: The store.
        trials: Identities.
        how: How they are trained again.
        tolerance: Largest difference of a probability that counts as rounding.

    Raises:
        BenchError: A trial is not in the store or cannot be read, or its data is missing.
    """
    names, _ = named(store)
    records = {trial: store.read(trial) for trial in dict.fromkeys(trials)}
    again = Store(how.cache / f".verify-{os.getpid()}")
    try:
        found = train_again(store, records, again, how)
        for trial in records.keys() - found.keys():
            found[trial] = compare_again(records[trial], again, tolerance)
    finally:
        shutil.rmtree(again.root, ignore_errors=True)
    return [replace(found[trial], name=names.get(trial, "")) for trial in records]


def compare_again(stored: TrialRecord, again: Store, tolerance: float = TOLERANCE) -> Verification:
    """A stored trial beside the same in the store that it was trained again into."""
    if again.has(stored.id):
        return compare(stored, again.read(stored.id), tolerance)
    failures = again.failures(stored.id)
    why = failures[-1]["error"] if failures else "it was not trained"
    return replace(not_compared(stored.id, why), verdict=Verdict.DIFFERENT)
