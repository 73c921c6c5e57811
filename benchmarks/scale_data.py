"""Generated data of any size, and one trial over it: what `scale.py` measures in processes.

python benchmarks/scale_data.py CACHE IMAGES MODEL WAY    (run by scale.py)
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.data.manifest import Manifest
from bench.store.features import SHARD_ROWS, FeatureStore, feature_key
from bench.study.settings.data import DataSpec
from bench.study.settings.training import TrainSpec
from bench.study.trial import TrialSpec
from bench.systems.baseline.settings import RopaNetBaseline
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet, UpsamplingStage
from bench.systems.settings import BackboneSettings

CLASSES, TEST = 50, 100
SHAPE = (6, 6, 128)
BACKBONE = BackboneSettings(name="efficientnet_lite0_stage5", weights="none")


def manifest_of(images: int) -> Manifest:
    """Data of so many training images, and some to test on, without files."""
    number = images + TEST
    draw = np.random.default_rng(0)
    partition = np.zeros(number, np.int8)
    partition[images:] = 2
    return Manifest(
        source="phantom",
        root=Path("generated"),
        paths=np.array([f"img/Product_{i // 3:05d}/img_{i:08d}.jpg" for i in range(number)]),
        category=draw.integers(0, CLASSES, number).astype(np.int16),
        clothes_type=np.full(number, 3, np.int8),
        product=np.arange(number, dtype=np.int32) // 3,
        landmarks=draw.random((number, 8, 2)).astype(np.float32),
        visibility=np.zeros((number, 8), np.int8),
        image_size=np.full((number, 2), 300, np.int32),
        partition=partition,
        class_names=tuple(f"class {index}" for index in range(CLASSES)),
        fingerprint=f"generated-{images}",
    )


def fill(cache: Path, images: int) -> None:
    """Write the maps of the images: noise, and a pattern by which a class is told."""
    manifest = manifest_of(images)
    store = FeatureStore(cache, feature_key(BACKBONE, manifest.fingerprint, "native"))
    draw = np.random.default_rng(1)
    patterns = draw.normal(0, 1, (CLASSES, SHAPE[-1])).astype(np.float32)
    noise = draw.normal(0, 1, (SHARD_ROWS, *SHAPE)).astype(np.float32)
    rows = np.arange(len(manifest))
    kept, os.fsync = os.fsync, lambda _: None  # what is made for a measurement may be lost
    try:
        for start in range(0, len(rows), SHARD_ROWS):
            shard = rows[start : start + SHARD_ROWS]
            own = np.roll(noise, int(draw.integers(SHARD_ROWS)), axis=0)[: len(shard)]
            store.write(shard.tolist(), own + patterns[manifest.category[shard], None, None], {})
    finally:
        os.fsync = kept


def spec_of(model: str, images: int) -> TrialSpec:
    """One epoch of a head over so many images."""
    data = DataSpec(train_size=images, validation_size=0, test_size=TEST)
    train = TrainSpec(epochs=1)
    if model == "baseline":
        return TrialSpec(data=data, model=RopaNetBaseline(backbone=BACKBONE), train=train)
    stages = (UpsamplingStage(filters=32), UpsamplingStage(filters=8))
    ropanet = RopaNet(backbone=BACKBONE, upsampling=stages, global_filters=32)
    return TrialSpec(data=data, model=ropanet, landmarks=LandmarkSpec(), train=train)


@contextmanager
def own_memory() -> Iterator[dict[str, float]]:
    """The most memory that this process has of its own while a block runs, in MB.

    Pages of mapped files, which the system can drop at any moment, are not counted.
    """
    found, over = {"before": _own(), "most": 0.0}, threading.Event()

    def watch() -> None:
        while not over.is_set():
            found["most"] = max(found["most"], _own())
            over.wait(0.02)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def _own() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000


def main() -> None:
    """Train one trial and print what it took."""
    from bench.train.compiled import Compiled
    from bench.train.loop import TrialContext, run_trial

    cache, images, model, way = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    manifest = manifest_of(images)
    context = TrialContext(manifest, cache, compiled=Compiled() if way == "shared" else None)
    begun = time.perf_counter()
    with own_memory() as memory:
        record = run_trial(spec_of(model, images), context)
    print(
        json.dumps(
            {
                "images": images,
                "seconds": time.perf_counter() - begun,
                "train": record.timings["train"],
                "most_mb": memory["most"],
                "grown_mb": memory["most"] - memory["before"],
                "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
                "accuracy": record.metrics["accuracy"],
            }
        )
    )


if __name__ == "__main__":
    main()
