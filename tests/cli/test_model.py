"""`bench model`, `predict` and `phone`, with real Ray and real Keras on the smoke profile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli.app import app
from bench.errors import BenchError
from bench.metrics.catalogue import TOP_K
from bench.store.fsck.check import fsck
from bench.store.phone import FORMS
from bench.store.trials import Store
from tests.command import bench

STUDY = """
base: {preset: ropanet, train.epochs: 2}
axes: {system: {RopaNet: {}, Prior: {base: prior, train: null, data.validation_size: 0}}}
keep_models: last
seeds: 1
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Path:
    """A folder with a study whose trials kept their last epoch's weights."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(warm_cache, folder / ".cache")
    (folder / "study.yaml").write_text(STUDY)
    plan = json.loads(bench(folder, "plan", "study.yaml", "--profile", "smoke", "--json"))
    bench(folder, "run", "study.yaml", "--profile", "smoke", "--workers", "1")
    (kept,) = folder.glob("results/trials/*/*.weights.h5")
    assert kept.name == "last.weights.h5"
    assert plan["cost"]["model_bytes"] == pytest.approx(kept.stat().st_size, rel=0.5)
    return folder


def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What a command says that does not get far enough to import Keras."""
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, BenchError), done.output
    return str(done.exception)


def model(folder: Path, *words: str) -> dict[str, Any]:
    return dict(json.loads(bench(folder, "model", "study", "RopaNet", "0", *words, "--json")))


def test_a_kept_model_is_given(workspace: Path) -> None:
    kept = model(workspace, "--to", "last.keras")
    assert (kept["epoch"], kept["kept"], kept["trained_again"]) == ("last", True, None)
    assert kept["bytes"] == (workspace / "last.keras").stat().st_size


def test_one_that_was_not_kept_is_trained_again_once(workspace: Path) -> None:
    before = {path: path.read_bytes() for path in workspace.glob("results/trials/*/*")}
    again = model(workspace, "--to", "best.weights.h5", "--epoch", "best")
    assert (again["epoch"], again["kept"]) == ("best", False)
    assert again["trained_again"]["verdict"] == "identical"
    assert {path: path.read_bytes() for path in before} == before
    (cached,) = workspace.glob(".cache/models/best/trials/*/trial.json")
    written = cached.stat().st_mtime_ns
    said = bench(workspace, "model", again["trial"][:6], "--epoch", "best", "--to", "again.keras")
    assert "weights of the best epoch (tested: the last one)" in said
    assert "trained again, identical to what is stored" in said
    assert cached.stat().st_mtime_ns == written


