"""Stored trials in experiment trackers, read back by the trackers' own libraries."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.store.record import TrialRecord
from bench.store.trials import Store
from bench.trackers.log import Logged, RunLog, log
from bench.trackers.tensorboard import TensorBoard
from bench.trackers.tracker import TrackedTrial
from tests.store.recorded import recorded

GOLDEN = Path(__file__).parents[1] / "golden" / "store"
HOSTILE = "../<b>x</b>$"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A copy of the golden store, and in it a study whose arm has a hostile name."""
    store = Store(shutil.copytree(GOLDEN, tmp_path / "results"))
    trial = next(iter(store.ids()))
    store.write_study(recorded("hostile", {HOSTILE: {"0": trial}}))
    return store


def logged(store: Store, to: str, *studies: str, figures: bool = False) -> Logged:
    return log(store, to, studies, figures=figures, say=lambda phase, done, total: None)


def ropanet(store: Store) -> TrialRecord:
    return store.read(store.studies()[0].arms[0].trials[0])


def in_tensorboard(place: Path, record: TrialRecord) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    (folder,) = place.glob(f"golden/ropanet/seed-0.{record.id}")
    events = EventAccumulator(str(folder)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    return {
        "settings": (settings["model.gate"].string_value, settings["train.epochs"].number_value),
        "losses": [(event.step, event.value) for event in events.Scalars("val/loss")],
        "accuracy": [event.value for event in events.Scalars("test/accuracy")],
    }


def in_mlflow(place: Path | str, record: TrialRecord) -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=place if isinstance(place, str) else place.as_uri())
    experiment = client.get_experiment_by_name("golden")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.arm = 'ropanet'")
    (run,) = runs
    assert run.info.run_name == "ropanet, seed 0" and run.data.tags["profile"] == "smoke"
    losses = client.get_metric_history(run.info.run_id, "val/loss")
    return {
        "settings": (run.data.params["model.gate"], float(run.data.params["train.epochs"])),
        "losses": [(metric.step, metric.value) for metric in losses],
        "accuracy": [run.data.metrics["test/accuracy"]],
    }


