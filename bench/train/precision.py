"""Arithmetic of less than 32 bits, where a setting asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers that are made meanwhile compute in this precision; their weights stay in float32.

    Args:
        precision: `float32` or `bfloat16`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
