"""Reads torch's old file format (before its zip files) without torch, as numbers and names alone.

Such a file is three small pickles (magic number, protocol, system), a pickle of the state, a pickle
of the keys of its storages in the order of the file, then each storage: an int64 count and that
many little-endian numbers. A pickle is a program. It is not loaded here: its opcodes are listed by
`pickletools`, which runs nothing, and the few that such a state is written with are followed on
plain values. The globals it names are compared with four names and never looked up.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

MOST_BYTES = 2**28
"""Of a file, and of its numbers once read; the largest that is known here has 25 MB."""

MOST_PICKLED = 2**22
"""Bytes of one of its pickles; 56,000 in the largest."""

MOST_OPCODES = 200_000
MOST_DIMENSIONS = 8

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
    except ValueError as error:  # ours, and those of pickletools
        raise _refused(path, str(error), fix) from error


def _refused(path: Path, found: str, fix: str) -> BenchError:
    return BenchError(
        f"expected a state in torch's old file format: {found}", where=str(path), fix=fix
    )


@dataclass(frozen=True)
class _Name:
    """A global that a pickle names."""

    text: str


ORDERED_DICT = _Name("collections OrderedDict")
REBUILD_TENSOR = _Name("torch._utils _rebuild_tensor_v2")
STORAGES = {_Name("torch FloatStorage"): "<f4", _Name("torch LongStorage"): "<i8"}
KNOWN = {ORDERED_DICT, REBUILD_TENSOR, *STORAGES}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor as an array of its own; its bounds were checked when it was read."""
        strides = [numbers.itemsize * step for step in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, strides)
        return view.copy()


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    if data.startswith(ZIP):
        raise ValueError("it is of torch's newer zip form")
    place = 0
    pickled: list[Any] = []
    for _ in range(5):
        value, length = _unpickled(data[place : place + MOST_PICKLED])
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


def _tensors(state: Any) -> dict[str, _Tensor]:
    if not isinstance(state, dict) or not state:
        raise ValueError("its state is no mapping")
    total = 0
    for name, tensor in state.items():
        if not isinstance(tensor, _Tensor):
            raise ValueError(f"{name} is no tensor")
        # Tensors may share a storage: each becomes an array of its own.
        total += math.prod(tensor.size) * np.dtype(tensor.storage.dtype).itemsize
    if total > MOST_BYTES:
        raise ValueError(f"its tensors have more than {MOST_BYTES:,} bytes")
    return state


def _numbers(
    data: bytes, place: int, tensors: dict[str, _Tensor], keys: Any
) -> dict[str, np.ndarray]:
    """The numbers of each storage, by its key."""
    storages: dict[str, _Storage] = {}
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


def _unpickled(data: bytes) -> tuple[Any, int]:
    """What a pickle at the beginning of some bytes describes, and its length."""
    stream, machine = io.BytesIO(data), _Machine()
    for done, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name == "STOP":
            return machine.result(), stream.tell()
        step = _STEPS.get(opcode.name)
        if step is None:
            raise ValueError(f"its pickle does what no state needs ({opcode.name})")
        if done >= MOST_OPCODES:
            raise ValueError(f"one of its pickles has more than {MOST_OPCODES:,} opcodes")
        step(machine, argument)
    raise ValueError("its pickle does not end")


_MARK = object()


