"""Tidy tables of trials, as files for those who have no Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bench.analysis.frames import trials_of, write_frame
from bench.cli.app import app
from bench.errors import BenchError
from bench.store.trials import Store
from tests.store.recorded import recorded

GOLDEN = Path(__file__).parents[1] / "golden" / "store"


@pytest.mark.parametrize("name", ["trials.csv", "trials.parquet"])
def test_a_table_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    words = ["export", "--tidy", str(tmp_path / name), "--results", str(GOLDEN), "--json"]
    done = CliRunner().invoke(app, words)
    assert json.loads(done.output)["trials"] == 8
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    kept = read(tmp_path / name)
    frame = trials_of(Store(GOLDEN))
    pd.testing.assert_frame_equal(kept, frame, check_dtype=False)


def test_a_setting_that_is_a_number_here_and_a_word_there_is_text(tmp_path: Path) -> None:
    golden, store = Store(GOLDEN), Store(tmp_path)
    first, second = (golden.read(identity) for identity in list(golden.ids())[:2])
    named = replace(first, spec=first.spec | {"data": first.spec["data"] | {"train_size": "all"}})
    store.write(named)
    store.write(second)
    store.write_study(recorded("s", {"=a": {"0": first.id}, "b": {"0": second.id, "1": "none"}}))
    frame = trials_of(store)
    assert frame["data.train_size"].tolist()[:2] == ["all", "48"]
    assert frame["status"].tolist() == ["finished", "finished", "missing"]
    write_frame(frame, tmp_path / "trials.parquet")
    assert pd.read_parquet(tmp_path / "trials.parquet")["data.train_size"].isna().tolist()[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tidy", "trials.xlsx"], "ends in .parquet or .csv"),
        ([], "either a results folder or a table"),
        (["--tidy", "a.csv", "--to", "b"], "either a results folder or a table"),
        (["--tidy", "a.csv", "--compact"], "rounds probabilities"),
        (["nope", "--tidy", "a.csv"], "holds no study `nope`"),
    ],
)
def test_what_cannot_be_exported_writes_nothing(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", *words, "--results", str(GOLDEN)])
    assert isinstance(done.exception, BenchError) and message in str(done.exception)
    assert not list(tmp_path.iterdir())
