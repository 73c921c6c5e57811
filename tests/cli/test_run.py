"""The command line end to end, with real Ray and real Keras on the smoke profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.store.trials import Store
from tests.command import bench

STUDY = """
base: {preset: ropanet, train.epochs: 1}
axes: {model.gate: [sigmoid, none]}
seeds: 1
"""


@pytest.fixture
def workspace(tmp_path: Path, own_warm_cache: Path) -> Path:
    """A folder with a study in it and a cache that holds the smoke phantom and its features."""
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def run_json(workspace: Path, *words: str, code: int = 0) -> dict[str, Any]:
    (result,) = json.loads(
        bench(workspace, "run", *words, "--profile", "smoke", "--workers", "1", "--json", code=code)
    )
    return dict(result)


def test_what_is_stored_is_never_trained_again_in_whatever_study_it_turns_up(
    workspace: Path,
) -> None:
    first = run_json(workspace, "study.yaml", "--log", "tensorboard:runs")
    assert (first["finished"], first["stored"]) == (2, 0)
    assert len(list(workspace.glob("runs/study/gate=*/seed-0.*/*tfevents*"))) == 2
    assert len(list(workspace.glob("runs/study/figures.*"))) == 1
    trials = {path: path.stat().st_mtime_ns for path in workspace.glob("results/trials/*/*")}

    assert "Nothing to train" in bench(workspace, "run", "study.yaml", "--profile", "smoke")
    (workspace / "reordered.yaml").write_text(
        "seeds: [0]\nname: again\naxes: {model.gate: [none, sigmoid]}\n"
        "base: {train: {epochs: 1}, preset: ropanet}\n"
    )
    assert run_json(workspace, "reordered.yaml")["finished"] == 0
    for name, levels in (("shared", "[none, spatial]"), ("also", "[spatial, random]")):
        (workspace / f"{name}.yaml").write_text(STUDY.replace("[sigmoid, none]", levels))
    both = ("run", "shared.yaml", "also.yaml", "--profile", "smoke")
    shared, also = json.loads(bench(workspace, *both, "--json"))
    assert (shared["finished"], shared["stored"]) == (1, 1)
    assert (also["finished"], also["stored"]) == (1, 1)
    assert "Nothing to train" in bench(workspace, *both)
    assert {path: path.stat().st_mtime_ns for path in trials} == trials

    plan = json.loads(bench(workspace, "plan", "shared.yaml", "--profile", "smoke", "--json"))
    assert (plan["trials"], plan["stored"], plan["features"][0]["missing"]) == (2, 2, 0)
    assert "shared" in bench(workspace, "status")
    bench(workspace, "report", "--out", "report")
    assert "gate=spatial" in (workspace / "report" / "index.html").read_text()

    shard = next(workspace.glob(".cache/features/efficientnet_lite0_stage5-*/*.npy"))
    flipped = bytearray(shard.read_bytes())
    flipped[-7] ^= 1
    shard.write_bytes(flipped)
    again = run_json(workspace, "study.yaml", "--rerun", "--only", "gate=none")
    assert again["repaired"] == [shard.name]
    assert again["finished"] == 1 and len(list(workspace.glob("results/superseded/*"))) == 1


def test_a_trial_that_diverges_is_recorded_and_not_trained_again(workspace: Path) -> None:
    (workspace / "study.yaml").write_text(
        "base: {preset: ropanet, train.epochs: 3}\nseeds: 1\n"
        "axes: {arm: {fine: {}, diverges: {train: {optimizer: sgd, learning_rate: 10.0}, "
        "landmarks.weight: 1.0e+30}}}\n"
    )
    result = run_json(workspace, "study.yaml")
    assert (result["finished"], result["diverged"]) == (1, ["diverges, seed 0"])
    failure = json.loads(next(workspace.glob("results/failures/*/1.json")).read_text())
    assert failure["kind"] == "diverged" and "Traceback" in failure["traceback"]
    assert "the training loss became" in failure["error"]
    status = json.loads(bench(workspace, "status", "--json"))[0]
    assert (status["done"], status["diverged"], status["missing"]) == (1, 1, 0)

    said = bench(workspace, "run", "study.yaml", "--profile", "smoke")
    assert "1 diverged" in said and "Nothing to train" in said
    bench(workspace, "report", "--format", "markdown", "--out", "report")
    page = (workspace / "report" / "report.md").read_text()
    assert "diverges, seed 0 diverged: the training loss became" in page


def test_bad_input_is_one_message_and_exit_code_2(workspace: Path) -> None:
    (workspace / "study.yaml").write_text("axes: {model.gate: [noen]}\n")
    said = bench(workspace, "plan", "study.yaml", code=2)
    assert "study.yaml:1:21" in said and "did you mean `none`?" in said
    assert "no such file" in bench(workspace, "run", "nothing.yaml", code=2)
    assert "no profile `huge`" in bench(workspace, "run", "study.yaml", "--profile", "huge", code=2)
    assert "holds no study" in bench(workspace, "report", code=2)


def photographs(workspace: Path) -> Path:
    """A folder of classes with 12 plain images each."""
    from PIL import Image

    for number, name in enumerate(("hat", "shoe", "sock")):
        folder = workspace / "photos" / name
        folder.mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (80, 60), (80 * number, 10 * i, 40)).save(folder / f"{i}.jpg")
    (workspace / "photos" / "sock" / "11.jpg").write_bytes(b"not an image")
    return workspace / "photos"


def test_a_folder_of_photographs_trains_the_baseline_and_refuses_ropanet(workspace: Path) -> None:
    photos = str(photographs(workspace))
    said = bench(workspace, "run", "study.yaml", "--profile", "smoke", "--data", photos, code=2)
    assert "this data has none" in said and "ropanet_baseline" in said
    (workspace / "study.yaml").write_text(
        "base: {preset: ropanet_baseline, train.epochs: 1}\nseeds: 1\n"
    )
    assert run_json(workspace, "study.yaml", "--data", photos)["finished"] == 1
    store = Store(workspace / "results")
    data = store.summary(next(iter(store.ids())))["data"]
    assert data["source"] == "folder" and sum(data["images"].values()) == 35
    assert [image["image"] for image in data["unreadable"]] == ["sock/11.jpg"]
    bench(workspace, "report", "--out", "report")
    assert "could not be read" in (workspace / "report" / "report.md").read_text()


def test_help_version_and_plan_import_neither_keras_nor_ray(workspace: Path) -> None:
    for words in (["--version"], ["--help"], ["plan", "study.yaml", "--profile", "smoke"]):
        script = (
            f"import sys; sys.argv = ['bench', *{words!r}]\n"
            "from bench.cli.app import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            "heavy = {'tensorflow', 'ray', 'keras', 'pandas', 'matplotlib'} & set(sys.modules)\n"
            "assert not heavy, heavy"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=workspace, env=os.environ, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
