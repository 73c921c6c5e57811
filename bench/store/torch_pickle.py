"""What a pickle in a torch file describes, followed on plain values and never run.

A pickle is a program. Of its opcodes, those that torch writes a state with are followed here; any
other ends it. The globals it names are compared with four names and never looked up, and none is
called.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_OPCODES = 200_000
"""Of one pickle; 20,000 in the largest that is known here."""

MOST_DIMENSIONS = 8
MOST = 2**31
"""Of a size, a stride, a place and a count."""


@dataclass(frozen=True)
class _Name:
    """A global that a pickle names."""

    text: str


ORDERED_DICT = _Name("collections OrderedDict")
REBUILD_TENSOR = _Name("torch._utils _rebuild_tensor_v2")
STORAGES = {_Name("torch FloatStorage"): "<f4", _Name("torch LongStorage"): "<i8"}
KNOWN = {ORDERED_DICT, REBUILD_TENSOR, *STORAGES}


@dataclass(frozen=True)
class Storage:
    """Numbers in the file.

    Args:
        key: Its name.
        dtype: NumPy's type of its numbers.
        count: How many it has.
    """

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """An array in a storage; `offset` and `stride` count numbers."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor as an array of its own; its bounds were checked when it was read."""
        strides = [numbers.itemsize * step for step in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, strides)
        return view.copy()


def described(data: bytes) -> tuple[Any, int]:
    """What the pickle at the beginning of some bytes describes.

    Args:
        data: The pickle, and what follows it.

    Returns:
        Plain values with `Storage` and `Tensor` among them, and the pickle's length in bytes.

    Raises:
        ValueError: It is none, or does what no state needs.
    """
    stream, machine = io.BytesIO(data), _Machine()
    for _ in range(MOST_OPCODES):
        code = _exactly(stream, 1)
        if code == STOP:
            return machine.result(), stream.tell()
        if code in _VALUES:
            machine.push(_VALUES[code](stream))
        elif code in _NUMBERED:
            step, read = _NUMBERED[code]
            step(machine, read(stream))
        elif code in _STEPS:
            _STEPS[code](machine)
        else:
            raise ValueError(f"its pickle has the opcode {code!r}, which no state needs")
    raise ValueError(f"one of its pickles has more than {MOST_OPCODES:,} opcodes")


def _exactly(stream: io.BytesIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("one of its pickles does not end")
    return data


def _unsigned(size: int) -> Callable[[io.BytesIO], int]:
    return lambda stream: int.from_bytes(_exactly(stream, size), "little")


def _signed(size: int) -> Callable[[io.BytesIO], int]:
    return lambda stream: int.from_bytes(_exactly(stream, size), "little", signed=True)


def _long(stream: io.BytesIO) -> int:
    return _signed(_unsigned(1)(stream))(stream)


def _text(stream: io.BytesIO) -> str:
    return _exactly(stream, _unsigned(4)(stream)).decode("utf-8")


def _name(stream: io.BytesIO) -> _Name:
    module, function = (stream.readline(100).rstrip(b"\n").decode("ascii") for _ in range(2))
    name = _Name(f"{module} {function}")
    if name not in KNOWN:
        raise ValueError(f"its pickle asks for `{name.text}`, which no state needs")
    return name


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

    def protocol(self, number: int) -> None:
        if number != 2:
            raise ValueError(f"its pickle is of protocol {number}, not 2")

    def remember(self, number: int) -> None:
        value = self.pop()
        self._memo[number] = value
        self.push(value)

    def recall(self, number: int) -> None:
        if number not in self._memo:
            raise ValueError("its pickle refers to what it does not hold")
        self.push(self._memo[number])

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


STOP = b"."

_VALUES: dict[bytes, Callable[[io.BytesIO], Any]] = {
    b"J": _signed(4),
    b"K": _unsigned(1),
    b"M": _unsigned(2),
    b"\x8a": _long,
    b"X": _text,
    b"c": _name,
    b"N": lambda stream: None,
    b"\x88": lambda stream: True,
    b"\x89": lambda stream: False,
    b"}": lambda stream: {},
    b"]": lambda stream: [],
    b")": lambda stream: (),
    b"(": lambda stream: _MARK,
}
"""Opcodes that push a value, and what reads it."""

_NUMBERED: dict[bytes, tuple[Callable[[_Machine, int], None], Callable[[io.BytesIO], int]]] = {
    b"\x80": (_Machine.protocol, _unsigned(1)),
    b"q": (_Machine.remember, _unsigned(1)),
    b"r": (_Machine.remember, _unsigned(4)),
    b"h": (_Machine.recall, _unsigned(1)),
    b"j": (_Machine.recall, _unsigned(4)),
}

_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"t": lambda machine: machine.push(tuple(machine.pop_marked())),
    b"\x85": lambda machine: machine.push(tuple(machine.pop_several(1))),
    b"\x86": lambda machine: machine.push(tuple(machine.pop_several(2))),
    b"\x87": lambda machine: machine.push(tuple(machine.pop_several(3))),
    b"Q": lambda machine: machine.push(_storage(machine.pop())),
    b"R": _Machine.reduce,
    b"s": lambda machine: machine.put(machine.pop_several(2)),
    b"u": lambda machine: machine.put(machine.pop_marked()),
    b"e": lambda machine: machine.extend(machine.pop_marked()),
    b"b": _Machine.build,
}
"""Opcodes that work on the stack: tuples, a storage, a call, items, attributes."""


def _storage(described: Any) -> Storage:
    match described:
        case ("storage", _Name() as kind, str(key), str(), count, None) if kind in STORAGES:
            return Storage(key, STORAGES[kind], _natural(count))
    raise ValueError("its pickle describes a storage that is none")


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """A tensor whose every number is in its storage, and that has no more numbers than that."""
    match arguments:
        case (Storage() as storage, offset, tuple(size), tuple(stride), _, _):
            pass
        case _:
            raise ValueError("its pickle describes a tensor that is none")
    if len(size) != len(stride) or len(size) > MOST_DIMENSIONS:
        raise ValueError(f"a tensor has {len(size)} sizes and {len(stride)} strides")
    tensor = Tensor(
        storage, _natural(offset), tuple(map(_natural, size)), tuple(map(_natural, stride))
    )
    count = math.prod(tensor.size)
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((length - 1) * step for length, step in steps)
    if not 0 < count <= storage.count or last >= storage.count:
        raise ValueError(f"a tensor reaches out of its storage of {storage.count:,} numbers")
    return tensor


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError("its pickle has a size, place or count out of bounds")
    return value
