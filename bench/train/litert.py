"""A whole model in LiteRT's forms: how its numbers are kept in the file, and computed with.

Light until one is written.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.store.phone import FormName


class Unsupported(Exception):  # noqa: N818 - it names an operation's state
    """A form has no counterpart of some of the model's operations, which the text names."""


def image_spec(model: Any, images: int | None) -> Any:
    """The input of so many images at once, None for any number; a phone has one."""
    import keras

    image = model.input
    return keras.InputSpec(shape=(images, *image.shape[1:]), dtype=image.dtype, name=image.name)


@contextmanager
def saved_for_litert(model: Any) -> Iterator[Path]:
    """The SavedModel of one image at a time that LiteRT's forms are converted from.

    Args:
        model: The whole model (`bench.train.whole_model`).
    """
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        folder = Path(scratch) / "model"
        signature = [image_spec(model, 1)]
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=signature)
        yield folder


def litert(saved: Path, form: FormName = "float32", images: np.ndarray | None = None) -> bytes:
    """A form of a model, of LiteRT's own operations alone: TensorFlow's are not on a phone.

    Args:
        saved: `saved_for_litert`.
        form: How its numbers are kept (`bench.store.phone.FORMS`).
        images: `(n, side, side, 3)` uint8 training images, which the scales of full integers are
            found on; another form takes none.

    Returns:
        The file's content.

    Raises:
        Unsupported: The form has no counterpart of some operation.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.experimental_enable_resource_variables = True
    if form != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if form == "int8":
        assert images is not None and len(images), "full integers are calibrated on images"
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ({"image": one[None]} for one in images)
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter's own, which TensorFlow does not export
        named = _operations(str(error))
        if not named:
            raise
        raise Unsupported(named) from error


_NAMED = (
    re.compile(r"(?:TF Select|Custom) ops: (.+)"),
    re.compile(r"Quantization not yet supported for op: '?([\w, ']+?)'?$", re.MULTILINE),
)


def _operations(message: str) -> str:
    """The operations that a converter's error names; empty where it names none."""
    found = [name for pattern in _NAMED for name in pattern.findall(message)]
    return ", ".join(dict.fromkeys(found))
