"""Records of what was measured for a phone: kept whole, told from damaged ones, and copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.store.fsck.check import fsck
from bench.store.phone import (
    Latency,
    PairedScores,
    PhoneRecord,
    copy_phone,
    phone_path,
    phone_records,
    write_phone,
)

TRIAL = "1" * 16
RECORD = PhoneRecord(
    trial=TRIAL, form="int8", epoch="best", parameters=12, flops=3.5e6, bytes=40, images=2,
    changed=0.5, scores={"landmark_ne": PairedScores((0.1, None), (0.2, None))},
    latency=(Latency(1, True, 20, 0.004, 0.003, 0.005, None),), environment={"threads": 2},
)  # fmt: skip


def test_a_record_is_read_as_it_was_written_and_copied_once(tmp_path: Path) -> None:
    write_phone(tmp_path / "a", RECORD)
    assert phone_records(tmp_path / "a", TRIAL) == {"int8": RECORD}
    copy_phone(tmp_path / "a", tmp_path / "b", TRIAL)
    copy_phone(tmp_path / "a", tmp_path / "b", TRIAL)
    assert phone_records(tmp_path / "b", TRIAL) == {"int8": RECORD}
    assert [path.name for path in (tmp_path / "b" / "phone" / TRIAL).iterdir()] == ["int8.json"]


@pytest.mark.parametrize(
    ("old", "new"), [("0.004", "0.001"), ('"form": "int8"', '"form": "float16"')]
)
def test_a_damaged_record_is_named_and_moved_away(tmp_path: Path, old: str, new: str) -> None:
    write_phone(tmp_path, RECORD)
    path = phone_path(tmp_path, TRIAL, "int8")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BenchError, match="its checksum differs"):
        phone_records(tmp_path, TRIAL)
    (found,) = fsck(tmp_path, tmp_path / "cache", repair=True, say=lambda *_: None).found
    assert (found.kind, found.repaired) == ("damaged phone record", True)
    assert phone_records(tmp_path, TRIAL) == {}


def test_a_record_of_another_trial_is_refused(tmp_path: Path) -> None:
    write_phone(tmp_path, RECORD)
    path = phone_path(tmp_path, TRIAL, "int8")
    other = phone_path(tmp_path, "2" * 16, "int8")
    other.parent.mkdir()
    path.rename(other)
    with pytest.raises(BenchError, match="another trial"):
        phone_records(tmp_path, "2" * 16)
