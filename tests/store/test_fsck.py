"""`bench fsck`: whatever is not as it was written is found, and what can be made again is repaired.

Every fault is put into a store and a cache that the bench itself wrote.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.store.features import FeatureKey, FeatureStore
from bench.store.fsck.check import FsckReport, fsck
from bench.store.record import GateRecord, KeptWeights, Landmarks, Predictions, TrialRecord
from bench.store.trials import Store
from tests.command import BENCH
from tests.store.recorded import recorded

ONE, TWO, GONE = "1" * 16, "2" * 16, "3" * 16
DATA, WEIGHTS = "d" * 64, "sha256:" + "e" * 64
KEY = FeatureKey("backbone", WEIGHTS, 96, "unit", DATA)


def trial(identity: str) -> TrialRecord:
    images, n = np.array([f"{i}.jpg" for i in range(5)]), 5
    places = np.full((n, 8, 2), 0.25, np.float32)
    return TrialRecord(
        id=identity,
        spec={"seed": 1},
        data={"fingerprint": DATA},
        metrics={"accuracy": 0.5, "precision_pooled": float("nan")},
        history=[(1, "train", "loss", 2.5)],
        predictions=Predictions(images, np.zeros(n, int), np.full((n, 3), 1 / 3, np.float32)),
        landmarks=Landmarks(images, np.zeros((n, 8), np.int8), places, places),
        gate=GateRecord(images, np.ones(n, "f4"), np.ones(n, "f4"), np.ones((n, 2, 2), np.float16)),
        weights=KeptWeights("last", b"numbers"),
        environment={"backbone_weights": WEIGHTS},
    )


def age(path: Path) -> None:
    """As if it had been left an hour ago."""
    for part in [path, *path.rglob("*")]:
        os.utime(part, (1, 1))


def flip(path: Path, at: int = -9) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(bytes(content))


class Workspace:
    """Results with a study of two trials, and a cache with what they were trained on."""

    def __init__(self, root: Path) -> None:
        self.results, self.cache = root / "results", root / "cache"
        self.store = Store(self.results)
        for identity in (ONE, TWO):
            self.store.write(trial(identity))
        self.store.write_failure(GONE, {"error": "died"})
        seeds = {"0": ONE, "1": TWO, "2": GONE}
        data = {"fingerprint": DATA, "root": str(root / "data")}
        self.store.write_study(recorded("asked", {"plain": seeds}, data))
        self.features = FeatureStore(self.cache, KEY)
        self.features.write([3, 1], np.zeros((2, 2, 2, 1), "f4"), {1: "truncated"})
        self.features.write([7], np.ones((1, 2, 2, 1), "f4"), {})

    def fsck(self, *, repair: bool = False) -> FsckReport:
        return fsck(self.results, self.cache, repair=repair, say=lambda *told: None)

    def trial(self, name: str = "trial.json") -> Path:
        return self.store.trials / ONE / name

    def shard(self) -> Path:
        return sorted(self.features.folder.glob("*.npy"))[0]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_what_the_bench_wrote_is_clean(workspace: Workspace) -> None:
    report = workspace.fsck()
    assert report.found == () and (report.trials, report.without_checksums) == (2, 0)


TABLES = ("history", "predictions", "landmarks", "gate")
PARTS = ("trial.json", "last.weights.h5", *(f"{name}.parquet" for name in TABLES))


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("fault", ["flipped", "truncated", "empty", "missing"])
def test_a_damaged_trial_is_not_read_and_is_moved_aside_to_be_trained_again(
    workspace: Workspace, name: str, fault: str
) -> None:
    path = workspace.trial(name)
    if fault == "flipped":
        flip(path, len(path.read_bytes()) // 2)
    elif fault == "missing":
        path.unlink()
    else:
        os.truncate(path, 0 if fault == "empty" else path.stat().st_size // 2)
    with pytest.raises(BenchError):
        workspace.store.read(ONE, weights=True)
    (found,) = workspace.fsck(repair=True).found
    assert (found.kind, found.repaired) == ("damaged trial", True)
    assert found.retrain == (f"asked: plain, seed 0 ({ONE})",)
    assert not workspace.store.has(ONE) and (workspace.results / "damaged" / f"{ONE}-1").is_dir()
    workspace.store.write(trial(ONE))
    assert workspace.fsck().found == ()


def test_any_flipped_byte_of_a_trial_is_found_or_changes_nothing(workspace: Workspace) -> None:
    read = workspace.store.read(ONE, weights=True)
    for name in PARTS:
        path = workspace.trial(name)
        whole = path.read_bytes()
        for at in range(0, len(whole), 29):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            try:
                again = workspace.store.read(ONE, weights=True)
            except BenchError as error:
                assert ONE in str(error) and error.fix
                continue
            assert name == "trial.json"  # between its values, JSON has bytes without a meaning
            assert (again.metrics["accuracy"], again.data) == (read.metrics["accuracy"], read.data)
        path.write_bytes(whole)


@pytest.mark.parametrize("fault", [flip, Path.unlink])
def test_what_trials_have_in_common_is_checked_with_each_of_them(
    workspace: Workspace, fault: Callable[[Path], None]
) -> None:
    for identity in (ONE, TWO):
        workspace.store.write(trial(identity), replace=True, share=True)
    assert workspace.fsck().found == ()
    for path in workspace.store.common.iterdir():
        fault(path)
    with pytest.raises(BenchError, match="common"):
        workspace.store.read(ONE)
    kinds = [found.kind for found in workspace.fsck(repair=True).found]
    assert kinds == ["damaged trial"] * 2 + ["damaged common columns"] * 3 * (fault is flip)
    workspace.store.write(trial(ONE), share=True)
    assert workspace.store.read(ONE).id == ONE


def test_a_trial_from_before_checksums_is_read_and_counted(workspace: Workspace) -> None:
    plain = json.loads(workspace.trial().read_text())
    workspace.trial("last.weights.h5").unlink()  # there were none then
    del plain["files"], plain["own_sha256"]
    workspace.trial().write_text(json.dumps(plain))
    assert workspace.store.read(ONE).metrics["accuracy"] == 0.5
    report = workspace.fsck()
    assert report.found == () and report.without_checksums == 1
    os.truncate(workspace.trial("predictions.parquet"), 100)
    assert [found.kind for found in workspace.fsck().found] == ["damaged trial"]


def test_a_record_cannot_be_stripped_of_its_own_checksum(workspace: Workspace) -> None:
    workspace.trial().write_text(workspace.trial().read_text().replace("own_sha256", "own_sha255"))
    with pytest.raises(BenchError, match="checksum"):
        workspace.store.summary(ONE)


def test_a_folder_without_a_record_does_not_stand_in_the_way_of_a_trial(
    workspace: Workspace,
) -> None:
    workspace.trial().unlink()
    workspace.store.write(trial(ONE))
    assert (
        workspace.store.read(ONE).id == ONE
        and (workspace.results / "damaged" / f"{ONE}-1").is_dir()
    )


def damage_study(workspace: Workspace) -> None:
    flip(workspace.results / "studies" / "asked.json")


def damage_failure(workspace: Workspace) -> None:
    flip(workspace.results / "failures" / GONE / "1.json", 20)


def damage_superseded(workspace: Workspace) -> None:
    workspace.store.write(trial(TWO), replace=True)
    flip(workspace.results / "superseded" / f"{TWO}-1" / "history.parquet")


def half_a_draft(workspace: Workspace) -> None:
    draft = workspace.results / "drafts" / f"{TWO}.x"
    shutil.copytree(workspace.store.trials / TWO, draft)
    (draft / "trial.json").unlink()
    age(draft)


def flip_maps(workspace: Workspace) -> None:
    flip(workspace.shard())


def lose_maps(workspace: Workspace) -> None:
    workspace.shard().unlink()


def cut_description(workspace: Workspace) -> None:
    os.truncate(workspace.shard().with_suffix(".json"), 30)


def forget_description(workspace: Workspace) -> None:
    workspace.shard().with_suffix(".json").unlink()
    age(workspace.shard())


def rename_rows(workspace: Workspace) -> None:
    path = workspace.shard().with_suffix(".json")
    plain = json.loads(path.read_text())
    del plain["own_sha256"]
    plain["rows"] = [row + 1 for row in plain["rows"]]
    path.write_text(json.dumps(plain))


def damage_about(workspace: Workspace) -> None:
    flip(workspace.features.folder / "about.json", 30)


def other_data(workspace: Workspace) -> None:
    key = FeatureKey("backbone", WEIGHTS, 96, "unit", "0" * 64)
    FeatureStore(workspace.cache, key).write([1], np.zeros((1, 2, 2, 1), "f4"), {})


def other_weights(workspace: Workspace) -> None:
    key = FeatureKey("backbone", "sha256:" + "0" * 64, 96, "unit", DATA)
    FeatureStore(workspace.cache, key).write([1], np.zeros((1, 2, 2, 1), "f4"), {})


def other_format(workspace: Workspace) -> None:
    key = FeatureKey("backbone", WEIGHTS, 96, "unit", DATA, format=0)
    FeatureStore(workspace.cache, key).write([1], np.zeros((1, 2, 2, 1), "f4"), {})


def old_weights(workspace: Workspace) -> None:
    (workspace.cache / "weights").mkdir()
    (workspace.cache / "weights" / "small-phantom-v4.weights.h5").write_bytes(b"old")


def model_of_no_study(workspace: Workspace) -> None:
    Store(workspace.cache / "models" / "best").write(trial("4" * 16))


def damage_model(workspace: Workspace) -> None:
    again = Store(workspace.cache / "models" / "last")
    again.write(trial(ONE))
    flip(again.trials / ONE / "predictions.parquet")


def old_phantom(workspace: Workspace) -> None:
    folder = workspace.cache / "phantom" / "50-images-seed-0"
    folder.mkdir(parents=True)
    (folder / "phantom.json").write_text('{"version": 0}')


def progress_left(workspace: Workspace) -> None:
    (workspace.cache / ".progress-x").mkdir()
    age(workspace.cache / ".progress-x")


def draft_left(workspace: Workspace) -> None:
    draft = workspace.features.folder / ".x.12.npy"
    draft.write_bytes(b"half")
    age(draft)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (damage_failure, "damaged failure record"),
        (damage_superseded, "damaged superseded trial"),
        (half_a_draft, "leftover"),
        (flip_maps, "damaged features"),
        (lose_maps, "damaged features"),
        (cut_description, "damaged features"),
        (forget_description, "leftover"),
        (rename_rows, "damaged features"),
        (damage_about, "damaged features"),
        (other_data, "stale features"),
        (other_weights, "stale features"),
        (other_format, "stale features"),
        (old_weights, "stale weights"),
        (old_phantom, "stale phantom"),
        (model_of_no_study, "stale model"),
        (damage_model, "damaged model"),
        (progress_left, "leftover"),
        (draft_left, "leftover"),
    ],
)
def test_a_fault_is_found_and_once_repaired_found_no_more(
    workspace: Workspace, fault: Callable[[Workspace], None], kind: str
) -> None:
    fault(workspace)
    before = workspace.fsck()
    assert [found.kind for found in before.found] == [kind]
    assert workspace.fsck().found == before.found, "looking changes nothing"
    assert all(found.repaired for found in workspace.fsck(repair=True).found)
    # A failure that cannot be read any more leaves its trial neither finished nor failed.
    left = ["missing trials"] if fault is damage_failure else []
    assert [found.kind for found in workspace.fsck().found] == left


def test_a_damaged_study_is_moved_aside_and_named(workspace: Workspace) -> None:
    damage_study(workspace)
    with pytest.raises(BenchError, match=r"asked\.json.*checksum"):
        workspace.store.studies()
    (found,) = workspace.fsck(repair=True).found
    assert (found.kind, found.repaired) == ("damaged study record", True)
    assert workspace.store.studies() == [] and list(workspace.results.glob("damaged/studies/*"))


def test_foreign_files_are_named_and_never_touched(workspace: Workspace) -> None:
    strangers = [
        workspace.store.trials / "notes",
        workspace.store.trials / ONE / "notes.txt",
        workspace.results / "studies" / "notes.txt",
        workspace.features.folder / "notes.txt",
        workspace.cache / "features" / "notes.txt",
        workspace.cache / "models" / "notes.txt",
    ]
    (workspace.cache / "models").mkdir()
    for path in strangers:
        path.write_text("mine")
    report = workspace.fsck(repair=True)
    assert {found.path for found in report.found} == set(map(str, strangers))
    assert {(found.kind, found.repair) for found in report.found} == {("foreign", None)}
    assert all(path.read_text() == "mine" for path in strangers)


def test_a_trial_that_is_gone_is_named(workspace: Workspace) -> None:
    shutil.rmtree(workspace.store.trials / TWO)
    report = workspace.fsck()
    assert [found.kind for found in report.found] == ["missing trials"]
    assert report.retrain == (f"asked: plain, seed 1 ({TWO})",)


def test_a_draft_that_is_whole_is_put_in_its_place(workspace: Workspace) -> None:
    draft = workspace.results / "drafts" / f"{ONE}.x"
    (workspace.store.trials / ONE).rename(draft)
    assert "missing trials" in [found.kind for found in workspace.fsck().found]
    age(draft)
    assert "finished trial in drafts/" in [
        found.kind for found in workspace.fsck(repair=True).found
    ]
    assert workspace.fsck().found == () and workspace.store.read(ONE).id == ONE


LEAVE = """
import os, signal, sys
from contextlib import ExitStack
from pathlib import Path
from bench.files.atomic import new_file, new_folder
from bench.files.locks import locked
results, cache, one, gone = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
with ExitStack() as stack:
    for file in (
        results / "studies" / "asked.json", results / "failures" / gone / "2.json",
        cache / "image-sizes-0.npz",
        next(cache.glob("features/*")) / "x.npy",
    ):
        stack.enter_context(new_file(file)).write_text("half")
    stack.enter_context(new_folder(results / "trials" / gone, drafts=results / "drafts"))
    stack.enter_context(new_folder(results / "checkpoints" / one))
    stack.enter_context(new_folder(cache / "phantom" / "p"))
    stack.enter_context(locked(results / "claims" / gone, wait=True))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_whatever_a_killed_process_left_is_found_and_removed(workspace: Workspace) -> None:
    before = {path for path in workspace.results.parent.rglob("*") if path.is_file()}
    folders = [str(workspace.results), str(workspace.cache)]
    subprocess.run([sys.executable, "-c", LEAVE, *folders, ONE, GONE], check=False)
    assert workspace.fsck().found == (), "it may still be written"
    age(workspace.results)
    age(workspace.cache)
    found = workspace.fsck(repair=True).found
    assert [one.kind for one in found] == ["leftover"] * 8
    assert {path for path in workspace.results.parent.rglob("*") if path.is_file()} == before


