"""How cost grows with the images, the arms and the workers, each plotted with its exponent.

Images: one epoch of the baseline head and of laptop RopaNet over generated maps (6 x 6 x 128), each
size in a process of its own, whose peak memory beside the maps' files is noted: with features in
memory, as the bench trains where they fit, and read batch by batch. Arms: laying out and sizing a
study, storing its trials, and running them (`base: prior`). Workers: one study by as many workers
as there are cores, and fewer.

    python benchmarks/scale.py [--images 100000] [--arms 10000] [--run-arms 1000] [--cache .cache]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from measured import RESULTS, Reading, Table, write
from scale_data import SHAPE, fill
from scipy import stats
from studies import bench, script, trials_of, with_features

from bench.store.plan import planned
from bench.store.trials import Store
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.train.loop import TrialContext, run_trial

CLAIM = (
    "Cost grows in proportion to the images and to the arms, or slower; the memory of a trial is "
    "bounded by a batch, or by a fixed amount of maps, and not by the images. What more workers "
    "give is stated."
)

WAYS = {"shared": "maps in memory where they fit", "plain": "batch by batch"}
COLUMNS = ("images", "train", "most_mb", "grown_mb", "resident_mb", "accuracy")
MAP_MB = 4e-6 * np.prod(SHAPE)
MOST_IMAGES = {"baseline": 100_000, "ropanet": 10_000}

ARMS = """
title: Many arms
base: prior
axes:
AXES
seeds: 1
"""
AXES = (
    "  data.train_size: [50, 60, 70, 80, 90, 100, 110, 120, 130, 140]",
    "  data.test_size: [20, 22, 24, 26, 28, 30, 32, 34, 36, 38]",
    "  data.split_seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
    "  data.validation_size: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
)

WORKERS = """
title: The same study by one worker and by more
base: {preset: ropanet, train.epochs: 4}
seeds: 8
"""


@dataclass(frozen=True)
class Line:
    """Cost by size.

    Args:
        name: What was measured.
        sizes: Of each measurement.
        costs: Of each, in seconds or MB.
    """

    name: str
    sizes: tuple[float, ...]
    costs: tuple[float, ...]

    def exponent(self) -> tuple[float, float, float] | None:
        """The slope on doubly logarithmic axes with its 95 % interval, by least squares.

        Only of sizes whose cost is at least twice the least cost: below, the fixed cost is most
        of it. None where fewer than three are left.
        """
        kept = [
            (s, c) for s, c in zip(self.sizes, self.costs, strict=True) if c > 2 * self.costs[0]
        ]
        if len(kept) < 3:
            return None
        sizes, costs = np.log10(np.array(kept)).T
        fit = stats.linregress(sizes, costs)
        half = float(stats.t.ppf(0.975, len(kept) - 2) * fit.stderr)
        return float(fit.slope), float(fit.slope) - half, float(fit.slope) + half


def by_images(most: int, scratch: Path) -> tuple[list[Line], list[Line], list[list[object]]]:
    """Seconds and memory of one epoch by the number of images."""
    sizes = [n for n in (100, 300, 1000, 3000, 10_000, 30_000, 100_000) if n <= most]
    seconds: dict[tuple[str, str], list[dict[str, float]]] = {}
    for images in sizes:
        cache = scratch / f"images-{images}"
        fill(cache, images)
        for model, at_most in MOST_IMAGES.items():
            if images > at_most:
                continue
            for way, told in WAYS.items():
                said = script("import scale_data; scale_data.main()", cache, images, model, way)
                found = json.loads(said.splitlines()[-1])
                seconds.setdefault((model, way), []).append(found)
                print(
                    f"  {images:,} images, {model}, {told}: {found['train']:.1f} s, "
                    f"{found['grown_mb']:.0f} MB",
                    flush=True,
                )
        shutil.rmtree(cache)
    lines, memory, rows = [], [], []
    for (model, way), found in seconds.items():
        name, of = f"{model}, {WAYS[way]}", tuple(one["images"] for one in found)
        lines.append(Line(name, of, tuple(one["train"] for one in found)))
        memory.append(Line(name, of, tuple(one["grown_mb"] for one in found)))
        rows += [[name, *(one[key] for key in COLUMNS)] for one in found]
    return lines, memory, rows


def by_arms(most: int, most_run: int, cache: Path, scratch: Path) -> list[Line]:
    """Seconds of laying a study out, planning it by command, storing and running its trials."""
    costs: dict[str, list[tuple[int, float]]] = {}

    def note(what: str, arms: int, begun: float) -> None:
        costs.setdefault(what, []).append((arms, time.perf_counter() - begun))
        print(f"  {arms:,} arms, {what}: {costs[what][-1][1]:.2f} s", flush=True)

    for digits in range(1, 5):
        arms = 10**digits
        if arms > most:
            break
        study = scratch / f"arms-{arms}.yaml"
        study.write_text(ARMS.replace("AXES", "\n".join(AXES[:digits])))
        manifest, trials = trials_of(study, cache, "smoke")
        begun = time.perf_counter()
        design = resolve_study(*load_study(study), profile="smoke")
        store = Store(scratch / f"stored-{arms}")
        assert sum(1 for _ in planned(design, manifest, store)) == arms
        note("resolved and identified", arms, begun)
        begun = time.perf_counter()
        bench("plan", study, "--profile", "smoke", "--cache", cache, "--results", scratch / "none")
        note("`bench plan`", arms, begun)
        record = run_trial(trials[0].spec, TrialContext(manifest, cache))
        begun = time.perf_counter()
        for trial in trials:
            store.write(replace(record, id=trial.id))
        note("stored", arms, begun)
        if arms <= most_run:
            begun = time.perf_counter()
            words = ("--profile", "smoke", "--cache", cache, "--results", scratch / f"run-{arms}")
            bench("run", study, *words)
            note("`bench run`", arms, begun)
    return [Line(what, *zip(*pairs, strict=True)) for what, pairs in costs.items()]


def by_workers(cache: Path, scratch: Path) -> Line:
    """Seconds of one study by the number of workers."""
    study = scratch / "workers.yaml"
    study.write_text(WORKERS)
    with_features(study, cache, "laptop")
    cores, found = os.cpu_count() or 1, []
    for workers in sorted({1, *(2**k for k in range(1, 10) if 2**k < cores), cores}):
        begun = time.perf_counter()
        words = ("--cache", cache, "--results", scratch / f"workers-{workers}")
        bench("run", study, "--profile", "laptop", *words, "--workers", workers)
        found.append((workers, time.perf_counter() - begun))
        print(f"  {workers} workers: {found[-1][1]:.1f} s", flush=True)
    return Line("a study of 8 trials", *zip(*found, strict=True))


def draw(panels: list[tuple[str, str, list[Line]]], file: Path) -> None:
    """One panel a question, doubly logarithmic but for the workers, lines with their exponents.

    Args:
        panels: Name of the horizontal axis, of the vertical one, and the lines.
        file: PNG.
    """
    sns.set_theme(style="whitegrid", palette="colorblind")
    figure, axes = plt.subplots(2, 2, figsize=(11, 11), layout="constrained")
    for axis, (title, unit, lines) in zip(axes.flat, panels, strict=True):
        for line, marker in zip(lines, "osD^", strict=False):
            axis.plot(line.sizes, line.costs, marker=marker, label=_label(line))
        axis.set(xscale="log", yscale="log", xlabel=title, ylabel=unit)
        axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
        if title == "workers":
            axis.set(xscale="linear", yscale="linear", xticks=lines[0].sizes, ylim=(0, None))
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _label(line: Line) -> str:
    found = line.exponent()
    if found is None:
        return line.name
    slope, low, high = found
    return f"{line.name}: size to the {slope:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Measure, plot and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="the most images")
    parser.add_argument("--arms", type=int, default=10_000, help="the most arms")
    parser.add_argument("--run-arms", type=int, default=1000, help="the most arms that are run")
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    cache = asked.cache.resolve()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        seconds, memory, rows = by_images(asked.images, scratch)
        arms = by_arms(asked.arms, asked.run_arms, cache, scratch)
        workers = by_workers(cache, scratch)
    panels = [
        ("images", "seconds of training, one epoch", seconds),
        ("images", "memory that a trial takes, MB", memory),
        ("arms", "seconds", arms),
        ("workers", "seconds", [workers]),
    ]
    draw(panels, asked.out / "scale.png")
    every = [*seconds, *arms]
    fits = [(line.name, *found) for line in every if (found := line.exponent())]
    alone, most = workers.costs[0], len(workers.costs)
    write(
        "scale",
        CLAIM,
        readings=[
            *(
                Reading(
                    f"memory that a trial of {line.name.split(',')[0]} takes, {WAYS['plain']}, "
                    f"{line.sizes[-1]:,.0f} images",
                    [line.costs[-1]],
                    "MB",
                    at_most=256.0,
                    note=f"their maps are {line.sizes[-1] * MAP_MB:,.0f} MB; the smallest trial "
                    f"takes {line.costs[0]:.0f} MB",
                )
                for line in memory
                if line.name.endswith(WAYS["plain"])
            ),
            *(
                Reading(f"{workers.name} by {w:.0f} workers, times as fast", [alone / cost], "x")
                for w, cost in islice(zip(workers.sizes, workers.costs, strict=True), 1, most)
            ),
        ],
        tables=[
            Table("Exponents, cost ~ size^exponent", ("what", "exponent", "from", "to"), fits),
            Table("A trial of one epoch, by its images", ("trial", *COLUMNS), rows),
            Table(
                "Seconds by arms",
                ("what", "arms", "s"),
                [(x.name, *pair) for x in arms for pair in zip(x.sizes, x.costs, strict=True)],
            ),
            Table(
                "Seconds by workers, start and all",
                ("workers", "s"),
                list(zip(workers.sizes, workers.costs, strict=True)),
            ),
        ],
        images=["scale.png"],
        notes=[
            "An exponent is the slope of a least-squares line on doubly logarithmic axes, with its "
            "95 % interval, over the sizes whose cost is at least twice the least cost.",
            "resident_mb is the most memory that was resident, TensorFlow and mapped features "
            "(which the system can drop) included; grown_mb is what a trial added of its own.",
        ],
        folder=asked.out,
    )


if __name__ == "__main__":
    main()
