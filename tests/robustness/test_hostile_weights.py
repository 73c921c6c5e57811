"""Weights from strangers: numbers that fit are loaded, anything else is one clear error."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from bench.errors import BenchError
from bench.models.efficientnet_lite import efficientnet_lite0_stage3 as build
from bench.systems.settings import BackboneSettings
from bench.train.extract import open_backbone

SIDE = 32


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a backbone, as Keras writes them."""
    path = tmp_path_factory.mktemp("weights") / "sound.weights.h5"
    build(SIDE, None).save_weights(path)
    return path


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "given.weights.h5"))


def load(path: Path) -> Any:
    settings = BackboneSettings(
        name="efficientnet_lite0_stage3", weights=str(path), input_size=SIDE
    )
    return open_backbone(settings)


def first(file: h5py.File) -> str:
    return str(next(name for name in _names(file) if isinstance(file[name], h5py.Dataset)))


def _names(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visit(names.append)
    return names


def elsewhere(file: h5py.File, secret: Path) -> None:
    name = first(file)
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def linked(file: h5py.File, secret: Path) -> None:
    name = first(file)
    del file[name]
    file[name] = h5py.ExternalLink(str(secret), "/x")


def softly(file: h5py.File, secret: Path) -> None:
    file["loop"] = h5py.SoftLink("/loop")


def virtual(file: h5py.File, secret: Path) -> None:
    name = first(file)
    shape = file[name].shape
    del file[name]
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource(str(secret), "x", shape=shape)
    file.create_virtual_dataset(name, layout)


def huge(file: h5py.File, secret: Path) -> None:
    name = first(file)
    del file[name]
    file.create_dataset(name, (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


def words(file: h5py.File, secret: Path) -> None:
    name = first(file)
    del file[name]
    file[name] = np.array([b"import os"] * 24)


def not_a_number(file: h5py.File, secret: Path) -> None:
    file[first(file)][...] = np.nan


def other_shape(file: h5py.File, secret: Path) -> None:
    name = first(file)
    del file[name]
    file[name] = np.zeros((3, 3), "f4")


def one_short(file: h5py.File, secret: Path) -> None:
    del file[first(file)]


def a_type(file: h5py.File, secret: Path) -> None:
    file["type"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (elsewhere, "from another file"),
        (linked, "a link to another place or file"),
        (softly, "a link to another place or file"),
        (virtual, "from another file"),
        (huge, "unpacks to more than"),
        (words, "not numbers"),
        (a_type, "not numbers"),
        (not_a_number, "NaN or infinity"),
        (other_shape, "do not fit the backbone efficientnet_lite0_stage3"),
        (one_short, "do not fit the backbone efficientnet_lite0_stage3"),
    ],
)
def test_hdf5_that_is_not_these_weights_is_refused_by_name(
    copy: Path, tmp_path: Path, change: Callable[[h5py.File, Path], None], said: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123" * 1000)
    with h5py.File(copy, "r+") as file:
        change(file, secret)
    with pytest.raises(BenchError, match=said) as error:
        load(copy)
    assert error.value.where == str(copy) and error.value.fix


def test_a_group_that_holds_itself_is_walked_once(copy: Path, tmp_path: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file["layers/again"] = file["/"]
    assert len(load(copy).weights) == 30


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
def test_an_archive_with_code_in_it_is_refused_and_runs_nothing(
    tmp_path: Path, ending: str
) -> None:
    sprung, code = tmp_path / "sprung", "lambda x, path={!r}: (open(path, 'w'), x)[1]"
    layer = keras.layers.Lambda(eval(code.format(str(sprung))), output_shape=(3,))
    keras.Sequential([keras.Input((3,)), layer]).save(tmp_path / "model.keras")
    sprung.unlink(missing_ok=True)
    given = Path(shutil.copy(tmp_path / "model.keras", tmp_path / f"given{ending}"))
    with pytest.raises(BenchError, match="is no weights file that can be trusted"):
        load(given)
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["w.npz", "w.pkl", "w.ckpt", "w.h5", "w"])
def test_a_file_that_lies_about_its_type_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    with pytest.raises(BenchError, match="is no weights file that can be trusted"):
        load(tmp_path / name)


def test_damaged_hdf5_is_loaded_or_refused_and_nothing_else(sound: Path, tmp_path: Path) -> None:
    whole, draw = sound.read_bytes(), random.Random(0)
    times = int(os.environ.get("BENCH_MUTATIONS", "40"))
    refused = 0
    for number in range(times):
        damaged = bytearray(whole[: draw.randrange(len(whole))] if number % 4 == 0 else whole)
        for _ in range(draw.choice((1, 4, 64))):
            if damaged:
                damaged[draw.randrange(min(len(damaged), draw.choice((512, 40_000))))] ^= 255
        given = tmp_path / f"{number}.weights.h5"
        given.write_bytes(bytes(damaged))
        try:
            load(given)
        except BenchError as error:
            assert error.where == str(given)
            refused += 1
        given.unlink()
    assert refused > times // 4
