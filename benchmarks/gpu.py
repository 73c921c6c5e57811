"""What a GPU gives: its matrix rate, and how near extraction and RopaNet's step come to it.

Unattended, in under 8 minutes, on a machine with a GPU that some Keras backend sees: TensorFlow,
JAX or PyTorch, whichever `KERAS_BACKEND` names or is found first. Every part runs in a process of
its own with a limit of time, so that one that fails is named in what is written and takes no other
with it. Without a GPU it says so and ends well.

    python benchmarks/gpu.py [--minutes 7.5] [--part matrix --part head]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measured import Comparison, Reading, Table, write

PARTS = Path(__file__).with_name("gpu_parts.py")
BACKENDS = ("jax", "torch", "tensorflow")
LIMITS = {"look": 60, "matrix": 60, "extraction": 120, "head": 120, "loss": 90, "together": 60}
"""Seconds that one process of a part may take."""

PRECISIONS = ("float32", "bfloat16")
SHARED = (1, 2, 4)
"""Trials on the card at once."""

CLAIM = (
    "On a GPU: images a second of InceptionV3 and of paper-scale RopaNet's step, in float32 and "
    "bfloat16, against the card's matrix rate; trials a second at fractional GPUs"
)


@dataclass
class Card:
    """The machine as far as it is known, and what is left of the time.

    Args:
        backend: Keras' backend.
        ends: When everything must be done, by `time.monotonic`.
        cpu: Whether it stands in for a GPU, at tiny sizes.
        failures: Part -> what went wrong.
    """

    backend: str
    ends: float
    cpu: bool
    failures: dict[str, str] = field(default_factory=dict)

    def start(self, part: str, out: Path, *words: str) -> subprocess.Popen[str]:
        """A part's process."""
        # No share of the card is taken ahead, so that several processes fit on it.
        own = {
            "KERAS_BACKEND": self.backend,
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        if self.cpu:
            own |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        tiny = ["--tiny"] if self.cpu else []
        command = [sys.executable, str(PARTS), part, "--out", str(out), *tiny, *words]
        return subprocess.Popen(
            command,
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def limit(self, part: str) -> float:
        """Seconds that a part's process may take from now."""
        return min(LIMITS[part], self.ends - time.monotonic())

    def measure(self, part: str, *words: str) -> dict[str, Any] | None:
        """What a part found; None where it failed, which is then noted."""
        name = " ".join([part, *(word for word in words if not word.startswith("-"))])
        limit, begun = self.limit(part), time.monotonic()
        if limit < 5:
            self.failures[name] = "left out: no time was left"
            return None
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "found.json"
            process = self.start(part, out, *words)
            try:
                _, said = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                self.failures[name] = f"took longer than {limit:.0f} s"
                found = None
            else:
                found = json.loads(out.read_text()) if out.is_file() else None
                if found is None:
                    self.failures[name] = _last_line(said) or f"ended with {process.returncode}"
        spent = time.monotonic() - begun
        said = self.failures.get(name, "done")
        print(f"  {name} ({self.backend}): {said}, {spent:.0f} s", flush=True)
        return found


def find_card(ends: float, cpu: bool) -> tuple[Card, dict[str, Any]] | None:
    """The first backend that sees a GPU; with `cpu` the first that is there."""
    named = os.environ.get("KERAS_BACKEND")
    for backend in (named,) if named else BACKENDS:
        if importlib.util.find_spec(backend) is None:
            continue
        card = Card(backend, ends, cpu)
        seen = card.measure("look")
        if seen is not None and (seen["gpu"] or cpu):
            return card, seen
    return None


@dataclass
class Measured:
    """What is written in the end.

    Args:
        rates: Operations a second of the matrix product, by precision.
    """

    comparisons: list[Comparison] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)

    def matrix(self, card: Card) -> None:
        """The matrix rates."""
        for precision in PRECISIONS:
            found = card.measure("matrix", "--precision", precision)
            if found:
                self.rates[precision] = statistics.median(found["flops"])
                values = [rate / 1e12 for rate in found["flops"]]
                self.readings.append(Reading(f"matrix product, {precision}", values, "TFLOP/s"))

    def images(self, card: Card, part: str, what: str) -> None:
        """Images a second of a part by precision and batch, and their share of the matrix rate."""
        rows, plain = [], {}
        for precision in PRECISIONS:
            found = card.measure(part, "--precision", precision)
            if not found:
                continue
            of_image = found["flops_of_image"]
            failed = {key: why for key, why in found.items() if key.endswith("failed")}
            card.failures |= {f"{part} {precision} {key}": why for key, why in failed.items()}
            for batch in filter(str.isdecimal, found):
                images = found[batch]
                flops = statistics.median(images) * of_image
                rate = self.rates.get(precision)
                share = f"{flops / rate:.0%}" if rate else ""
                rows.append((precision, batch, statistics.median(images), flops / 1e12, share))
                if precision == "float32":
                    plain[batch] = images
                elif batch in plain:
                    self.comparisons.append(
                        Comparison(
                            f"{what}, batch {batch}: {precision}",
                            images,
                            plain[batch],
                            "float32",
                            unit="images/s",
                            more_is_better=True,
                            note=_differing(found.get("difference")),
                        )
                    )
        headers = ("precision", "batch", "images/s", "TFLOP/s", "share of the matrix rate")
        if rows:
            self.tables.append(Table(what, headers, rows))

    def losses(self, card: Card) -> None:
        """Losses after the same steps in both precisions."""
        found = [card.measure("loss", "--precision", precision) for precision in PRECISIONS]
        if None in found:
            return
        title = f"Losses after {found[0]['steps']} steps of batch {found[0]['batch']}, same start"
        rows = [
            (name, *(one["first"][name] for one in found), *(one["last"][name] for one in found))
            for name in found[0]["last"]
        ]
        both = [f"{when}, {p}" for when in ("first step", "last tenth") for p in PRECISIONS]
        self.tables.append(Table(title, ("loss", *both), rows))

    def together(self, card: Card) -> None:
        """Small trials a second in all, several processes on the card at once."""
        alone = None
        for number in SHARED:
            rates = _together(card, number)
            if rates is None:
                continue
            what = f"small trials, {number} at a time"
            if alone is None:
                alone = sum(rates)
                self.readings.append(Reading(what, [alone], "trials/s"))
                continue
            self.comparisons.append(
                Comparison(
                    what, [sum(rates)], [alone], "1 at a time", "trials/s", more_is_better=True
                )
            )


def _differing(difference: dict[str, float] | None) -> str:
    if difference is None:
        return ""
    return (
        f"maps differ by {difference['relative']:.2%} of their length from float32's (median "
        f"image), cosine at least {difference['cosine']:.5f}"
    )


def _together(card: Card, number: int) -> list[float] | None:
    """Trials a second of each of some processes that begin at the same moment."""
    name, seconds = f"together {number}", 1.0 if card.cpu else 8.0
    limit, begun = card.limit("together"), time.monotonic()
    if limit < 5 + seconds:
        card.failures[name] = "left out: no time was left"
        return None
    with tempfile.TemporaryDirectory() as folder:
        meet = Path(folder)
        words = ("--meet", str(meet), "--seconds", str(seconds))
        outs = [meet / f"found-{place}.json" for place in range(number)]
        processes = [card.start("together", out, *words) for out in outs]
        try:
            while len(list(meet.glob("ready-*"))) < number:
                if time.monotonic() - begun > limit - seconds:
                    card.failures[name] = "the processes were not ready in time"
                    return None
                if any(process.poll() is not None for process in processes):
                    break  # one failed; what it said is read below
                time.sleep(0.05)
            (meet / "go").touch()
            said = [process.communicate(timeout=seconds + 30)[1] for process in processes]
        except subprocess.TimeoutExpired:
            card.failures[name] = "the processes did not end"
            return None
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                    process.communicate()
        if not all(out.is_file() for out in outs):
            card.failures[name] = next(filter(None, map(_last_line, said)), "a process failed")
            return None
        found = [json.loads(out.read_text()) for out in outs]
    print(f"  {name} ({card.backend}): done, {time.monotonic() - begun:.0f} s", flush=True)
    return [one["trials"] / one["seconds"] for one in found]


def _last_line(said: str) -> str:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def main() -> None:
    """Measure, print as it goes, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=7.5, help="everything together, at most")
    parser.add_argument("--part", action="append", choices=list(LIMITS)[1:], help="only these")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--cpu", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    found = find_card(time.monotonic() + 60 * asked.minutes, asked.cpu)
    if found is None:
        print("gpu: skipped, since no backend of Keras that is installed sees a GPU")
        return
    card, seen = found
    wanted = asked.part or list(LIMITS)[1:]
    print(f"gpu: {seen['gpu'] or 'the CPU in its place'}, {card.backend}", flush=True)
    measured = Measured()
    if "matrix" in wanted:
        measured.matrix(card)
    if "extraction" in wanted:
        measured.images(card, "extraction", "InceptionV3's maps")
    if "head" in wanted:
        measured.images(card, "head", "RopaNet's step")
    if "together" in wanted:
        measured.together(card)
    if "loss" in wanted:
        measured.losses(card)
    where = ", ".join(f"{name} {value}" for name, value in seen.items() if value is not None)
    write(
        "gpu-tried-on-a-cpu" if asked.cpu else "gpu",
        CLAIM,
        comparisons=measured.comparisons,
        readings=measured.readings,
        tables=measured.tables,
        notes=[
            where,
            "float32 is what the backend makes of it by default, which may be TF32",
            *(f"{part} failed: {why}" for part, why in card.failures.items()),
        ],
        **({"folder": asked.out} if asked.out else {}),
    )


if __name__ == "__main__":
    main()
