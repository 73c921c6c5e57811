"""How a process computes: with the same bytes on every x86-64 processor, or as fast as its own can.

TensorFlow sums with oneDNN or with Eigen, and oneDNN with the widest instructions that it finds:
unlike processors round otherwise. Portable arithmetic is oneDNN everywhere, held to AVX2, on one
thread and without a GPU. What was compared between which processors: docs/portable.md.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from bench.errors import BenchError
from bench.files.processor import has_avx2, instruction_sets, processor

ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}
PORTABLE = {**ONEDNN, "CUDA_VISIBLE_DEVICES": "-1"}
"""Environment of a process in portable arithmetic, from before TensorFlow is imported."""


def compute_in(arithmetic: str) -> None:
    """Set this process up for an arithmetic, before Keras' backend is imported.

    Args:
        arithmetic: `portable` or `native`.

    Raises:
        BenchError: It is portable, and TensorFlow is there already, or the processor lacks AVX2.
    """
    if arithmetic == "native":
        return
    if not has_avx2():
        raise BenchError(
            f"portable arithmetic needs an x86-64 processor with AVX2; this is {processor()}",
            where="train.arithmetic",
            fix="add `--set train.arithmetic=native`: other numbers than elsewhere, and other "
            "trials",
        )
    if "tensorflow" in sys.modules and not _is_portable():
        raise BenchError(
            "portable arithmetic is chosen before TensorFlow is imported, and it is imported",
            where="train.arithmetic",
            fix="call bench.train.arithmetic.compute_in('portable') first, in a new process",
        )
    os.environ |= PORTABLE


def _is_portable() -> bool:
    return all(os.environ.get(name) == value for name, value in PORTABLE.items())


def check_arithmetic(arithmetic: str) -> None:
    """Make sure that this process computes as a trial asks for; what is native may be anything.

    Raises:
        BenchError: It does not.
    """
    if arithmetic == "portable" and not _is_portable():
        raise BenchError(
            "the trial asks for portable arithmetic, and this process computes otherwise",
            where="train.arithmetic",
            fix="call bench.train.arithmetic.compute_in('portable') first, in a new process",
        )


def hardware() -> dict[str, Any]:
    """What a trial's rounding depends on beside its settings, for its record."""
    import keras

    found: dict[str, Any] = {"processor": processor(), "instructions": list(instruction_sets())}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        found |= {
            "tensorflow": tf.__version__,
            "onednn": {name: os.environ.get(name) for name in ONEDNN},
            "gpus": [details(gpu) for gpu in tf.config.list_physical_devices("GPU")],
        }
    return found
