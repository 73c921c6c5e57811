"""The forms that a model is written in, by the ending of its file's name.

Light until one is written. Each file says of itself what the model is (`whole_model.description`):
a `.keras` file and a `.tflite` file hold it as `about.json`, being or ending in a ZIP archive, ONNX
as metadata, a SavedModel in `assets.extra/`, and `.weights.h5` as an attribute.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.atomic import new_file, new_folder
from bench.train.litert import Unsupported, image_spec, litert, saved_for_litert

ABOUT = "about.json"
KEY = "ropanet_bench"
"""Key of the description where a form has keys."""


@dataclass(frozen=True)
class Form:
    """A form of a model.

    Args:
        name: Its name in messages.
        write: Called with (model, its description, the path to write).
        packages: Modules that writing it imports, beside the bench's own dependencies.
        extra: Name of the extra that installs them.
    """

    name: str
    write: Callable[[Any, dict[str, Any], Path], None]
    packages: tuple[str, ...] = ()
    extra: str = ""


def form_of(path: Path) -> Form:
    """The form that a path's ending names; a name without an ending is a SavedModel's folder.

    Raises:
        BenchError: It names none, or what writes it is not installed.
    """
    ending = next((e for e in FORMS if e and path.name.endswith(e)), path.suffix)
    if ending not in FORMS or path.name in FORMS:
        raise BenchError(
            "is the name of no form that a model is written in",
            where=str(path),
            fix=f"end it in {', '.join(filter(None, FORMS))}; without an ending it is the folder "
            "of a SavedModel",
        )
    form = FORMS[ending]
    missing = [package for package in form.packages if find_spec(package) is None]
    if missing:
        raise BenchError(
            f"{form.name} is written with {' and '.join(missing)}, which is not installed",
            where=str(path),
            fix=f"run `pip install '.[{form.extra}]'` in the bench's folder",
        )
    return form


def check_free(path: Path, *, overwrite: bool) -> None:
    """Make sure that nothing is overwritten unasked.

    Args:
        path: Where a model is to be written.
        overwrite: Whether a model that is there may be replaced.

    Raises:
        BenchError: Something is there, and was not named to be replaced, or is no such model.
    """
    if not path.exists():
        return
    if not overwrite:
        raise BenchError(
            "is there already", where=str(path), fix="give another name, or add `--overwrite`"
        )
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        raise BenchError(
            "is a folder that holds no SavedModel, and is not replaced",
            where=str(path),
            fix="give another name",
        )


def write_model(model: Any, about: dict[str, Any], path: Path, *, overwrite: bool = False) -> None:
    """Write a model, whole or not at all.

    Args:
        model: The whole model (`bench.train.whole_model`).
        about: Its description.
        path: The file or folder; its ending names the form.
        overwrite: Whether a model that is there is replaced.

    Raises:
        BenchError: There is something at the path, or the form has no counterpart of some of the
            model's operations.
    """
    form = form_of(path)
    check_free(path, overwrite=overwrite)
    try:
        if path.suffix:
            with new_file(path) as draft:
                form.write(model, about, draft)
                check_free(path, overwrite=overwrite)  # it may have come meanwhile
            return
        old = path.with_name(f".{path.name}.replaced")

        def make_way() -> None:
            check_free(path, overwrite=overwrite)
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)

        with new_folder(path, make_way=make_way) as draft:
            form.write(model, about, draft)
        shutil.rmtree(old, ignore_errors=True)
    except Unsupported as error:
        raise BenchError(
            f"{form.name} has no form of the model's operations {error}",
            where=str(path),
            fix="write another form, such as .keras",
        ) from error


def _keras(model: Any, about: dict[str, Any], path: Path) -> None:
    model.save(path)
    append_about(path, about)


def _weights(model: Any, about: dict[str, Any], path: Path) -> None:
    import h5py

    model.save_weights(path)
    with h5py.File(path, "a") as file:
        file.attrs[KEY] = json.dumps(about)


def _saved_model(model: Any, about: dict[str, Any], path: Path) -> None:
    model.export(path, format="tf_saved_model", verbose=False)
    folder = path / "assets.extra"
    folder.mkdir()
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _onnx(model: Any, about: dict[str, Any], path: Path) -> None:
    import onnx

    model.export(path, format="onnx", verbose=False, input_signature=[image_spec(model, None)])
    graph = onnx.load(path)
    # tf2onnx leaves what it cannot convert in the graph, under TensorFlow's name.
    unknown = {node.op_type for node in graph.graph.node if not _is_onnx(node)}
    if unknown:
        raise Unsupported(", ".join(sorted(unknown)))
    onnx.helper.set_model_props(graph, {KEY: json.dumps(about)})
    onnx.save(graph, path)


def _is_onnx(node: Any) -> bool:
    import onnx

    return bool(onnx.defs.has(node.op_type, node.domain))


def _litert(model: Any, about: dict[str, Any], path: Path) -> None:
    with saved_for_litert(model) as saved:
        path.write_bytes(litert(saved))
    append_about(path, about)


def append_about(path: Path, about: dict[str, Any]) -> None:
    """Add a description to a file that may end in a ZIP archive."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(ABOUT, json.dumps(about, indent=1))


FORMS: dict[str, Form] = {
    ".keras": Form("Keras' own form", _keras),
    ".weights.h5": Form("a file of weights", _weights),
    ".onnx": Form("ONNX", _onnx, ("onnx", "tf2onnx"), "onnx"),
    ".tflite": Form("LiteRT", _litert),
    "": Form("TensorFlow's SavedModel", _saved_model),
}
"""Ending -> form."""
