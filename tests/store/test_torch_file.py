"""Torch's old file format is read as numbers and names: nothing in a file is run, ever."""

from __future__ import annotations

import builtins
import hashlib
import os
import random
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import BenchError
from bench.store.torch_file import read_torch_file
from bench.store.weights import packaged_file
from bench.systems.registry import BACKBONES, PackagedWeights

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
    arrays["kernel"][:] = 0
    assert arrays["tail"].tolist() == [4, 5], "an array's numbers are its own"


def test_another_file_than_the_expected_one_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    expected = hashlib.sha256(SOUND).hexdigest()
    for data, hint in (
        (SOUND[:-1] + b"\xff", ""),
        (b"PK\x03\x04" + SOUND, r" \(it is of torch's newer zip form\)"),
        (b"", ""),
    ):
        path.write_bytes(data)
        found = hashlib.sha256(data).hexdigest()
        with pytest.raises(BenchError, match=f"{expected}, found {found}{hint};") as error:
            read_torch_file(path, expected, "install it again")
        assert (error.value.where, error.value.fix) == (str(path), "install it again")
    path.unlink()
    with pytest.raises(BenchError, match="cannot be read: No such file") as error:
        read_torch_file(path, expected, "install it again")
    assert error.value.where == str(path)


BIG = 2**28
WRONG = {
    "newer zip form": (b"PK\x03\x04" + SOUND, "newer zip form"),
    "empty": (b"", "does not end"),
    "not torch's": (START + number(7) + STOP + SOUND, "torch's magic number"),
    "another protocol": (MAGIC + START + number(7) + STOP + SOUND[len(MAGIC) :], "protocol"),
    "big-endian": (SOUND.replace(b"\x88s", b"\x89s"), "little-endian"),
    "no state": (file_of(START + number(1) + STOP), "no mapping"),
    "a state of numbers": (file_of(state(a=number(1))), "a is no tensor"),
    "a key that is no string": (
        file_of(START + EMPTY + number(1) + tensor(SIX, 0, (6,), (1,)) + b"s" + STOP),
        "no string",
    ),
    "out of its storage": (file_of(state(a=tensor(SIX, 3, (4,), (1,)))), "reaches out"),
    "by its strides": (file_of(state(a=tensor(SIX, 0, (2, 3), (3, 2)))), "reaches out"),
    "a number many times": (file_of(state(a=tensor(SIX, 0, (9, 9), (0, 0)))), "reaches out"),
    "no numbers": (file_of(state(a=tensor(SIX, 0, (0,), (1,)))), "reaches out"),
    "before its storage": (file_of(state(a=tensor(SIX, -1, (2,), (1,)))), "out of bounds"),
    "backwards": (file_of(state(a=tensor(SIX, 5, (6,), (-1,)))), "out of bounds"),
    "huge": (file_of(state(a=tensor(storage("7", BIG), 0, (BIG,), (1,)))), "more than"),
    "cut off": (
        file_of(state(a=tensor(storage("7", BIG // 8), 0, (6,), (1,))), data=DATA), "cut off"
    ),
    "many copies of one storage": (
        file_of(state(**{f"a{n}": tensor(storage("7", BIG // 8), 0, (BIG // 8,), (1,))
                         for n in range(3)})),
        "more than",
    ),
    "many dimensions": (file_of(state(a=tensor(SIX, 0, (1,) * 99, (1,) * 99))), "99 sizes"),
    "sizes without strides": (file_of(state(a=tensor(SIX, 0, (6,), ()))), "0 strides"),
    "another count": (
        file_of(state(a=tensor(SIX, 0, (6,), (1,))), data=numbers(range(5))), "another length"
    ),
    "something after it": (
        file_of(state(a=tensor(SIX, 0, (6,), (1,))), data=DATA + b"x"), "1 bytes follow"
    ),
    "two storages of one key": (
        file_of(state(a=tensor(SIX, 0, (1,), (1,)), b=tensor(storage("7", 5), 0, (1,), (1,)))),
        "differently",
    ),
    "no such storage": (
        file_of(state(a=tensor(SIX, 0, (6,), (1,))), keys=listed("8")), "not those of its tensors"
    ),
    "a storage twice": (
        file_of(state(a=tensor(SIX, 0, (6,), (1,))), keys=listed("7", "7")), "not those"
    ),
    "no list": (
        file_of(state(a=tensor(SIX, 0, (6,), (1,))), keys=START + number(1) + STOP), "not list"
    ),
    "a function": (file_of(START + called("os.system", text("x")) + STOP), "`os system`"),
    "a function by a dotted name": (
        file_of(START + called("torch._utils.os.system", text("x")) + STOP), "asks for"
    ),
    "a known name that is no function": (
        file_of(START + called("torch.FloatStorage", number(9)) + STOP), "no tensor"
    ),
    "a class": (file_of(START + named("collections.OrderedDict") + b")\x81" + STOP), "x81"),
    "an extension": (file_of(START + b"\x82\x01" + STOP), "x82"),
    "an instance": (file_of(START + b"(ios\nsystem\n" + STOP), "b'i'"),
    "an old string": (file_of(START + b"Vtext\n0" + STOP), "b'V'"),
    "a newer protocol": (file_of(b"\x80\x04N" + STOP), "of protocol 4"),
    "text that is none": (file_of(START + b"X\x01\x00\x00\x00\xff" + STOP), "utf-8"),
    "text beyond the end": (MAGIC + START + b"X\xff\xff\xff\xff", "does not end"),
    "no opcode": (file_of(START + b"\xff" + STOP), "xff"),
    "more than it needs": (file_of(START + b"N0" * 200_000 + STOP), "b'0'"),
    "many marks": (file_of(START + b"(" * 300_000 + STOP), "more than 200,000 opcodes"),
    "deep": (file_of(START + b")" + b"\x85" * 150_000 + STOP), "no mapping"),
    "nothing on the stack": (file_of(START + b"R" + STOP), "not there"),
    "no mark": (file_of(START + b"t" + STOP), "not there"),
    "an unknown memo": (file_of(START + b"h\x09" + STOP), "does not hold"),
    "items of a number": (file_of(START + number(1) + text("a") + b"Ns" + STOP), "no mapping"),
    "items of a list": (file_of(START + number(1) + b"(Ne" + STOP), "no list"),
    "a mark as a value": (file_of(START + b"(" + STOP), "not there"),
    "two values": (file_of(START + b"NN" + STOP), "more than one"),
    "a storage of another kind": (
        file_of(state(a=tensor(storage("7", 6, "collections.OrderedDict"), 0, (6,), (1,)))),
        "storage that is none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_state_is_one_clear_error(name: str, tmp_path: Path) -> None:
    data, said = WRONG[name]
    path = tmp_path / "weights.pth"
    with pytest.raises(BenchError, match=said) as error:
        read(data, path)
    assert error.value.what.startswith("expected a state in torch's old file format: ")
    assert (error.value.where, error.value.fix) == (str(path), "install it again")


def test_a_file_larger_than_any_of_weights_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BenchError, match=r"has 1,099,511,627,776 bytes, more than"):
        read_torch_file(path, "0" * 64, "install it again")


def spoiled(data: bytes, draw: random.Random, attack: bytes) -> bytes:
    """A file with some bytes changed, cut, repeated, moved or put in, mostly in its pickles."""
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(spoilt))
        match draw.randrange(6):
            case 0:
                spoilt[at] ^= 1 << draw.randrange(8)
            case 1:
                spoilt[at] = draw.randrange(256)
            case 2:
                del spoilt[at : at + draw.choice((1, 4, 400))]
            case 3:
                spoilt[at:at] = spoilt[at : at + draw.choice((1, 20, 400))]
            case 4:
                spoilt[at:at] = attack
            case 5:
                spoilt[at : at + 4] = struct.pack("<i", draw.choice((-1, 0, 2**31 - 1)))
        spoilt = spoilt or bytearray(b"\x80")
    return bytes(spoilt)


@pytest.mark.timeout(120)
def test_spoiled_files_are_read_or_refused_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = BACKBONES["efficientnet_lite0"].imagenet
    assert isinstance(packaged, PackagedWeights)
    head = packaged_file(packaged).read_bytes()[:60_000]
    draw, path, sprung = random.Random(0), tmp_path / "spoiled.pth", tmp_path / "sprung"
    attacks = [
        called("os.mkdir", text(str(sprung))), called("builtins.eval", text("exit()")),
        called("torch._utils._rebuild_tensor_v2"), named("sys.modules"), b"(" * 50, b"\x85" * 50,
    ]  # fmt: skip
    read(SOUND, path)
    before, imported = set(sys.modules), []
    importing = builtins.__import__

    def watched(name: str, *rest: Any, **named: Any) -> Any:
        imported.append(name)
        return importing(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", watched)
    refused = 0
    for count in range(int(os.environ.get("BENCH_MUTATIONS", "2000"))):
        data = head if count % 10 == 0 else SOUND
        try:
            read(spoiled(data, draw, draw.choice(attacks)), path)
        except BenchError as error:
            assert error.where == str(path)
            refused += 1
    monkeypatch.undo()
    assert refused > count // 2
    assert not imported and set(sys.modules) == before and not sprung.exists()
