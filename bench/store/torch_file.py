"""Reads torch's old file format (before its zip files) without torch.

Such a file is three small pickles (magic number, protocol, system), a pickle of the state, a pickle
of the keys of its storages in the order of the file, then each storage: an int64 count and that
many little-endian numbers. No pickle in it is run (`bench.store.torch_pickle`).
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.store.torch_pickle import Storage, Tensor, described

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

MOST_BYTES = 2**28
"""Of a file, and of its numbers once read; the largest that is known here has 25 MB."""

MOST_PICKLED = 2**22
"""Bytes of one of its pickles; 56,000 in the largest."""

ZIP = b"PK\x03\x04"


def read_torch_file(path: Path, sha256: str, fix: str) -> dict[str, np.ndarray]:
    """The arrays of a torch state, by name.

    Args:
        path: The file.
        sha256: SHA-256 of the file that is expected; compared before anything of it is read.
        fix: What to do where it is another file.

    Raises:
        BenchError: It is missing, another file, or no state in torch's old format.
    """
    try:
        size = path.stat().st_size
        # Read once: the bytes that are compared are those that are used.
        data = b"" if size > MOST_BYTES else path.read_bytes()
    except OSError as error:
        raise BenchError(
            f"the weights cannot be read: {error.strerror}", where=str(path), fix=fix
        ) from error
    if size > MOST_BYTES:
        raise _refused(path, f"has {size:,} bytes, more than {MOST_BYTES:,}", fix)
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        what = " (it is of torch's newer zip form)" if data.startswith(ZIP) else ""
        raise BenchError(
            f"expected weights with the SHA-256 {sha256}, found {digest}{what}; nothing of it "
            "was read",
            where=str(path),
            fix=fix,
        )
    try:
        return _arrays(data)
    except ValueError as error:
        raise _refused(path, str(error), fix) from error


def _refused(path: Path, found: str, fix: str) -> BenchError:
    return BenchError(
        f"expected a state in torch's old file format: {found}", where=str(path), fix=fix
    )


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    if data.startswith(ZIP):
        raise ValueError("it is of torch's newer zip form")
    place = 0
    pickled: list[Any] = []
    for _ in range(5):
        value, length = described(data[place : place + MOST_PICKLED])
        pickled.append(value)
        place += length
        if len(pickled) == 1 and value != MAGIC:
            raise ValueError("it does not begin with torch's magic number")
    _, protocol, system, state, keys = pickled
    little = isinstance(system, dict) and system.get("little_endian") is True
    if protocol != PROTOCOL or not little:
        raise ValueError("it is of another protocol, or of a machine that is not little-endian")
    tensors = _tensors(state)
    numbers = _numbers(data, place, tensors, keys)
    return {name: tensor.of(numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _tensors(state: Any) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not state:
        raise ValueError("its state is no mapping")
    total = 0
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} is no tensor")
        # Tensors may share a storage: each becomes an array of its own.
        total += math.prod(tensor.size) * np.dtype(tensor.storage.dtype).itemsize
    if total > MOST_BYTES:
        raise ValueError(f"its tensors have more than {MOST_BYTES:,} bytes")
    return state


def _numbers(
    data: bytes, place: int, tensors: dict[str, Tensor], keys: Any
) -> dict[str, np.ndarray]:
    """The numbers of each storage, by its key."""
    storages: dict[str, Storage] = {}
    for tensor in tensors.values():
        storage = tensor.storage
        if storages.setdefault(storage.key, storage) != storage:
            raise ValueError("two of its tensors describe one storage differently")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("it does not list its storages")
    if len(set(keys)) != len(keys) or set(keys) != set(storages):
        raise ValueError("its storages are not those of its tensors")
    numbers = {}
    for key in keys:
        count, dtype = storages[key].count, np.dtype(storages[key].dtype)
        written = int.from_bytes(data[place : place + 8], "little", signed=True)
        end = place + 8 + count * dtype.itemsize
        if written != count or end > len(data):
            raise ValueError(f"a storage of {count:,} numbers is cut off, or of another length")
        numbers[key] = np.frombuffer(data, dtype, count, place + 8)
        place = end
    if place != len(data):
        raise ValueError(f"{len(data) - place:,} bytes follow its last storage")
    return numbers