def test_what_is_being_written_is_left_alone(workspace: Workspace) -> None:
    (workspace.results / "drafts" / f"{GONE}.x").mkdir()
    (workspace.cache / ".progress-x").mkdir()
    (workspace.features.folder / ".x.12.npy").write_bytes(b"half")
    assert workspace.fsck().found == ()


def test_features_of_a_description_for_other_images_are_not_used(workspace: Workspace) -> None:
    assert workspace.features.missing([1, 3, 7]) == []
    rows = {row for row in (1, 3, 7) if row + 1 not in (1, 3, 7)}
    rename_rows(workspace)
    missing = workspace.features.missing([1, 2, 3, 4, 7, 8])
    assert rows & set(missing) and {2, 4, 8} <= set(missing)


def test_the_command_names_what_it_found_and_exits_with_1(workspace: Workspace) -> None:
    flip(workspace.trial("history.parquet"))
    folders = ["--results", str(workspace.results), "--cache", str(workspace.cache)]

    def bench(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [*BENCH, "fsck", *folders, *words],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout

    code, said = bench("--json")
    (found,) = json.loads(said)["found"]
    assert code == 1 and found["kind"] == "damaged trial" and ONE in found["retrain"][0]
    code, said = bench("--repair")
    said = " ".join(said.split())
    assert code == 1 and "repaired: moved to damaged/" in said and "asked: plain, seed 0" in said
    workspace.store.write(trial(ONE))
    assert bench() == (0, "2 trials looked over: nothing found\n")


def test_without_results_and_cache_there_is_nothing_to_look_over(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="neither"):
        fsck(tmp_path / "no", tmp_path / "none", repair=False, say=lambda *told: None)
