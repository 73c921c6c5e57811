"""What was measured of a trial's model as it would run on a phone: a record a form of it.

results/phone/<trial>/<form>.json

Each holds what the file costs (size, latency, memory) and its results on the trial's test images,
beside those of the Keras model that it was made of.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from bench.errors import BenchError
from bench.files.atomic import new_file, write_json
from bench.files.checksums import read_with_checksum, with_checksum
from bench.store.record import Epoch

FormName = Literal["float32", "float16", "dynamic_int8", "int8"]

FORMS: dict[FormName, str] = {
    "float32": "weights and arithmetic as trained",
    "float16": "weights in 16 bits, computed with in 32",
    "dynamic_int8": "weights in 8 bits; what flows between layers is rounded to 8 as it comes",
    "int8": "weights and what flows between layers in 8 bits, on scales found on training images",
}
"""Forms of a LiteRT file -> what each is."""


@dataclass(frozen=True)
class Latency:
    """How long one image takes on this machine's processor.

    Args:
        threads: Threads that it was computed with.
        xnnpack: Whether by XNNPACK, LiteRT's usual kernels on a processor.
        runs: How often it was run, after a few that do not count.
        median: Seconds.
        low: The quartile below.
        high: The quartile above.
        peak_bytes: How much memory the process took at most, beyond what it had before it opened
            the file; None where the system does not say.
    """

    threads: int
    xnnpack: bool
    runs: int
    median: float
    low: float
    high: float
    peak_bytes: int | None


@dataclass(frozen=True)
class PairedScores:
    """A metric by test image: `(images,)` of the Keras model and of the form; None without one."""

    keras: tuple[float | None, ...]
    litert: tuple[float | None, ...]


@dataclass(frozen=True)
class PhoneRecord:
    """A form of a trial's model, measured.

    Args:
        trial: Identity of the trial.
        form: The form.
        epoch: The epoch whose weights it has.
        parameters: Numbers among the model's weights, backbone and head.
        flops: Floating-point operations of one image, as backbone and system declare them.
        unsupported: The operations that LiteRT has no such form of; all below is then empty.
        refused: What XNNPACK says where it does not run the file; what is below is then by LiteRT's
            plain kernels.
        bytes: Size of the file.
        images: Test images that it was run on.
        changed: Share of them whose most probable class is another than the Keras model's.
        scores: Metric -> its values by test image.
        latency: On one thread and on all, with XNNPACK and without; empty where only the lowest
            seed of the arm was timed, since the weights make no difference to it.
        environment: Processor, number of processors, versions.
    """

    trial: str
    form: FormName
    epoch: Epoch
    parameters: int
    flops: float
    unsupported: str = ""
    refused: str = ""
    bytes: int = 0
    images: int = 0
    changed: float = 0.0
    scores: dict[str, PairedScores] = field(default_factory=dict)
    latency: tuple[Latency, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)

    def timed(self, threads: int, *, xnnpack: bool = True) -> Latency | None:
        """Its latency on so many threads; None where it was not measured."""
        alike = (one for one in self.latency if (one.threads, one.xnnpack) == (threads, xnnpack))
        return next(alike, None)


@cache
def _form() -> TypeAdapter[PhoneRecord]:
    return TypeAdapter(PhoneRecord)


def phone_path(results: Path, trial: str, form: FormName) -> Path:
    """Where the record of a form is kept."""
    return results / "phone" / trial / f"{form}.json"


def write_phone(results: Path, record: PhoneRecord) -> None:
    """Keep a record, whole or not at all; it replaces an earlier one of the same form."""
    path = phone_path(results, record.trial, record.form)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, with_checksum(_form().dump_python(record, mode="json")))


def read_phone(path: Path) -> PhoneRecord:
    """A record from its file.

    Raises:
        BenchError: It cannot be read, or is not what was written.
    """
    try:
        record = _form().validate_python(read_with_checksum(path))
        if (record.trial, record.form) != (path.parent.name, path.stem):
            raise ValueError("it is of another trial or form")
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise BenchError(
            f"cannot be read: {what}",
            where=str(path),
            fix="`bench fsck --repair` moves it out of the way; then `bench phone` measures anew",
        ) from error
    return record


def has_phone_records(results: Path) -> bool:
    """Whether any trial of a results folder has some."""
    return (results / "phone").is_dir()


def phone_records(results: Path, trial: str) -> dict[FormName, PhoneRecord]:
    """What was measured of a trial's forms, in the order of `FORMS`.

    Raises:
        BenchError: A record cannot be read.
    """
    found = map(read_phone, phone_paths(results, trial))
    return {record.form: record for record in found}


def phone_paths(results: Path, trial: str) -> Iterator[Path]:
    """The records of a trial's forms that are there, in the order of `FORMS`."""
    for form in get_args(FormName):
        path = phone_path(results, trial, form)
        if path.is_file():
            yield path


def copy_phone(results: Path, to: Path, trial: str) -> None:
    """Copy a trial's records into another results folder, which keeps those that it has."""
    for path in phone_paths(results, trial):
        target = to / path.relative_to(results)
        if not target.exists():
            with new_file(target) as draft:
                shutil.copy2(path, draft)
