"""Reads torch's old file format (before its zip files) without torch.

Such a file is three small pickles (magic number, protocol, system), a pickle of the state, a pickle
of the keys of its storages in the order of the file, then each storage: an int64 count and that
many little-endian numbers.

A pickle is a program. A file is compared with the SHA-256 that is expected before anything of it is
read, and its pickles find four names, none of which does anything.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


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
        # Read once: the bytes that are compared are those that are used.
        data = path.read_bytes()
    except OSError as error:
        raise BenchError(
            f"the weights cannot be read: {error.strerror}", where=str(path), fix=fix
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise BenchError(
            f"expected weights with the SHA-256 {sha256}, found {digest}; nothing of it was read",
            where=str(path),
            fix=fix,
        )
    try:
        return _arrays(io.BytesIO(data))
    except Exception as error:  # A pickle may raise anything.
        raise BenchError(
            f"expected a state in torch's old file format: {error}", where=str(path), fix=fix
        ) from error


@dataclass(frozen=True)
class _Storage:
    """`count` numbers in the file."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """An array in a storage; `offset` and `stride` count numbers."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        width = numbers.itemsize
        strides = [width * step for step in self.stride]
        return np.ndarray(self.size, numbers.dtype, numbers.data, width * self.offset, strides)


_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": lambda *described: _Tensor(*described[:4]),
    "torch.FloatStorage": "<f4",
    "torch.LongStorage": "<i8",
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = f"{module}.{name}"
        if known not in _KNOWN:
            raise ValueError(f"it asks for `{known}`, which no state needs")
        return _KNOWN[known]

    def persistent_load(self, described: Any) -> _Storage:
        _, dtype, key, _, count, _ = described
        return _Storage(dtype, key, count)


def _arrays(file: io.BytesIO) -> dict[str, np.ndarray]:
    magic, protocol, system, state, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, protocol, system["little_endian"]) != (MAGIC, PROTOCOL, True):
        raise ValueError("it is of another protocol, or of a machine that is not little-endian")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    numbers = {key: _numbers(file, storages[key]) for key in keys}
    if file.read(1):
        raise ValueError("something follows its last storage")
    return {name: tensor.of(numbers[tensor.storage.key]) for name, tensor in state.items()}


def _numbers(file: io.BytesIO, storage: _Storage) -> np.ndarray:
    written = int.from_bytes(file.read(8), "little")
    numbers = np.frombuffer(
        file.read(storage.count * np.dtype(storage.dtype).itemsize), storage.dtype
    )
    if not written == storage.count == len(numbers):
        raise ValueError(f"a storage of {storage.count:,} numbers has {written:,}, or is cut off")
    return numbers
