"""How a process computes: with the same bytes on every x86-64 processor, or as fast as its own can.

By its name: `portable` and `native` are TensorFlow's, `jax` and `torch` those backends'.

TensorFlow sums with oneDNN or with Eigen, and oneDNN with the widest instructions that it finds:
unlike processors round otherwise. Portable arithmetic is oneDNN everywhere, held to AVX2, on one
thread and without a GPU. What was compared between which processors: docs/portable.md.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.processor import has_avx2, instruction_sets, processor

BACKENDS = {"portable": "tensorflow", "native": "tensorflow", "jax": "jax", "torch": "torch"}
"""Arithmetic -> the backend of Keras that computes in it."""

ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}
COMPILED = "jax"
"""Folder in the cache of the programs that JAX compiled."""

PORTABLE = {**ONEDNN, "CUDA_VISIBLE_DEVICES": "-1"}
"""Environment of a process in portable arithmetic, from before TensorFlow is imported."""


def compute_in(arithmetic: str, cache: Path | None = None) -> None:
    """Set this process up for an arithmetic, before Keras' backend is imported.

    Args:
        arithmetic: Its name.
        cache: Cache folder, where JAX keeps the programs that it compiles; None to keep none.

    Raises:
        BenchError: Its backend is not installed, or Keras has another already; or it is portable,
            and TensorFlow is there already, or the processor lacks AVX2.
    """
    check_installed(arithmetic)
    os.environ["KERAS_BACKEND"] = BACKENDS[arithmetic]
    if "keras" in sys.modules:
        _check_backend(arithmetic)
    if arithmetic == "jax" and cache is not None:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache.resolve() / COMPILED))
    if arithmetic == "portable":
        _compute_portably()


def check_installed(arithmetic: str) -> None:
    """Make sure that an arithmetic's backend is there.

    Raises:
        BenchError: It is not installed.
    """
    backend = BACKENDS[arithmetic]
    if find_spec(backend) is None:
        raise BenchError(
            f"the backend {backend} is not installed",
            where="train.backend",
            fix=f"pip install 'ropanet-bench[{backend}]'",
        )


def _compute_portably() -> None:
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
    _check_backend(arithmetic)
    if arithmetic == "portable" and not _is_portable():
        raise BenchError(
            "the trial asks for portable arithmetic, and this process computes otherwise",
            where="train.arithmetic",
            fix="call bench.train.arithmetic.compute_in('portable') first, in a new process",
        )


def _check_backend(arithmetic: str) -> None:
    import keras

    found, wanted = keras.backend.backend(), BACKENDS[arithmetic]
    if found != wanted:
        raise BenchError(
            f"the trial asks for the backend {wanted}, and Keras computes with {found} here",
            where="train.backend",
            fix=f"set KERAS_BACKEND={wanted} before Keras is imported, or train.backend to {found}",
        )


def hardware() -> dict[str, Any]:
    """What a trial's rounding depends on beside its settings, for its record."""
    import keras

    backend = keras.backend.backend()
    found: dict[str, Any] = {"processor": processor(), "instructions": list(instruction_sets())}
    if backend == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        found |= {
            "tensorflow": tf.__version__,
            "onednn": {name: os.environ.get(name) for name in ONEDNN},
            "gpus": [details(gpu) for gpu in tf.config.list_physical_devices("GPU")],
        }
    elif backend == "jax":
        import jax

        devices = [device for device in jax.devices() if device.platform != "cpu"]
        found |= {"jax": jax.__version__, "gpus": [device.device_kind for device in devices]}
    elif backend == "torch":
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        found |= {"torch": torch.__version__, "gpus": names}
    return found
