"""Looks a weights file over before Keras loads it: a file from a stranger is data, never code.

Only HDF5 is taken. An archive (`.keras`) may hold layers with Python code in them, and HDF5 itself
can name other files, on this machine too, whose bytes would be read as weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError

MOST_BYTES = 4 * 2**30
"""Of all weights once unpacked; the largest backbone here has 0.1 GB."""

MOST_OBJECTS = 100_000


def check_weights_file(path: Path) -> None:
    """Make sure that a file holds numbers and nothing else.

    Args:
        path: The weights.

    Raises:
        BenchError: It is no HDF5 file, is damaged, names other files, or holds what is no finite
            number.
    """
    import h5py

    if path.suffix != ".h5":
        raise _refused(path, "expected a file that ends in .weights.h5 or .h5")
    total = 0
    try:
        with h5py.File(path, "r") as file:
            for name, dataset in _datasets(path, file):
                total += dataset.nbytes
                if dataset.dtype.kind not in "fiub":
                    raise _refused(path, f"{name} holds {dataset.dtype}, not numbers")
                if total > MOST_BYTES:
                    raise _refused(path, f"unpacks to more than {MOST_BYTES:,} bytes")
                if not np.isfinite(dataset[()]).all():
                    raise _refused(path, f"{name} holds NaN or infinity")
    except BenchError:
        raise
    except Exception as error:  # HDF5's reader raises whatever its parsing trips over
        raise _refused(path, f"cannot be read as HDF5: {error}") from error


def _datasets(path: Path, file: Any) -> Iterator[tuple[str, Any]]:
    """Every dataset, by the links that lead to it; a group that holds itself is walked once."""
    import h5py

    seen = {h5py.h5o.get_info(file.id).addr}
    pending, objects = [("", file)], 0
    while pending:
        before, group = pending.pop()
        for key in group:
            name, objects = f"{before}/{key}", objects + 1
            if objects > MOST_OBJECTS:
                raise _refused(path, f"holds more than {MOST_OBJECTS:,} objects")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise _refused(path, f"{name} is a link to another place or file")
            held = group[key]
            address = h5py.h5o.get_info(held.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(held, h5py.Group):
                pending.append((name, held))
            elif isinstance(held, h5py.Dataset):
                if held.external or held.is_virtual:
                    raise _refused(path, f"{name} takes its numbers from another file")
                yield name, held
            else:
                raise _refused(path, f"{name} is a {type(held).__name__}, not numbers")


def _refused(path: Path, found: str) -> BenchError:
    return BenchError(
        f"is no weights file that can be trusted: {found}",
        where=str(path),
        fix="give a file that Keras' `model.save_weights` wrote",
    )
