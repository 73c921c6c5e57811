"""A stored trial beside the same trial trained again."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from bench.store.agreement import Verdict, compare
from bench.store.export import compacted
from bench.store.record import TrialRecord
from bench.store.trials import Store

GOLDEN = Store(Path(__file__).parents[1] / "golden" / "store")


def shifted(record: TrialRecord, by: float) -> TrialRecord:
    """The record with one probability moved."""
    probabilities = record.predictions.probabilities.copy()
    probabilities[3, int(probabilities[3].argmax())] += by
    return replace(record, predictions=replace(record.predictions, probabilities=probabilities))


def test_a_record_is_identical_to_itself_and_one_moved_probability_is_found() -> None:
    record = GOLDEN.read(next(GOLDEN.ids()))
    assert compare(record, record).verdict is Verdict.IDENTICAL
    near, far = compare(record, shifted(record, 1e-4)), compare(record, shifted(record, 0.2))
    assert near.verdict is Verdict.CLOSE and far.verdict is Verdict.DIFFERENT
    assert far.where.startswith(str(record.predictions.images[3]))
    metrics = record.metrics | {"accuracy": record.metrics["accuracy"] + 0.1}
    assert compare(record, replace(record, metrics=metrics)).verdict is Verdict.CLOSE


def test_a_compact_copy_is_identical_to_the_trial_that_it_is_a_copy_of() -> None:
    for record in map(GOLDEN.read, GOLDEN.ids()):
        copy = compacted(record)
        rounded = np.abs(copy.predictions.probabilities - record.predictions.probabilities).max()
        assert compare(copy, record).verdict is Verdict.IDENTICAL, record.id
        assert compare(copy, shifted(record, 0.2)).verdict is Verdict.DIFFERENT
        assert record.spec["train"] is None or rounded > 0


def test_either_of_two_records_can_be_the_compact_one() -> None:
    record = GOLDEN.read("9f4735c81bfaa073")
    copy, scores = compacted(record), compacted(record, pictures=False)
    for one, other in product((record, copy, scores), repeat=2):
        twice_rounded = {id(one), id(other)} == {id(copy), id(scores)}
        verdicts = {Verdict.IDENTICAL, Verdict.CLOSE} if twice_rounded else {Verdict.IDENTICAL}
        assert compare(one, other).verdict in verdicts


def test_of_one_identity_the_processor_is_the_first_suspect_and_of_two_what_makes_them_two() -> (
    None
):
    record = GOLDEN.read("9f4735c81bfaa073")
    elsewhere = replace(record, environment=record.environment | {"processor": "x", "cores": 99})
    assert list(compare(record, elsewhere).changed) == ["processor", "cores"]
    spec = record.spec | {"train": record.spec["train"] | {"epochs": 2}}
    other = replace(elsewhere, id="0" * 16, spec=spec)
    changed = compare(record, other).changed
    assert list(changed) == ["spec.train.epochs", "processor", "cores"]
    assert changed["spec.train.epochs"] == (1, 2)
    data = replace(other, data=record.data | {"fingerprint": "f"})
    found = compare(record, data)
    assert (found.verdict, found.where) == (Verdict.DIFFERENT, "other data")
    assert next(iter(found.changed)) == "data"
