"""How long a store of ten thousand trials takes to be reported, and again when nothing changed.

The store is made on the spot: arms of a random design with planted effects, five seeds each, and
predictions, landmarks, gates and histories of the size of real ones. Each report runs in a process
of its own, whose seconds and peak memory are printed, beside those of merely reading every trial
back whole, which is what a script that computes its own table would begin with.

    python benchmarks/report.py [--trials 10000] [--images 400] [--store DIR]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from measured import Comparison, Reading, write

from bench.data.manifest import Manifest
from bench.metrics.catalogue import classification
from bench.store.plan import planned, study_record
from bench.store.record import GateRecord, Landmarks, Predictions, TrialRecord
from bench.store.trials import Store
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.study.trial import TrialSpec

SEEDS, CLASSES, EPOCHS, SIDE = 5, 50, 10, 6

STUDY = """
title: A large grid
axes:
  model.gate: [sigmoid, none, residual, spatial, detached, random]
  model.local_depth: [0, 1, 2, 3]
  model.global_depth: [1, 2, 3]
  model.local_pooling: [average, max, generalised_mean, attention]
  landmarks.update_ratio: [1, 2, 3, 4, 5]
  train.balancing: [none, class_weights, logit_adjustment]
  train.learning_rate: [5.0e-3, 1.0e-3]
design: {kind: random, arms: ARMS, seed: 0}
seeds: SEEDS
"""

READ = """
import sys
from pathlib import Path
from bench.store.trials import Store
store = Store(Path(sys.argv[1]))
for identity in store.ids():
    store.read(identity)
"""


def manifest_of(images: int) -> Manifest:
    """Data that the trials are said to have been tested on."""
    rng = np.random.default_rng(0)
    frequencies = 1.0 / np.arange(1, CLASSES + 1)
    category = rng.choice(CLASSES, images, p=frequencies / frequencies.sum()).astype(np.int16)
    return Manifest(
        source="phantom",
        root=Path("generated"),
        paths=np.array([f"img/Product_{i // 3:05d}/img_{i:08d}.jpg" for i in range(images)]),
        category=category,
        clothes_type=np.full(images, 3, np.int8),
        product=np.arange(images, dtype=np.int32) // 3,
        landmarks=rng.random((images, 8, 2)).astype(np.float32),
        visibility=np.zeros((images, 8), np.int8),
        image_size=np.full((images, 2), 300, np.int32),
        partition=np.full(images, -1, np.int8),
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        fingerprint="generated",
    )


def record_of(identity: str, spec: TrialSpec, manifest: Manifest) -> TrialRecord:
    """A made-up finished trial: better with a mask gate, worse with a deep local branch."""
    rng = np.random.default_rng(int(identity[:12], 16))
    plain = spec.model_dump(mode="json")
    labels = manifest.category.astype(np.int64)
    n = len(labels)
    right = 0.4 + 0.1 * (plain["model"]["gate"] == "sigmoid") - 0.03 * plain["model"]["local_depth"]
    logits = rng.normal(0, 1, (n, CLASSES)).astype(np.float32)
    logits[np.arange(n), labels] += 4.0 * (rng.random(n) < right)
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    moved = rng.normal(0, 0.05, manifest.landmarks.shape).astype(np.float32)
    gated = plain["model"]["gate"] != "none"
    maps = rng.random((n, SIDE, SIDE)).astype(np.float16)
    mean = maps.mean(axis=(1, 2), dtype=np.float32)
    return TrialRecord(
        id=identity,
        spec=plain,
        data={
            "source": manifest.source,
            "fingerprint": manifest.fingerprint,
            "class_names": list(manifest.class_names),
            "images": {"train": 4000, "val": 600, "test": n},
            "train_counts": np.bincount(labels, minlength=CLASSES).tolist(),
            "unreadable": [],
            "mean_position_error": 0.2,
        },
        metrics=classification(probabilities, labels) | {"landmark_loss": 5.0},
        history=[
            (epoch, split, metric, float(1 / epoch + rng.normal(0, 0.01)))
            for epoch in range(1, EPOCHS + 1)
            for split in ("train", "val")
            for metric in ("loss", "category_loss", "landmarks_loss", "accuracy")
        ],
        predictions=Predictions(manifest.paths, labels, probabilities),
        landmarks=Landmarks(
            manifest.paths, manifest.visibility, manifest.landmarks, manifest.landmarks + moved
        ),
        gate=GateRecord(manifest.paths, mean, mean**2, maps) if gated else None,
        timings={"total": 10.0},
        environment={"bench": "generated", "keras": "none", "python": "none", "machine": "none"},
    )


def fill(root: Path, trials: int, images: int) -> None:
    """Make the store, with all cores."""
    design = design_of(trials)
    manifest, store = manifest_of(images), Store(root)
    store.write_study(study_record(design, planned(design, manifest, store), manifest, "generated"))
    parts = [(root, trials, images, part) for part in range(os.cpu_count() or 1)]
    with ProcessPoolExecutor(len(parts)) as pool:
        list(pool.map(_fill_part, parts))


def design_of(trials: int) -> Design:
    """The study, resolved for so many trials."""
    text = STUDY.replace("ARMS", str(trials // SEEDS)).replace("SEEDS", str(SEEDS))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.yaml"
        file.write_text(text)
        return resolve_study(*load_study(file), profile="laptop")


def _fill_part(part: tuple[Path, int, int, int]) -> None:
    root, trials, images, number = part
    manifest, store = manifest_of(images), Store(root)
    os.fsync = lambda _: None  # what is made for a measurement need not outlive a power cut
    for place, trial in enumerate(planned(design_of(trials), manifest, store)):
        if place % (os.cpu_count() or 1) == number:
            store.write(record_of(trial.id, trial.spec, manifest))


def timed(*words: str) -> tuple[float, float]:
    """Seconds and peak gigabytes of a process and its children."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *words], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - begun, int(done.stdout.split()[-1]) / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--store", type=Path, help="made and kept here, or used as it is")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = asked.store or Path(scratch) / "results"
        if not root.exists():
            begun = time.perf_counter()
            fill(root, asked.trials, asked.images)
            print(f"store of {asked.trials:,} trials made in {time.perf_counter() - begun:.0f} s")
        command = [sys.executable, "-c", "from bench.cli import main; main()", "report"]
        command += ["--results", str(root), "--out", str(Path(scratch) / "report")]
        seconds, peaks = {}, {}
        for what, words in (
            ("read back whole", [sys.executable, "-c", READ, str(root)]),
            ("reported", command),
            ("reported again, unchanged", command),
        ):
            seconds[what], peaks[what] = timed(*words)
            print(f"{what}: {seconds[what]:.1f} s, peak {peaks[what]:.2f} GB", flush=True)
    plain = [seconds.pop("read back whole")]
    write(
        "report",
        "How long a store of many trials takes to be reported, and again where nothing has "
        "changed, beside merely reading every trial back.",
        comparisons=[
            Comparison(
                f"{asked.trials:,} trials of {asked.images} test images, {what}",
                [spent],
                plain,
                "reading every trial back whole, and no more",
                note=f"{1000 * spent / asked.trials:.2f} ms a trial",
            )
            for what, spent in seconds.items()
        ],
        readings=[Reading(f"peak memory, {what}", [peak], "GB") for what, peak in peaks.items()],
    )


if __name__ == "__main__":
    main()