def test_images_and_folders_are_predicted_and_drawn(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = workspace / "photos" / "more"
    photos.mkdir(parents=True)
    for number, form in enumerate(("jpg", "png", "webp")):
        Image.new("RGB", (90, 60 + 30 * number), (80 * number, 90, 40)).save(
            photos / f"{number}.{form}"
        )
    shutil.copy(photos / "0.jpg", workspace / "0.jpg")
    (photos / "bad.jpg").write_bytes(b"no image")
    words = ("predict", "study", "RopaNet", "0", "photos", "0.jpg", "--out", "drawn")
    found = json.loads(bench(workspace, *words, "--json", code=1))["images"]
    names = [f"photos/more/{name}" for name in ("0.jpg", "1.png", "2.webp", "bad.jpg")]
    assert [one["image"] for one in found] == [*names, "0.jpg"]
    # The same image in a batch of another size: sums may be rounded otherwise.
    assert len(found[0]["classes"]) == 5
    for one, other in zip(found[0]["classes"], found[4]["classes"], strict=True):
        assert one == {**other, "probability": pytest.approx(other["probability"], rel=1e-5)}
    assert {"landmarks", "gate", "picture"} <= found[0].keys()
    assert found[3] == {"image": names[3], "fault": "not a JPEG, PNG, WebP or BMP file"}
    drawn = {str(path.relative_to(workspace)) for path in workspace.glob("drawn/**/*.png")}
    assert drawn == {one["picture"] for one in found if "picture" in one} and len(drawn) == 4
    with Image.open(workspace / found[0]["picture"]) as picture:
        assert min(picture.size) > 300
    assert "is there already" in refused(workspace, monkeypatch, *words)
    (photos / "bad.jpg").unlink()
    said = bench(workspace, *words, "--overwrite")
    assert said.count(" %") == 20 and "images: 4 of 4" in said


def test_models_are_measured_as_on_a_phone_once_and_reported(workspace: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    found = json.loads(bench(workspace, "phone", "study", "--out", "files", "--json"))["forms"]
    assert [(one["arm"], one["form"]) for one in found] == [("RopaNet", form) for form in FORMS]
    sizes = {one["form"]: one["bytes"] for one in found}
    assert sizes["float32"] > 1.5 * sizes["float16"] > 2 * sizes["dynamic_int8"]
    for one in found:
        assert one["measured_now"] == [0] and one["unsupported"] is None
        timed = {(latency["threads"], latency["xnnpack"]) for latency in one["latency"]}
        assert timed == {(n, how) for n in {1, one["environment"]["threads"]} for how in (0, 1)}
        for latency in one["latency"]:
            assert 0 < latency["low"] <= latency["median"] <= latency["high"] < 10
            assert latency["runs"] >= 10
        assert {effect["metric"] for effect in one["effects"]} == {*TOP_K, "landmark_ne"}
        assert (workspace / one["file"]).stat().st_size == one["bytes"]
    exact, *_, integers = found
    assert exact["changed"] == 0
    told = {effect["metric"]: effect for effect in exact["effects"]}
    assert told["accuracy"]["verdict"] == "the same on every image"
    assert told["landmark_ne"]["difference"] == pytest.approx(0, abs=1e-3)
    moved = {effect["metric"]: effect["verdict"] for effect in integers["effects"]}
    assert moved["landmark_ne"] == "too few seeds to tell (1 of at least 3)"
    records = {path: path.stat().st_mtime_ns for path in workspace.glob("results/phone/*/*.json")}
    assert {path.stem for path in records} == set(FORMS)
    said = bench(workspace, "phone", "study", "--arm", "RopaNet")
    assert "1 of 1 trials were measured before" in said
    assert said.count("% of answers changed") == 4
    assert {path: path.stat().st_mtime_ns for path in records} == records
    report = fsck(workspace / "results", workspace / ".cache", repair=False, say=lambda *_: None)
    assert not [found for found in report.found if "phone" in found.path]
    bench(workspace, "report", "--study", "study", "--format", "html")
    page = (workspace / "report" / "index.html").read_text()
    assert "On a phone: accuracy against latency" in page
    assert "latencies are this machine&#39;s, not a phone&#39;s" in page
    marks = pd.read_csv(workspace / "report" / "figures" / "study.phone.csv")
    assert len(marks) == 4 and marks["front"].any()


def test_what_earlier_trials_did_not_keep_is_said(workspace: Path) -> None:
    words = ("run", "study.yaml", "--profile", "smoke", "--keep-models", "best", "--json")
    (found,) = json.loads(bench(workspace, *words))
    assert (found["finished"], found["stored"]) == (0, 2)
    (note,) = found["notes"]
    assert note.startswith("1 of the trials were trained earlier, without keeping the best")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model", "study", "RopaNet", "0", "--to", "model.pt"), "no form that a model is written"),
        (("model", "study", "RopaNet", "0", "--to", "study.yaml"), "no form that a model"),
        (("model", "study", "RopaNet", "0", "--to", "results"), "is there already"),
        (("model", "study", "RopaNet", "0", "--to", "x.keras", "--epoch", "first"), "no epoch"),
        (("model", "study", "RopaNet", "0", "x", "--to", "x.keras"), "more than a trial: x"),
        (("model", "study", "Prior", "0", "--to", "x.keras"), "is not trained and has no model"),
        (("predict", "study", "RopaNet", "0"), "no image was named"),
        (("phone", "other"), "holds no study `other`"),
        (("phone", "study", "--arm", "RopNet"), "did you mean `RopaNet`"),
        (("phone", "study", "--arm", "Prior"), "no arm has a finished trial with a model"),
        (("predict", "study", "RopaNet", "0", "results/studies"), "is a folder without images"),
        (("run", "study.yaml", "--keep-models", "all"), "give best, last or none"),
        (("plan", "study.yaml", "--keep-models", "best", "--profile", "smoke",
          "--set", "data.validation_size=0"), "the best epoch is that of the lowest validation"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_nothing_is_written(
    workspace: Path, words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(workspace.rglob("*.keras"))
    assert message in refused(workspace, monkeypatch, *words)
    assert sorted(workspace.rglob("*.keras")) == before


def test_a_phone_needs_its_extra_and_overwrites_no_file_unasked(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "mine").mkdir()
    (workspace / "mine" / "ropanet.int8.tflite").write_bytes(b"mine")
    said = refused(workspace, monkeypatch, "phone", "study", "--out", "mine")
    assert "ropanet.int8.tflite: is there already" in said
    monkeypatch.setattr("bench.engine.phone.find_spec", lambda package: None)
    assert "pip install '.[phone]'" in refused(workspace, monkeypatch, "phone", "study")
    assert (workspace / "mine" / "ropanet.int8.tflite").read_bytes() == b"mine"


def test_damaged_weights_are_named_and_nothing_is_written(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(workspace / "results")
    (path,) = store.trials.glob("*/last.weights.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + b"corrupt!")
    try:
        words = ("model", path.parent.name, "--to", "damaged.keras")
        said = refused(workspace, monkeypatch, *words)
        assert "last.weights.h5 is not what was written" in said
        assert not (workspace / "damaged.keras").exists()
    finally:
        path.write_bytes(whole)