class _Machine:
    """Follows the opcodes of a pickle on plain values: a stack and a memo, and no calls."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        value = self.pop()
        if self._stack:
            raise ValueError("its pickle leaves more than one value")
        return value

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("its pickle takes a value that is not there")
        return self._stack.pop()

    def pop_marked(self) -> list[Any]:
        """The values down to the last mark, which goes too."""
        values = []
        while self._stack and self._stack[-1] is not _MARK:
            values.append(self._stack.pop())
        if not self._stack:
            raise ValueError("its pickle looks for a mark that is not there")
        self._stack.pop()
        return values[::-1]

    def pop_several(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def remember(self, number: int) -> None:
        value = self.pop()
        self._memo[number] = value
        self.push(value)

    def recall(self, number: int) -> None:
        if number not in self._memo:
            raise ValueError("its pickle refers to what it does not hold")
        self.push(self._memo[number])

    def name(self, text: str) -> None:
        if _Name(text) not in KNOWN:
            raise ValueError(f"its pickle asks for `{text[:80]}`, which no state needs")
        self.push(_Name(text))

    def reduce(self) -> None:
        function, arguments = self.pop_several(2)
        if function == ORDERED_DICT and arguments == ():
            self.push({})
        elif function == REBUILD_TENSOR and isinstance(arguments, tuple):
            self.push(_tensor(arguments))
        else:
            raise ValueError("its pickle calls what is no tensor")

    def put(self, pairs: list[Any]) -> None:
        mapping = self.pop()
        keys = pairs[::2]
        if not isinstance(mapping, dict) or len(pairs) % 2:
            raise ValueError("its pickle sets items of what is no mapping")
        if not all(isinstance(key, str) for key in keys):
            raise ValueError("its pickle has a key that is no string")
        mapping.update(zip(keys, pairs[1::2], strict=True))
        self.push(mapping)

    def extend(self, values: list[Any]) -> None:
        sequence = self.pop()
        if not isinstance(sequence, list):
            raise ValueError("its pickle extends what is no list")
        sequence.extend(values)
        self.push(sequence)

    def build(self) -> None:
        """Attributes of the state: the versions of torch's modules, which are of no use here."""
        mapping, attributes = self.pop_several(2)
        if not isinstance(mapping, dict) or not isinstance(attributes, dict):
            raise ValueError("its pickle gives attributes to what is no mapping")
        self.push(mapping)


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, argument: None,
    "MARK": lambda machine, argument: machine.push(_MARK),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), _Machine.push),
    "NONE": lambda machine, argument: machine.push(None),
    "NEWTRUE": lambda machine, argument: machine.push(True),
    "NEWFALSE": lambda machine, argument: machine.push(False),
    "EMPTY_DICT": lambda machine, argument: machine.push({}),
    "EMPTY_LIST": lambda machine, argument: machine.push([]),
    "EMPTY_TUPLE": lambda machine, argument: machine.push(()),
    "TUPLE": lambda machine, argument: machine.push(tuple(machine.pop_marked())),
    "TUPLE1": lambda machine, argument: machine.push(tuple(machine.pop_several(1))),
    "TUPLE2": lambda machine, argument: machine.push(tuple(machine.pop_several(2))),
    "TUPLE3": lambda machine, argument: machine.push(tuple(machine.pop_several(3))),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.recall),
    "GLOBAL": _Machine.name,
    "BINPERSID": lambda machine, argument: machine.push(_storage(machine.pop())),
    "REDUCE": lambda machine, argument: machine.reduce(),
    "SETITEM": lambda machine, argument: machine.put(machine.pop_several(2)),
    "SETITEMS": lambda machine, argument: machine.put(machine.pop_marked()),
    "APPENDS": lambda machine, argument: machine.extend(machine.pop_marked()),
    "BUILD": lambda machine, argument: machine.build(),
}
"""The opcodes that torch writes a state with, of pickle's protocol 2."""


def _storage(described: Any) -> _Storage:
    match described:
        case ("storage", _Name() as kind, str(key), str(), count, None) if kind in STORAGES:
            return _Storage(key, STORAGES[kind], _natural(count))
    raise ValueError("its pickle describes a storage that is none")


def _tensor(arguments: tuple[Any, ...]) -> _Tensor:
    """A tensor whose every number is in its storage, and that has no more numbers than that."""
    match arguments:
        case (_Storage() as storage, offset, tuple(size), tuple(stride), _, _):
            pass
        case _:
            raise ValueError("its pickle describes a tensor that is none")
    if len(size) != len(stride) or len(size) > MOST_DIMENSIONS:
        raise ValueError(f"a tensor has {len(size)} sizes and {len(stride)} strides")
    tensor = _Tensor(
        storage, _natural(offset), tuple(map(_natural, size)), tuple(map(_natural, stride))
    )
    count = math.prod(tensor.size)
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((length - 1) * step for length, step in steps)
    if not 0 < count <= storage.count or last >= storage.count:
        raise ValueError(f"a tensor reaches out of its storage of {storage.count:,} numbers")
    return tensor


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST_BYTES:
        raise ValueError("its pickle has a size, place or count out of bounds")
    return value
