"""The commands as a whole: where they come from, and what a notebook gets in place of `--json`."""

from __future__ import annotations

import io
import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from bench import __version__
from bench.cli import commands
from bench.cli.app import COMMANDS, app
from bench.cli.console import SafeConsole
from bench.cli.render import plain_grid, plain_table
from bench.engine.request import StudyRequest
from bench.engine.study_plan import plan_study
from bench.errors import BenchError
from bench.files.yaml import load_yaml
from bench.metrics.catalogue import METRICS
from bench.store.plan import study_record
from bench.store.status import study_status
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from bench.study.shipped import shipped_studies
from tests.command import BENCH

STORE = Path(__file__).parents[1] / "golden" / "store"


def invoke(*words: str) -> str:
    done = subprocess.run([*BENCH, *words], capture_output=True, text=True, check=True, timeout=600)
    return done.stdout


def test_every_file_of_commands_is_a_command_in_the_order_listed() -> None:
    files = {path.stem for path in Path(commands.__file__).parent.glob("[!_]*.py")}
    assert files == set(COMMANDS)
    assert list(get_command(app).commands) == list(COMMANDS)  # type: ignore[attr-defined]
    shown = CliRunner().invoke(app, ["--help"]).output
    places = [shown.index(f" {name} ") for name in COMMANDS]
    assert places == sorted(places)


def test_every_command_says_what_it_does_and_gives_an_example_of_itself() -> None:
    examples = []
    for words, command in walked(get_command(app)):
        example = f"  bench {' '.join(words)}"
        assert command.help, words
        lines = (command.epilog or "").splitlines()
        assert any(line == example or line.startswith(f"{example} ") for line in lines), words
        examples += [line.split()[1:] for line in lines if line.startswith("  bench ")]
    # Options that an example names are there, and a study that it names comes with the bench.
    names = {"mask_gate", "tables"}
    assert names <= set(shipped_studies()) and any(names & set(words) for words in examples)
    known = {words[-1]: command for words, command in walked(get_command(app))}
    for words in examples:
        command = next(known[word] for word in words if word in known)
        given = {word for word in words if word.startswith("--")}
        assert given <= {name for p in command.params for name in (*p.opts, *p.secondary_opts)}


