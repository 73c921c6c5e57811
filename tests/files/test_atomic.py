"""Files and folders appear whole or not at all, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.files.atomic import DRAFT_SUFFIX, new_file, new_folder, write_json


def fill(folder: Path, text: str) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text(text)


def test_a_file_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.npz"
    with new_file(path) as draft:
        draft.write_text("old")
        assert draft.name == "file.npz" and not path.exists()
    with pytest.raises(ValueError, match="half"), new_file(path) as draft:
        draft.write_text("ne")
        raise ValueError("half")
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    path, drafts = tmp_path / "kept" / "folder", tmp_path / "drafts"
    with new_folder(path, drafts=drafts) as draft:
        assert draft.parent == drafts and not path.exists()
        fill(draft, "new")
    assert (path / "inner" / "file").read_text() == "new" and not list(drafts.iterdir())


def test_the_first_of_two_folders_stands(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with pytest.raises(FileExistsError), new_folder(path) as late:
        fill(late, "late")
        with new_folder(path) as early:
            fill(early, "early")
    assert (path / "inner" / "file").read_text() == "early" and list(tmp_path.iterdir()) == [path]


def test_way_is_made_for_a_folder_only_when_it_is_whole(tmp_path: Path) -> None:
    path, old = tmp_path / "folder", tmp_path / "old"
    fill(path.parent, "unrelated")
    path.mkdir()
    fill(path, "old")
    with (
        pytest.raises(ValueError, match="half"),
        new_folder(path, make_way=lambda: path.rename(old)) as draft,
    ):
        fill(draft, "half")
        raise ValueError("half")
    assert (path / "inner" / "file").read_text() == "old" and not old.exists()
    with new_folder(path, make_way=lambda: path.rename(old)) as draft:
        fill(draft, "new")
    assert (path / "inner" / "file").read_text() == "new"
    assert (old / "inner" / "file").read_text() == "old"


def test_a_killed_writer_leaves_one_draft_that_names_its_process(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from bench.files.atomic import new_file
with new_file(Path({str(tmp_path)!r}, "file")) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    writer = subprocess.Popen([sys.executable, "-c", script])
    assert writer.wait() == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".file.") and left.name.endswith(f".{writer.pid}{DRAFT_SUFFIX}")


def test_new_folders_are_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with new_folder(tmp_path / "folder"):
        pass
    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "folder")}
    assert len(modes) == 1


def test_json_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": float("nan"), "a": [float("inf"), (1.5, "é")]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [None, [1.5, "é"]], "b": None}
    assert text.index('"a"') < text.index('"b"') and os.listdir(tmp_path) == ["a.json"]  # noqa: PTH208
