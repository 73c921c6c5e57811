"""The bench without its repository: a wheel in a folder, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError
from bench.study.shipped import find_study, shipped_studies
from bench.study.study import load_study
from tests.command import bench

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed into, built from a copy so that nothing is left here."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    for name in ("bench", "ablations"):
        unwanted = shutil.ignore_patterns("__pycache__", "*.schema.json")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = f"from setuptools.build_meta import build_wheel; print(build_wheel({str(folder)!r}))"
    made = subprocess.run(
        [sys.executable, "-c", build], cwd=copy, capture_output=True, text=True, check=True
    )
    wheel = folder / made.stdout.split()[-1]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    target = folder / "site"
    subprocess.run([*pip, "--no-compile", "--target", str(target), str(wheel)], check=True)
    return target


def test_a_wheel_has_the_studies_and_finds_one_by_name(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(installed))
    names = {path.name for path in (ROOT / "ablations").glob("*.yaml")}
    assert {path.name for path in (installed / "bench" / "ablations").iterdir()} == names
    assert not (installed / "ablations").exists()
    plan = bench(tmp_path, "plan", "mask_gate", "--profile", "smoke", "--json")
    assert json.loads(plan)["study"] == "mask_gate" and list(tmp_path.iterdir()) == []
    bench(tmp_path, "init")
    written = {path.name for path in (tmp_path / "ablations").iterdir()}
    assert written == {*names, "study.schema.json"}


def test_what_was_changed_is_what_a_name_means_and_is_overwritten_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    init = partial(CliRunner().invoke, app, catch_exceptions=False)
    init(["init"])
    mine = Path("ablations/mask_gate.yaml")
    mine.write_text(mine.read_text() + "seeds: 4\n")
    Path("ablations/smoke.yaml").unlink()
    assert find_study(Path("mask_gate")) == mine
    with pytest.raises(BenchError, match="were changed: mask_gate\\.yaml\n"):
        init(["init"])
    assert "seeds: 4" in mine.read_text() and not Path("ablations/smoke.yaml").exists()
    written = json.loads(init(["init", "--force", "--json"]).output)["written"]
    assert written == ["mask_gate.yaml", "smoke.yaml"] and "seeds: 4" not in mine.read_text()


def test_a_name_is_a_file_here_first_and_an_unknown_one_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(shipped_studies()) == {path.stem for path in (ROOT / "ablations").glob("*.yaml")}
    (tmp_path / "smoke").mkdir()  # a folder is no study
    assert load_study(Path("smoke"))[0].name == "smoke"
    (tmp_path / "smoke.yaml").write_text("title: mine")
    assert find_study(Path("smoke")) == Path("smoke.yaml")
    with pytest.raises(BenchError, match=r"nor ablations/mask_gait\.yaml is there") as e:
        find_study(Path("mask_gait"))
    assert e.value.fix == "did you mean `mask_gate`?" and e.value.where == "mask_gait"
    with pytest.raises(BenchError, match="no such file\n  -> give `mask_gate` for the study"):
        load_study(Path("mask_gate.yaml"))
    with pytest.raises(BenchError, match=r"studies there: smoke\.yaml"):
        load_study(Path("xyz.yaml"))
