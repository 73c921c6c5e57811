"""Every table of a trial's record comes back with the same values, types and shapes."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.files.checksums import read_with_checksum
from bench.store.record import (
    AttributeRecord,
    GateRecord,
    Landmarks,
    Predictions,
    TrialRecord,
    read_record,
    write_record,
)

N = 5
IMAGES = np.array([f"img/Blüse_{i}/1.jpg" for i in range(N)], dtype=object)
RNG = np.random.default_rng(0)
PLACES = RNG.random((N, 8, 2), np.float32)

LANDMARKS = Landmarks(
    IMAGES,
    RNG.integers(-1, 3, (N, 8)).astype(np.int8),
    np.where(PLACES < 0.2, np.float32(np.nan), PLACES),
    PLACES + 1,
    PLACES + 2,
    RNG.integers(1, 300, (N, 2)).astype(np.int32),
)
RECORD = TrialRecord(
    id="0123456789abcdef",
    spec={},
    data={},
    metrics={},
    history=[(1, "train", "loss", 0.1), (1, "val", "loss", float("inf"))],
    predictions=Predictions(IMAGES, np.arange(N, dtype=np.int32), RNG.random((N, 3), np.float32)),
    landmarks=LANDMARKS,
    gate=GateRecord(
        IMAGES,
        RNG.random(N, np.float32),
        RNG.random(N, np.float32),
        RNG.random((N, 2, 3)).astype(np.float16),
    ),
    attributes=AttributeRecord(
        IMAGES,
        ("a-line", "v neck"),
        np.array([3, 4], np.int8),
        RNG.integers(-1, 2, (N, 2)).astype(np.int8),
        RNG.normal(size=(N, 2)).astype(np.float16),
    ),
)


def same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    arrays = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
    for before, after in arrays:
        if isinstance(before, np.ndarray):
            assert (before.dtype, before.shape) == (after.dtype, after.shape)
            np.testing.assert_array_equal(before, after)
        else:
            assert type(before) is type(after) and before == after
    return type(one) is type(other)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(RECORD, landmarks=replace(LANDMARKS, soft=None, sizes=None)),
        replace(RECORD, history=[], landmarks=None, gate=None, attributes=None),
    ],
    ids=["whole", "older landmarks", "predictions alone"],
)
def test_a_record_comes_back_as_it_was_written(tmp_path: Path, record: TrialRecord) -> None:
    write_record(tmp_path, record)
    read = read_record(tmp_path, read_with_checksum(tmp_path / "trial.json"))
    assert read.history == record.history
    for part in ("predictions", "landmarks", "gate", "attributes"):
        assert same(getattr(record, part), getattr(read, part)), part


def test_a_gate_is_read_only_where_it_is_wanted(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    plain = read_with_checksum(tmp_path / "trial.json")
    read = read_record(tmp_path, plain, gates=False)
    assert read.gate is None and same(RECORD.landmarks, read.landmarks)
