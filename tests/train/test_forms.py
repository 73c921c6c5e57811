"""The forms of a model as files: whole or not at all, and nothing overwritten unasked."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bench.errors import BenchError
from bench.files.disk import report_disk_full
from bench.store.phone import FormName
from bench.train.forms import check_free, form_of, write_model
from bench.train.litert import Unsupported, litert, saved_for_litert
from bench.train.litert_process import NotRunError, answers_of_file


def small() -> Any:
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    flat = keras.layers.Flatten()(keras.ops.cast(image, "float32"))
    return keras.Model(image, {"probabilities": keras.layers.Dense(2)(flat)})


def unknown_operation() -> Any:
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    scaled = keras.ops.cast(image, "float32") / 256
    return keras.Model(image, {"probabilities": keras.ops.mean(keras.ops.erfinv(scaled), (1, 2))})


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx"])
def test_a_form_without_an_operation_of_the_model_names_it(name: str, tmp_path: Path) -> None:
    if name == "model.onnx":
        pytest.importorskip("tf2onnx")
    with pytest.raises(BenchError, match=r"has no form of the model's operations .*Erfinv"):
        write_model(unknown_operation(), {}, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["dynamic_int8", "int8"])
def test_a_phones_form_without_an_operation_of_the_model_names_it(form: FormName) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    with saved_for_litert(unknown_operation()) as saved:
        with pytest.raises(Unsupported, match=r"^Erfinv"):
            litert(saved, form, images)
        assert list(saved.parent.iterdir()) == [saved]
    assert not saved.parent.exists()


def outputs_that_cancel() -> Any:
    """A layer of large weights whose sum hardly varies: XNNPACK scales no integers that far."""
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    grey = keras.ops.mean(keras.ops.cast(image, "float32") / 255, (1, 2, 3))[:, None]
    last = keras.layers.Dense(2)
    model = keras.Model(image, {"probabilities": last(keras.layers.Concatenate()([grey, grey]))})
    last.set_weights([np.array([[9.0, 3.0], [-9.0, -3.0]]), np.zeros(2)])
    return model


def test_a_file_that_xnnpack_refuses_is_run_by_the_plain_kernels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    files: dict[FormName, Path] = {}
    with saved_for_litert(outputs_that_cancel()) as saved:
        for form in ("float32", "int8"):
            files[form] = tmp_path / f"{form}.tflite"
            files[form].write_bytes(litert(saved, form, images if form == "int8" else None))
    given = tmp_path / "images.npy"
    np.save(given, images)
    with pytest.raises(NotRunError):
        answers_of_file(files["int8"], given, xnnpack=True)
    for form, path in files.items():
        found = answers_of_file(path, given, xnnpack=form == "float32")
        np.testing.assert_allclose(found["probabilities"], np.zeros((20, 2)), atol=1e-3)


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5", "model"])
def test_nothing_is_overwritten_unasked(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_model(small(), {"first": 1}, path)
    before = {p: p.read_bytes() for p in (path, *path.rglob("*")) if p.is_file()}
    with pytest.raises(BenchError, match=r"is there already\n.*--overwrite"):
        write_model(small(), {}, path)
    assert {p: p.read_bytes() for p in before} == before
    write_model(small(), {"second": 2}, path, overwrite=True)
    assert {p: p.read_bytes() for p in before} != before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_of_anything_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(BenchError, match="holds no SavedModel"):
        check_free(tmp_path / "photos", overwrite=True)


@pytest.mark.parametrize("name", ["model.keras", "model"])
@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_full_disk_or_an_interrupt_leaves_nothing_half_written(
    fault: BaseException, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = small(), tmp_path / name
    write_model(model, {"first": 1}, path)
    before = {p: p.read_bytes() for p in (path, *path.rglob("*")) if p.is_file()}

    def half(self: Any, target: Path, **options: Any) -> None:
        place = target / "saved_model.pb" if target.is_dir() else target
        place.write_bytes(b"half")
        raise fault

    monkeypatch.setattr(keras.Model, "save" if path.suffix else "export", half)
    expected = BenchError if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(expected), report_disk_full(tmp_path):
        write_model(model, {}, path, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize("name", ["model.h5", "model.pt", ".keras"])
def test_a_name_of_no_form_is_an_error_that_lists_them(name: str) -> None:
    with pytest.raises(BenchError, match=r"\.keras, \.weights\.h5, \.onnx, \.tflite"):
        form_of(Path(name))


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.train.forms.find_spec", lambda package: None)
    with pytest.raises(BenchError, match=r"onnx and tf2onnx.*\n.*pip install '\.\[onnx\]'"):
        form_of(Path("model.onnx"))
