"""Torch's old file format is read as numbers and names, and none of its names does anything."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import BenchError
from bench.store.torch_file import read_torch_file

START, STOP = b"\x80\x02", b"."
MAGIC = START + b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" + STOP
PROTOCOL = START + b"M\xe9\x03" + STOP


def text(value: str) -> bytes:
    return b"X" + struct.pack("<i", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def group(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def called(name: str, *arguments: bytes) -> bytes:
    module, function = name.rsplit(".", 1)
    return f"c{module}\n{function}\n".encode() + group(*arguments) + b"R"


def named(name: str) -> bytes:
    module, function = name.rsplit(".", 1)
    return f"c{module}\n{function}\n".encode()


def storage(key: str, count: int, kind: str = "torch.FloatStorage") -> bytes:
    described = (text("storage"), named(kind), text(key), text("cpu"), number(count), b"N")
    return group(*described) + b"Q"


EMPTY = named("collections.OrderedDict") + b")R"


def tensor(held: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    sizes, strides = group(*map(number, size)), group(*map(number, stride))
    return called(
        "torch._utils._rebuild_tensor_v2", held, number(offset), sizes, strides, b"\x89", EMPTY
    )


def state(**tensors: bytes) -> bytes:
    items = b"".join(text(name) + value for name, value in tensors.items())
    return START + EMPTY + b"(" + items + b"u" + STOP


def listed(*keys: str) -> bytes:
    return START + b"](" + b"".join(map(text, keys)) + b"e" + STOP


def numbers(values: Any, dtype: str = "<f4") -> bytes:
    array = np.asarray(values, dtype)
    return struct.pack("<q", array.size) + array.tobytes()


SYSTEM = START + b"}" + text("little_endian") + b"\x88s" + STOP
SIX = storage("7", 6)
DATA = numbers(range(6))


def file_of(described: bytes, keys: bytes = listed("7"), data: bytes = DATA) -> bytes:
    return MAGIC + PROTOCOL + SYSTEM + described + keys + data


SOUND = MAGIC + PROTOCOL + SYSTEM
SOUND += state(
    kernel=tensor(SIX, 0, (3, 2), (1, 3)),
    tail=tensor(SIX, 4, (2,), (1,)),
    steps=tensor(storage("8", 1, "torch.LongStorage"), 0, (), ()),
)
SOUND += listed("8", "7") + numbers([2**40], "<i8") + DATA


def read(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that is given out as the expected one."""
    path.write_bytes(data)
    return read_torch_file(path, hashlib.sha256(data).hexdigest(), "install it again")


def test_tensors_are_read_by_their_places_and_strides(tmp_path: Path) -> None:
    arrays = read(SOUND, tmp_path / "sound.pth")
    assert arrays["kernel"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert arrays["tail"].tolist() == [4, 5] and arrays["tail"].dtype == np.float32
    assert arrays["steps"] == 2**40 and arrays["steps"].shape == ()


def test_another_file_than_the_expected_one_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    expected = hashlib.sha256(SOUND).hexdigest()
    for data in (SOUND[:-1] + b"\xff", b""):
        path.write_bytes(data)
        found = hashlib.sha256(data).hexdigest()
        with pytest.raises(BenchError, match=f"{expected}, found {found};") as error:
            read_torch_file(path, expected, "install it again")
        assert (error.value.where, error.value.fix) == (str(path), "install it again")
    path.unlink()
    with pytest.raises(BenchError, match="cannot be read: No such file") as error:
        read_torch_file(path, expected, "install it again")
    assert error.value.where == str(path)


SIX_OF = tensor(SIX, 0, (6,), (1,))
WRONG = {
    "newer zip form": (b"PK\x03\x04" + SOUND, "old file format"),
    "empty": (b"", "Ran out of input"),
    "another protocol": (SOUND.replace(PROTOCOL, START + number(7) + STOP), "protocol"),
    "big-endian": (SOUND.replace(b"\x88s", b"\x89s"), "little-endian"),
    "no state": (file_of(START + number(1) + STOP), "'int'"),
    "a state of numbers": (file_of(state(a=number(1))), "'int'"),
    "out of its storage": (file_of(state(a=tensor(SIX, 3, (4,), (1,)))), "strides"),
    "out of it by its strides": (file_of(state(a=tensor(SIX, 0, (2, 3), (3, 2)))), "strides"),
    "backwards": (file_of(state(a=tensor(SIX, 0, (6,), (-1,)))), "strides"),
    "cut off": (file_of(state(a=SIX_OF), data=DATA[:-4]), "cut off"),
    "another count": (file_of(state(a=SIX_OF), data=numbers(range(5))), "has 5"),
    "something after it": (file_of(state(a=SIX_OF), data=DATA + b"x"), "something follows"),
    "no such storage": (file_of(state(a=SIX_OF), keys=listed("8")), "8"),
    "a function": (file_of(START + called("os.system", text("x")) + STOP), "asks for `os.system`"),
    "a function by a dotted name": (
        file_of(START + called("torch._utils.os.system", text("x")) + STOP), "asks for"
    ),
    "a name called that is none": (
        file_of(START + called("torch.FloatStorage", number(9)) + STOP), "not callable"
    ),
    "an instance": (file_of(START + b"(ios\nsystem\n" + STOP), "asks for `os.system`"),
    "an extension": (file_of(START + b"\x82\x01" + STOP), "extension"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_state_is_one_clear_error(name: str, tmp_path: Path) -> None:
    data, said = WRONG[name]
    path = tmp_path / "weights.pth"
    with pytest.raises(BenchError, match=said) as error:
        read(data, path)
    assert error.value.what.startswith("expected a state in torch's old file format: ")
    assert (error.value.where, error.value.fix) == (str(path), "install it again")
