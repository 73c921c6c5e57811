"""From figures to a file, and from files to the page."""

from __future__ import annotations

import json
from pathlib import Path

import measured
import pytest


def _write(folder: Path, name: str = "one", **changed: object) -> dict:
    told = {"ours": [1.0, 2.0, 4.0], "other": [10.0, 30.0, 80.0], "other_way": "by hand"}
    comparison = measured.Comparison("a study", **(told | changed))
    return json.loads(
        measured.write(name, "It is faster.", comparisons=[comparison], folder=folder).read_text()
    )


def test_a_ratio_is_taken_run_by_run(tmp_path: Path) -> None:
    ratio = _write(tmp_path)["comparisons"][0]["ratio"]

    assert ratio == {"least": 10.0, "median": 15.0, "most": 20.0, "runs": 3}


def test_a_ratio_of_rates_is_turned_round(tmp_path: Path) -> None:
    kept = _write(tmp_path, ours=[30.0], other=[10.0], more_is_better=True)

    assert kept["comparisons"][0]["ratio"]["median"] == 3.0


def test_both_sides_need_a_figure_for_each_run() -> None:
    with pytest.raises(ValueError, match="3 and 1"):
        measured.Comparison("a study", [1.0, 2.0, 3.0], [1.0], "by hand")


def test_the_page_says_what_was_not_met(tmp_path: Path) -> None:
    folder, page = tmp_path / "results", tmp_path / "RESULTS.md"
    _write(folder, "met", wanted=15.0)
    _write(folder, "missed", wanted=15.1)

    text = measured.make_page(folder, page)

    assert page.read_text() == text
    assert "1 of 2 figures that were wanted are met." in text
    assert [line.count("**no**") for line in text.split("## missed")] == [1, 1]
    assert "15x (10 to 20, 3 runs)" in text


def test_a_reading_is_held_against_its_limit(tmp_path: Path) -> None:
    readings = [
        measured.Reading("a trial's overhead", [14.0, 16.0, 20.0], "ms", at_most=15.0),
        measured.Reading("share of the floor", [86.0], "%", at_least=85.0),
    ]

    measured.write("readings", "It is lean.", readings=readings, folder=tmp_path)

    kept = json.loads((tmp_path / "readings.json").read_text())["readings"]
    assert [reading["met"] for reading in kept] == [False, True]


def test_a_plot_is_named_from_where_the_page_lies(tmp_path: Path) -> None:
    measured.write("plotted", "It scales.", images=["n.png"], folder=tmp_path / "results")

    assert "(results/n.png)" in measured.make_page(tmp_path / "results", tmp_path / "RESULTS.md")
