"""Whether a process, a GPU or a whole machine ran out of memory, by what it left behind."""

from __future__ import annotations

import re

LOWER = "lower train.batch_size, or the side of the images (model.backbone.input_size)"
"""What to do about a trial that needs more memory than there is."""

_SAID = re.compile(
    r"\bMemoryError\b"  # Python and NumPy
    r"|\bOutOfMemoryError\b"  # PyTorch; Ray, which ends a worker before its machine is full
    r"|\bResourceExhaustedError\b|\bRESOURCE_EXHAUSTED\b"  # TensorFlow, JAX
)


def is_out_of_memory(message: str) -> bool:
    """Whether an error, with its type, says that memory ran out.

    Args:
        message: The error's type and text, or its traceback.
    """
    return _SAID.search(message) is not None
