"""How fast images become feature maps, beside Keras' `predict`, and what bfloat16 changes in them.

InceptionV3 at 299 pixels with random weights, drawn once so that its maps are neither tiny nor
huge (He et al. 2015). Every stage is timed on its
own; then the whole, as `bench run` does it and as a script does that reads with Pillow and calls
`predict`. A baseline head is then trained on either precision's maps.

    python benchmarks/extraction.py [--images 384] [--cache .cache]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
from measured import RESULTS, Comparison, Reading, Table, write
from PIL import Image
from studies import trials_of, with_features

from bench.data.images import decode_batch
from bench.data.manifest import Manifest
from bench.models.backbones import inception_v3
from bench.store.features import SHARD_ROWS, FeatureStore, feature_key
from bench.store.plan import PlannedTrial, feature_needs
from bench.systems.settings import BackboneSettings
from bench.train.compiled import Compiled
from bench.train.extract import extract, scaling_of
from bench.train.loop import TrialContext, run_trial

CLAIM = (
    "Extraction in bfloat16, decoding included, is at least 1.4 times as fast as `predict` in "
    "float32 on hardware with bfloat16; decoding and resizing are never the bottleneck; one pass "
    "serves all studies; the maps and what a head makes of them hardly change."
)

HEAD = """
base:
  preset: PRESET
  model.backbone: BACKBONE
  data: SIZES
  train.epochs: 10
seeds: 3
"""

PRECISIONS = ("float32", "bfloat16")
MOST_COMPARED = 400
"""Images whose maps are compared, at most."""

BATCH = 32
"""Images a call of `predict`, and of the bench's extraction."""


@dataclass(frozen=True)
class Network:
    """InceptionV3 as it is measured.

    Args:
        model: In float32, as a script would have it.
        backbone: The same as a study names it, but for its precision.
    """

    model: Any
    backbone: dict[str, Any]

    def settings(self, precision: str) -> BackboneSettings:
        """The same as the bench knows it."""
        return BackboneSettings.model_validate(_of_precision(self.backbone, precision))


def draw_network(folder: Path, side: int) -> Network:
    """Random weights by which maps keep their size from layer to layer.

    Batch normalisation keeps its first statistics: a random network that is normalised by its own
    is chaotic, and tells more of rounding than a trained one does.

    Args:
        folder: Where the weights are saved.
        side: Side of the images in pixels.
    """
    model = inception_v3(side, None)
    for number, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(keras.initializers.HeNormal(seed=number)(layer.kernel.shape))
    file = folder / "inception_v3.weights.h5"
    model.save_weights(file)
    backbone = {"name": "inception_v3", "weights": str(file), "input_size": side}
    return Network(model, backbone)


def study_of(
    folder: Path,
    backbone: dict[str, Any],
    sizes: dict[str, int],
    preset: str = "ropanet_baseline",
) -> Path:
    """A study of three seeds of a head over a backbone's maps, as a file."""
    text = HEAD.replace("PRESET", preset)
    text = text.replace("BACKBONE", json.dumps(backbone)).replace("SIZES", json.dumps(sizes))
    file = folder / f"{preset}.yaml"
    file.write_text(text)
    return file


def _of_precision(backbone: dict[str, Any], precision: str) -> dict[str, Any]:
    return backbone | ({} if precision == "float32" else {"precision": precision})


def read_by_hand(paths: list[Path], side: int) -> np.ndarray:
    """Images as a script reads them, one after another."""
    return np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((side, side)), np.float32) / 255
            for path in paths
        ]
    )


