"""No pickle is ever loaded from a file: not by the bench's own code, and not by what it calls.

Ray moves values between its own processes by pickle; no file that the bench reads is one.
"""

from __future__ import annotations

import ast
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.data.sizes import image_sizes
from bench.data.tree import scan_images
from bench.errors import BenchError
from bench.store.features import FeatureKey, FeatureStore
from bench.store.fsck.check import fsck

SOURCES = sorted(Path(bench.__file__).parent.rglob("*.py"))
UNSAFE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
LOADERS = {"eval", "exec", "compile", "__import__", "read_pickle", "load_model", "unsafe_load"}
"""Functions that run, or may run, what they read."""


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_no_source_imports_or_calls_what_runs_what_it_reads(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        where = f"{source.name}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Import(names=names):
                assert not {name.name.split(".")[0] for name in names} & UNSAFE, where
            case ast.ImportFrom(module=str(module)):
                assert module.split(".")[0] not in UNSAFE, where
            case ast.Call(func=ast.Attribute(value=owner, attr=name)):
                owner_name = owner.id if isinstance(owner, ast.Name) else ""
                # `model.compile`, `re.compile` and the like are other functions.
                assert name not in LOADERS - {"compile"}, where
                assert (owner_name, name) not in {("torch", "load"), ("yaml", "load")}, where
                if (owner_name, name) == ("np", "load"):
                    given = {word.arg: word.value for word in node.keywords}
                    refused = given.get("allow_pickle")
                    assert isinstance(refused, ast.Constant) and refused.value is False, where
            case ast.Call(func=ast.Name(id=name)):
                assert name not in LOADERS, where
            case ast.keyword(arg="safe_mode" | "allow_pickle", value=value):
                given = value.value if isinstance(value, ast.Constant) else None
                assert given is (node.arg == "safe_mode"), where


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return (Path.touch, (self.sprung,))


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "sprung")


KEY = FeatureKey("backbone", "sha256:0", 96, "unit", "fingerprint")


@pytest.mark.parametrize("form", ["object array", "bare pickle"])
def test_a_pickle_among_the_features_is_one_clear_error(
    tmp_path: Path, trap: Trap, form: str
) -> None:
    store = FeatureStore(tmp_path, KEY)
    if form == "object array":
        # As whoever could also write the checksums would: by the store's own code.
        store.write([0], np.zeros((1, 2, 2, 1), "f4"), {})
        (maps,) = store.folder.glob("*.npy")
        with maps.open("wb") as file:
            np.save(file, np.array([trap], dtype=object), allow_pickle=True)
    else:
        store.write([0], np.zeros((1, 2, 2, 1), "f4"), {})
        (maps,) = store.folder.glob("*.npy")
        maps.write_bytes(pickle.dumps(trap))
    with pytest.raises(BenchError, match="expected the maps of 1 images"):
        store.reader()
    assert [found.kind for found in fsck(tmp_path, tmp_path, repair=True, say=print).found] == [
        "damaged features"
    ]
    assert store.missing([0]) == [0] and not trap.sprung.exists()


def test_a_pickle_in_the_place_of_kept_image_sizes_is_read_over(tmp_path: Path, trap: Trap) -> None:
    from PIL import Image

    from bench.data.issues import IssueLog

    (tmp_path / "img").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "img" / "a.jpg")
    tree = scan_images(tmp_path, tmp_path, "img", IssueLog())
    image_sizes(tree, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("*.npz")
    array = tmp_path / "names.npy"
    with array.open("wb") as file:
        np.save(file, np.array([trap], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(kept, "w") as archive:
        for name in ("names", "bytes", "mtimes", "sizes"):
            archive.write(array, f"{name}.npy")
    assert image_sizes(tree, cache=tmp_path / "cache")[0].tolist() == [[30, 20]]
    kept.write_bytes(pickle.dumps(trap))
    assert image_sizes(tree, cache=tmp_path / "cache")[0].tolist() == [[30, 20]]
    assert not trap.sprung.exists()


def test_any_flipped_byte_of_kept_image_sizes_gives_the_sizes_all_the_same(tmp_path: Path) -> None:
    from PIL import Image

    from bench.data.issues import IssueLog

    (tmp_path / "img").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "img" / "a.jpg")
    tree = scan_images(tmp_path, tmp_path, "img", IssueLog())
    image_sizes(tree, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("*.npz")
    whole = kept.read_bytes()
    for at in range(0, len(whole), 5):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        assert image_sizes(tree, cache=tmp_path / "cache")[0].tolist() == [[30, 20]], at
