"""A terminal, or a locale, that knows ASCII alone: names are escaped, and none is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.command import BENCH

ESCAPED = ("\\xe6r\\xf8", "\\u6f22\\u5b57")

STUDY = """\
title: Prøve
base: prior
axes: {arm: {"ærø": {}, "漢字": {data.test_size: 4}}}
control: {arm: "ærø"}
seeds: 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs and a study with names that are not ASCII."""
    for name in ("ærø", "漢字"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (9, 9)).save(tmp_path / f"photos/{name}/å{index}.png")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    "words",
    [
        ["data", "check", "photos"],
        ["plan", "study.yaml", "--data", "photos", "--profile", "smoke", "--set",
         "data.split=image", "--set", "data.train_size=10", "--set", "data.validation_size=4"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_names_that_the_terminal_has_no_letters_for_are_escaped(
    folder: Path, words: list[str], locale: dict[str, str]
) -> None:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PYTHONUTF8")}
    done = subprocess.run(
        [*BENCH, *words], cwd=folder, env=plain | locale, capture_output=True, check=False,
        timeout=300,
    )  # fmt: skip
    said = done.stdout.decode("ascii")
    assert done.returncode == 0, said + done.stderr.decode("utf-8", "replace")
    for name in ESCAPED:
        assert name in said