def stages(manifest: Manifest, rows: np.ndarray, side: int, forward: float) -> Table:
    """Images a second of each stage on all cores, and how that compares with the forward pass."""
    paths = [manifest.root / str(path) for path in manifest.paths[rows]]
    decoded = [Image.open(path).convert("RGB") for path in paths]
    images, _ = decode_batch(manifest.root, manifest.paths[rows], side)
    native = scaling_of(BackboneSettings(weights="none", scaling="native", input_size=side))
    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def each(work: Callable[[Any], Any], items: list[Any]) -> None:
            for _ in pool.map(work, items):
                pass

        works: dict[str, Callable[[], object]] = {
            "decoding JPEG": lambda: each(lambda p: Image.open(p).convert("RGB"), paths),
            "resizing": lambda: each(
                lambda i: np.asarray(i.resize((side, side), Image.Resampling.BILINEAR)), decoded
            ),
            "scaling as ImageNet's weights want": lambda: native(images),
            "all of these, as the bench does (`decode_batch`)": lambda: decode_batch(
                manifest.root, manifest.paths[rows], side
            ),
        }
        rates = {}
        for name, work in works.items():
            work()
            begun = time.perf_counter()
            work()
            rates[name] = len(rows) / (time.perf_counter() - begun)
    rates["forward pass, float32"] = forward
    lines = [(name, rate, rate / forward) for name, rate in rates.items()]
    return Table("Stages, on all cores", ("stage", "images/s", "times the forward pass"), lines)


def by_hand(network: Network, manifest: Manifest, rows: np.ndarray, side: int) -> list[float]:
    """Images a second of a script that reads and calls `predict`, of the same shards."""
    rates = []
    for shard in list(_shards(rows))[1:]:
        begun = time.perf_counter()
        images = read_by_hand([manifest.root / str(path) for path in manifest.paths[shard]], side)
        network.model.predict(images, batch_size=BATCH, verbose=0)
        rates.append(len(shard) / (time.perf_counter() - begun))
    return rates


def by_the_bench(
    manifest: Manifest, rows: np.ndarray, settings: BackboneSettings, cache: Path
) -> list[float]:
    """Images a second of the bench's extraction, of each whole shard but the first."""
    done = [(0, time.perf_counter())]
    extract(
        manifest,
        rows,
        settings,
        cache,
        progress=lambda n, _: done.append((n, time.perf_counter())),
    )
    steps = [(n - m, end - begin) for (m, begin), (n, end) in pairwise(done[1:])]
    return [n / seconds for n, seconds in steps if n == SHARD_ROWS]


def differing(
    manifest: Manifest, rows: np.ndarray, settings: list[BackboneSettings], cache: Path
) -> list[Reading]:
    """How far apart the maps of two precisions are."""
    one, two = (
        FeatureStore(cache, feature_key(s, manifest.fingerprint, "native")).reader().gather(rows)
        for s in settings
    )
    one, two = one.reshape(len(rows), -1), two.reshape(len(rows), -1)
    lengths = np.linalg.norm(one, axis=1)
    apart = np.linalg.norm(two - one, axis=1) / lengths
    cosine = (one * two).sum(axis=1) / lengths / np.linalg.norm(two, axis=1)
    name = f"{settings[0].name}, bfloat16 against float32, an image's maps"
    return [
        Reading(f"{name}: distance", [100 * float(np.median(apart))], "% of their length"),
        Reading(f"{name}: least cosine", [float(cosine.min())], ""),
    ]


def heads(
    manifest: Manifest, trials: dict[str, list[PlannedTrial]], cache: Path, what: str
) -> tuple[Table, Reading]:
    """What a baseline head makes of either precision's maps, seed by seed."""
    compiled = Compiled()
    context = TrialContext(manifest, cache, compiled=compiled)
    found = {
        precision: [run_trial(trial.spec, context).metrics for trial in of_precision]
        for precision, of_precision in trials.items()
    }
    rows = [
        (precision, *(100 * one["accuracy"] for one in each), *(one["loss"] for one in each))
        for precision, each in found.items()
    ]
    seeds = [trial.seed for trial in trials["float32"]]
    headers = [*(f"top-1 %, seed {s}" for s in seeds), *(f"loss, seed {s}" for s in seeds)]
    points = [
        100 * (two["accuracy"] - one["accuracy"]) for one, two in zip(*found.values(), strict=True)
    ]
    images = f"{what}: top-1 of bfloat16 against float32"
    return Table(what, ("maps in", *headers), rows), Reading(images, points, "points")