def in_wandb(place: Path, record: TrialRecord) -> dict[str, Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = Path("wandb").glob(f"offline-run-*/run-golden-{record.id}.wandb")
    found: dict[str, Any] = {"losses": []}
    for content in leveldb_log(file.read_bytes()):
        entry = Record.FromString(content)
        for item in (*entry.run.config.update, *entry.summary.update):
            found[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        values = {item.key or item.nested_key[0]: item.value_json for item in entry.history.item}
        if "val/loss" in values:
            found["losses"].append((int(values["_step"]), json.loads(values["val/loss"])))
    return {
        "settings": (found["model.gate"], found["train.epochs"]),
        "losses": found["losses"],
        "accuracy": [found["test/accuracy"]],
    }


def leveldb_log(content: bytes) -> Iterator[bytes]:
    """Records of a run's file: LevelDB's log after 7 bytes. W&B has no reader in Python."""
    place, part = 7, b""
    while place < len(content):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield part
            part = b""


@pytest.mark.parametrize(
    ("kind", "read"),
    [("tensorboard", in_tensorboard), ("mlflow", in_mlflow), ("wandb", in_wandb)],
)
def test_every_trial_is_logged_once_and_later_only_what_is_new(
    kind: str,
    read: Callable[[Path, TrialRecord], dict[str, Any]],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind != "tensorboard":  # that one comes with Ray
        pytest.importorskip(kind, reason=f"needs the extra `{kind}`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    place = tmp_path / "tracker"
    to = {"tensorboard": str(place), "mlflow": place.as_uri(), "wandb": "team/fashion"}[kind]
    assert logged(store, f"{kind}:{to}", "golden") == Logged(trials=6, there=0, figures=0)
    found, record = read(place, ropanet(store)), ropanet(store)
    assert found["settings"] == ("sigmoid", 1)
    losses = [(e, v) for e, split, name, v in record.history if (split, name) == ("val", "loss")]
    assert found["losses"] == [(e, pytest.approx(value, rel=1e-6)) for e, value in losses]
    assert found["accuracy"] == [pytest.approx(record.metrics["accuracy"], rel=1e-6)]

    studies = ("golden", "hostile")
    assert logged(store, f"{kind}:{to}", *studies) == Logged(trials=1, there=6, figures=0)
    assert logged(store, f"{kind}:{to}", *studies) == Logged(trials=0, there=7, figures=0)
    assert {path.name for path in tmp_path.iterdir()} <= {"results", "tracker", "wandb"}


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """Address of MLflow's own server; the whole of MLflow has it, not the extra."""
    pytest.importorskip("mlflow", reason="needs the extra `mlflow`")
    program = os.environ.get("MLFLOW_PROGRAM") or shutil.which("mlflow")
    if (
        program is None
        or subprocess.run(
            [program, "server", "--help"], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("the whole of MLflow is not here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [program, "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", str(tmp_path / "kept")]
    with (tmp_path / "server.log").open("w") as output:
        running = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=tmp_path, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    while running.poll() is None and not _answers(f"{address}/health"):
        time.sleep(0.2)
    assert running.poll() is None, (tmp_path / "server.log").read_text()
    yield address
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def test_mlflows_own_server_has_each_trial_and_figure_once(
    store: Store, mlflow_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    to = f"mlflow:{mlflow_server}"
    first = logged(store, to, "golden", figures=True)
    assert first.trials == 6 and first.figures > 1
    assert logged(store, to, "golden", figures=True) == Logged(trials=0, there=6, figures=0)
    assert capsys.readouterr().out == "", "what is printed is the command's alone"
    record = ropanet(store)
    found = in_mlflow(mlflow_server, record)
    assert found["settings"] == ("sigmoid", 1)
    assert found["accuracy"] == [pytest.approx(record.metrics["accuracy"], rel=1e-6)]
    client = MlflowClient(tracking_uri=mlflow_server)
    (figures,) = client.search_runs(
        [client.get_experiment_by_name("golden").experiment_id], "run_name = 'figures'"
    )
    assert len(client.list_artifacts(figures.info.run_id)) == first.figures


def test_figures_are_logged_once(store: Store, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    to = f"tensorboard:{tmp_path / 'runs'}"
    first = logged(store, to, "tuned", figures=True)
    assert first.figures > 1
    assert logged(store, to, "tuned", figures=True) == Logged(trials=0, there=1, figures=0)
    (folder,) = (tmp_path / "runs" / "tuned").glob("figures.*")
    images = EventAccumulator(str(folder)).Reload().Tags()["images"]
    assert len(images) == first.figures and "tuned.arms" in images


def test_a_trial_that_was_not_logged_to_its_end_does_not_count(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("bench.trackers.mlflow", reason="needs the extra `mlflow`")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    record = ropanet(store)
    # MLflow refuses the name of a setting, after the run has begun; TensorBoard's file, a value.
    tracker = mlflow.MLflow((tmp_path / "mlflow").as_uri())
    with pytest.raises(Exception, match="Invalid value"):
        tracker.add_trial(TrackedTrial("golden", "ropanet", 0, replace(record, spec={"$": 1})))
    assert tracker.known("golden") == set()
    board = TensorBoard(str(tmp_path / "runs"))
    with pytest.raises(TypeError):
        history = [(1, "val", "loss", 1.0), (2, "val", "loss", None)]
        board.add_trial(TrackedTrial("golden", "ropanet", 0, replace(record, history=history)))  # type: ignore[arg-type]
    assert board.known("golden") == set() and not list((tmp_path / "runs").rglob("*tfevents*"))


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("comet:x", "found `comet:x`.*\n.*tensorboard:DIR, mlflow:URI, wandb:PROJECT"),
        ("tensorboard:", "expected a tracker"),
        ("mlflow:http://127.0.0.1:9", "mlflow:http.*failed.*\n.*the same command logs the rest"),
        ("wandb:x", r"needs the package `wandb`.*\n.*pip install 'ropanet-bench\[wandb\]'"),
    ],
)
def test_a_tracker_that_is_not_there_is_one_clear_error(
    to: str, message: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if to.startswith("mlflow"):
        pytest.importorskip("mlflow", reason="needs the extra `mlflow`")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delitem(sys.modules, "bench.trackers.wandb", raising=False)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BenchError, match=message):
        logged(store, to, "golden")


def test_a_tracker_that_fails_during_a_run_warns_once_and_holds_up_no_trial(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("a file where the tracker's folder belongs")
    warnings: list[str] = []
    run_log = RunLog(store, f"tensorboard:{tmp_path / 'runs'}", ["golden"], warnings.append)
    for trial in store.studies()[0].trial_names():
        run_log.ended(trial)
    (warning,) = warnings
    assert warning.startswith("trials are logged at the end of the run: ") and "runs" in warning
