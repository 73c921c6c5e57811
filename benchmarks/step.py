"""RopaNet's training step at the paper's scale: the released method's, Keras', and the bench's.

112 million weights above 8 x 8 x 2048 maps of InceptionV3, 300 x 300 landmark maps. Each side
trains in a process of its own, in turn, so many times: the released method's step
(`released_step.py`), Keras' `fit` in float32 with dense one-hot landmark targets, and the bench's
trials in float32 and bfloat16. Beside them: the floor (operations over the measured matrix rate),
where the time goes by layer, what the landmark loss holds in memory, and what bfloat16 does to
accuracy, at laptop scale.

    python benchmarks/step.py [--runs 2] [--batch 32] [--steps 2] [--seeds 3] [--cache DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from measured import Comparison, Reading, Table, write

from bench.data.phantom import generate_phantom
from bench.data.phantoms import phantom_folder
from bench.study.settings.data import PhantomSource

HERE = Path(__file__).resolve().parent
IMAGES = 300  # of the phantom that the steps are taken on
SIDES = {
    "released": ("released",),
    "plain": ("plain",),
    "float32": ("bench",),
    "bfloat16": ("bench", "--precision", "bfloat16"),
}


def run_side(*words: str, threads: int | None = None) -> dict[str, Any]:
    """What a process of `step_sides.py` or `step_accuracy.py` measured.

    Args:
        words: The script and its command line.
        threads: Of TensorFlow's; None for one a core.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if threads is not None:
        environment |= {
            "TF_NUM_INTRAOP_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
        }
    done = subprocess.run(
        [sys.executable, str(HERE / words[0]), *words[1:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def rates_of(runs: int, common: Sequence[str]) -> dict[str, list[float]]:
    """Images a second of each side, its median in each run; the sides take turns."""
    rates: dict[str, list[float]] = {name: [] for name in SIDES}
    for run in range(1, runs + 1):
        for name, words in SIDES.items():
            told = run_side("step_sides.py", *words, *common)
            rates[name].append(statistics.median(told["rates"]))
            print(
                f"run {run} of {runs}, {name}: {rates[name][-1]:.3g} images/s, "
                f"peak memory {told['peak'] / 1e9:.1f} GB",
                flush=True,
            )
    return rates


def floor_readings(
    rates: dict[str, list[float]], profiles: dict[str, dict[str, Any]]
) -> Iterable[Reading]:
    """How near each precision's step is to the operations over the matrix rate."""
    for dtype, told in profiles.items():
        matrix, flop = told["matrix"][dtype], told["flop"]
        yield Reading(
            f"step in {dtype}, share of its floor",
            [100 * rate * flop / matrix for rate in rates[dtype]],
            "%",
            at_least=85,
            note=f"floor {matrix / flop:.3g} images/s: {flop / 1e9:.1f} GFLOP an image (forward, "
            f"gradient of the weights at the batches where it is due, gradient of the input where "
            f"something below is trained; nothing for products with the padding of the 5 x 5 "
            f"convolution) over {matrix / 1e9:.0f} GFLOP/s of a large product",
        )
        plain = told["plain_flop"]
        yield Reading(
            f"step in {dtype}, share of the floor of a plain step",
            [100 * rate * plain / matrix for rate in rates[dtype]],
            "%",
            note=f"{plain / 1e9:.1f} GFLOP an image: with padding, every gradient at every batch",
        )


def profile_table(dtype: str, told: dict[str, Any], batch: int) -> Table:
    """Where the time goes, the longest first."""
    total = sum(forward + backward for _, _, forward, backward in told["layers"])
    rows = [
        (
            name,
            flop / 1e9,
            1e3 * forward,
            1e3 * backward,
            100 * (forward + backward) / total,
            batch * flop / (forward + backward) / 1e9,
        )
        for name, flop, forward, backward in sorted(
            told["layers"], key=lambda row: -row[2] - row[3]
        )
    ]
    return Table(
        f"Layers alone in {dtype}, {total:.2f} s a batch of {batch} "
        f"({batch / total:.3g} images/s; matrix product {told['matrix'][dtype] / 1e9:.0f} GFLOP/s)",
        ("layer", "GFLOP an image", "forward ms", "backward ms", "share %", "GFLOP/s"),
        rows,
    )


def memory_comparison(common: Sequence[str]) -> Comparison:
    """What the landmark loss and its gradient hold beside the logits."""
    pixel, dense = (run_side("step_sides.py", f"{how}_loss", *common) for how in ("pixel", "dense"))
    return Comparison(
        "memory of the landmark loss and its gradient, beside the logits",
        [pixel["added"] / 1e6],
        [dense["added"] / 1e6],
        "dense one-hot maps, Keras' CategoricalCrossentropy",
        unit="MB",
        note=f"targets alone: {pixel['target_bytes']:,} bytes against {dense['target_bytes']:,}; "
        f"{1e3 * pixel['seconds']:.0f} ms against {1e3 * dense['seconds']:.0f} ms",
    )


def main() -> None:
    """Measure and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2, help="steps of one timed epoch")
    parser.add_argument("--seeds", type=int, default=3, help="of the accuracy; 0 leaves it out")
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-step-") as scratch:
        root = Path(scratch) / phantom_folder(PhantomSource(images=IMAGES))
        root.parent.mkdir(parents=True)
        generate_phantom(root, images=IMAGES, seed=0)
        common = ("--cache", scratch, "--batch", str(asked.batch), "--steps", str(asked.steps))
        rates = rates_of(asked.runs, common)
        profiles = {}
        for dtype in ("float32", "bfloat16"):
            profiles[dtype] = run_side("step_sides.py", "profile", "--precision", dtype, *common)
            print(f"layers timed in {dtype}", flush=True)
        alone = run_side("step_sides.py", "matrix", *common, threads=1)["matrix"]
        memory = memory_comparison(common)
    tables = [profile_table(dtype, told, asked.batch) for dtype, told in profiles.items()]
    if asked.seeds:
        told = run_side(
            "step_accuracy.py", "--cache", str(asked.cache), "--seeds", str(asked.seeds)
        )
        tables.append(Table(**told))
    work = f"a step at the paper's scale, images/s at batch {asked.batch}"
    write(
        "step",
        "A training step of RopaNet at the paper's scale is at least 10 times as fast as the "
        "released method's and, where the hardware has bfloat16, 1.8 times as fast as plain "
        "float32 Keras; it comes within 85 % of what its operations take at the machine's rate.",
        comparisons=[
            Comparison(
                f"{work}, {dtype}",
                rates[dtype],
                rates[other],
                other_way,
                unit="images/s",
                more_is_better=True,
                wanted=wanted if dtype == "bfloat16" else None,
            )
            for dtype in ("float32", "bfloat16")
            for other, other_way, wanted in (
                ("released", "the released method's step, eager, batches of 4 images", 10.0),
                ("plain", "Keras' fit in float32, dense one-hot landmark maps", 1.8),
            )
        ]
        + [memory],
        readings=[
            *floor_readings(rates, profiles),
            *(
                Reading(
                    f"large matrix product in {dtype}",
                    [told["matrix"][dtype] / 1e9 for told in profiles.values()],
                    "GFLOP/s",
                    note=f"{alone[dtype] / 1e9:.0f} GFLOP/s on one thread",
                )
                for dtype in alone
            ),
        ],
        tables=tables,
        notes=[
            "`bench plan` counts three forward passes a step (`bench.study.cost`); here the "
            "gradients that nothing needs and products with padding are left out."
        ],
    )


if __name__ == "__main__":
    main()