def _shards(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of whole shards."""
    for start in range(0, len(rows) - SHARD_ROWS + 1, SHARD_ROWS):
        yield rows[start : start + SHARD_ROWS]


class Report:
    """What is written in the end, as it grows."""

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []
        self.readings: list[Reading] = []
        self.tables: list[Table] = []

    def speed(self, network: Network, manifest: Manifest, rows: np.ndarray, cache: Path) -> None:
        """Every stage, and the whole both ways."""
        side = network.settings("float32").side
        images, _ = decode_batch(manifest.root, manifest.paths[rows[:SHARD_ROWS]], side)
        network.model.predict(images[:BATCH], batch_size=BATCH, verbose=0)  # compiles
        begun = time.perf_counter()
        network.model.predict(images, batch_size=BATCH, verbose=0)
        forward = len(images) / (time.perf_counter() - begun)
        self.tables.append(stages(manifest, rows[:SHARD_ROWS], side, forward))
        print(f"  forward pass: {forward:.1f} images/s", flush=True)
        plain = by_hand(network, manifest, rows, side)
        print(f"  by hand: {np.median(plain):.1f} images/s", flush=True)
        for precision in PRECISIONS:
            rates = by_the_bench(manifest, rows, network.settings(precision), cache)
            print(f"  bench, {precision}: {np.median(rates):.1f} images/s", flush=True)
            self.comparisons.append(
                Comparison(
                    f"InceptionV3 at {side}, decoding included, {precision}",
                    rates,
                    plain,
                    "Pillow, then `predict` in float32",
                    "images/s",
                    more_is_better=True,
                    wanted=1.4 if precision == "bfloat16" else None,
                )
            )

    def one_pass(self, studies: list[list[PlannedTrial]], manifest: Manifest, cache: Path) -> None:
        """How many images are left to extract for a second study, once the first has run."""
        specs = [trial.spec for trials in studies for trial in trials]
        (need,) = feature_needs(specs, manifest, cache)
        what = f"images to extract for a second study of the same {len(need.rows)} images"
        self.readings.append(Reading(what, [need.missing], "", at_most=0))

    def precision(
        self, what: str, trials: dict[str, list[PlannedTrial]], manifest: Manifest, cache: Path
    ) -> None:
        """What bfloat16 changes in a backbone's maps, and in a head over them."""
        needs = [
            feature_needs([trial.spec for trial in trials[precision]], manifest, cache)[0]
            for precision in PRECISIONS
        ]
        settings = [need.backbone for need in needs]
        self.readings += differing(manifest, needs[0].rows[:MOST_COMPARED], settings, cache)
        table, reading = heads(manifest, trials, cache, what)
        self.tables.append(table)
        self.readings.append(reading)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3 * SHARD_ROWS)
    parser.add_argument("--side", type=int, default=299)
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    cache, report = asked.cache.resolve(), Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = {"name": "efficientnet_lite0_stage5", "scaling": "native", "input_size": 128}
        by_precision = {}
        for precision in PRECISIONS:
            study = study_of(folder, _of_precision(small, precision), {})
            manifest, by_precision[precision] = with_features(study, cache, "laptop")
        report.precision("EfficientNet-Lite0, laptop profile", by_precision, manifest, cache)

        train = asked.images * 5 // 8
        sizes = {"train_size": train, "validation_size": 0, "test_size": asked.images - train}
        network = draw_network(folder, asked.side)
        own = folder / "cache"  # of its own, so that it is extracted
        own.mkdir()
        (own / "phantom").symlink_to(cache / "phantom")
        studies = {
            precision: trials_of(
                study_of(folder, _of_precision(network.backbone, precision), sizes), own, "laptop"
            )[1]
            for precision in PRECISIONS
        }
        (need,) = feature_needs([t.spec for t in studies["float32"]], manifest, own)
        report.speed(network, manifest, need.rows, own)
        second = study_of(folder, network.backbone, sizes, "ropanet")
        _, others = trials_of(second, own, "laptop")
        report.one_pass([studies["float32"], others], manifest, own)
        report.precision(f"InceptionV3, {train} training images", studies, manifest, own)
    write(
        "extraction",
        CLAIM,
        comparisons=report.comparisons,
        readings=report.readings,
        tables=report.tables,
        notes=["InceptionV3's weights are random: its accuracies say what bfloat16 changes only"],
        folder=asked.out,
    )


if __name__ == "__main__":
    main()