def walked(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, and the words that call it."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from walked(inner, (*words, name))


def test_a_narrow_terminal_cuts_no_path_and_no_name() -> None:
    path = Path("/data") / "a-folder-with-a-long-name" / ("x" * 70) / "trial.json"
    console = SafeConsole(file=io.StringIO(), width=80)
    console.print(f"Report: {path} (unchanged)")
    table = plain_table(("arm", "done"), numeric=("done",))
    table.add_row(str(path), "12 of 12")
    grid = plain_grid()
    grid.add_row("data", str(path))
    console.print(table)
    console.print(grid)
    told = console.file.getvalue()
    assert any(str(path) in line for line in told.splitlines()), "not in one piece, to be copied"
    assert "…" not in told and "12 of 12" in told
    assert told.count("x") == 3 * 70 and "".join(told.split()).count("json") == 3


def test_a_plan_and_a_status_are_the_same_in_a_notebook(tmp_path: Path, own_cache: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("base: {preset: ropanet, train.epochs: 1}\naxes: {model.gate: [none]}\n")
    request = StudyRequest(study, profile="smoke")
    folders = ("--results", str(STORE))
    printed = invoke(
        "plan", str(study), "--profile", "smoke", "--cache", str(own_cache), *folders, "--json"
    )
    assert json.loads(printed) == plan_study(request, STORE, own_cache).to_json()
    statuses = study_status(Store(STORE))
    assert [status.study for status in statuses] == ["golden", "tuned"]
    assert statuses[0].diverged == 1 and statuses[0].errors[0].name == "diverges, seed 0"
    assert json.loads(invoke("status", *folders, "--json")) == [s.to_json() for s in statuses]


def test_a_grid_too_large_to_count_is_sampled(tmp_path: Path, own_cache: Path) -> None:
    ten = list(range(1, 11))
    paths = ("train.epochs", "train.batch_size", "landmarks.update_ratio", "model.branch_units")
    study = tmp_path / "study.yaml"
    study.write_text("base: ropanet\naxes:\n" + "".join(f"  {path}: {ten}\n" for path in paths))
    request = StudyRequest(study, profile="smoke")
    plan = plan_study(request, tmp_path / "results", own_cache)
    assert plan.arms == 10_000 and plan.trials == 30_000 and plan.stored is None
    assert plan.cost is not None and plan.cost.sampled == 900 and len(plan.arms_shown) == 40
    assert "trials" not in plan.to_json()["arms_shown"][0]


def test_reports_json_has_numbers_and_lists(tmp_path: Path) -> None:
    words = ("report", "--results", str(STORE), "--study", "tuned", "--format", "markdown")
    summary = json.loads(invoke(*words, "--out", str(tmp_path / "report"), "--json"))
    assert summary["studies"] == ["tuned"] and summary["unchanged"] is False
    assert summary["page"] == str(tmp_path / "report" / "report.md")
    assert summary["tables"] > 1 and summary["figures"] > 1


def test_the_citation_states_the_packages_version_and_license() -> None:
    root = Path(__file__).parents[2]
    citation = load_yaml(root / "CITATION.cff").value
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert citation["version"] == __version__
    assert citation["license"] == project["license"] == "Apache-2.0"


def test_sizes_of_a_profile_that_the_data_lacks_are_all_there_is_and_a_studys_own_are_an_error(
    tmp_path: Path, own_cache: Path
) -> None:
    data, results = own_cache / "phantom" / "300-images-seed-0", tmp_path / "results"
    study = tmp_path / "small.yaml"
    study.write_text("base: {preset: ropanet_baseline, data.test_size: 40}\nseeds: 1\n")
    plan = plan_study(StudyRequest(study, data, "laptop"), results, own_cache)
    spec = plan.design.control.spec.data
    assert (spec.train_size, spec.validation_size, spec.test_size) == ("all", "all", 40)
    notes = plan.resolved.notes
    assert len(notes) == 2 and notes[0].startswith("the profile's 2,000 training images are more")
    assert notes[0] in " ".join(invoke("plan", str(study), "--data", str(data), "--profile",
        "laptop", "--cache", str(own_cache), "--results", str(results)).split())  # fmt: skip
    study.write_text("base: {preset: ropanet_baseline, data.test_size: 4000}\nseeds: 1\n")
    with pytest.raises(BenchError, match=r"data\.test_size 4000, there are"):
        plan_study(StudyRequest(study, data, "laptop"), results, own_cache)


def test_a_margin_is_of_a_metric_that_arms_are_compared_in(tmp_path: Path, own_cache: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("base: ropanet\nmargin: {accuracy: 1.5, landmark_ne: 0.01}\n")
    plan = plan_study(StudyRequest(study, profile="smoke"), tmp_path / "results", own_cache)
    assert plan.resolved.manifest is not None
    record = study_record(plan.design, [], plan.resolved.manifest, "0")
    again = StudyRecord.from_json(record.to_json())
    margins = [again.margin_in(METRICS[name]) for name in ("accuracy", "landmark_ne", "top_3")]
    assert (
        margins == pytest.approx([0.015, 0.01, 0.02]) and again.margin_in(METRICS["loss"]) is None
    )
    study.write_text("base: ropanet\nmargin:\n  accuracy: 1.5\n  loss: 0.1\n")
    with pytest.raises(BenchError, match=r"arms are not compared in loss.*top_3") as error:
        plan_study(StudyRequest(study, profile="smoke"), tmp_path / "results", own_cache)
    assert str(error.value.where).endswith("study.yaml:2:1")
    study.write_text("base: ropanet\nmargin: -1\n")
    with pytest.raises(BenchError, match="above 0 and at most 50"):
        plan_study(StudyRequest(study, profile="smoke"), tmp_path / "results", own_cache)
