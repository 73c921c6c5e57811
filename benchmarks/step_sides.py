"""One side of `step.py`, in a process of its own: trains some batches and prints what it took.

    python benchmarks/step_sides.py SIDE --cache DIR [--batch 32] [--steps 2] [--precision float32]

SIDE is `released`, `plain` or `bench`, the three ways to train; `profile`, where the bench's step
spends its time; `matrix`, the machine's rate; or `pixel_loss` and `dense_loss`, the landmark loss
alone. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from layer_profile import finish, least_seconds, matrix_rate, profile
from released_step import BATCH as RELEASED_BATCH
from released_step import released_training
from studies import keras_own

from bench.data.ground_truth import ground_truth
from bench.data.images import decode_batch
from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.data.split import split_of
from bench.models.losses import LandmarkLoss
from bench.models.network import BuiltModel, ModelInputs
from bench.store.features import FeatureStore, feature_key
from bench.study.settings.data import DataSpec, PhantomSource
from bench.study.settings.training import TrainSpec
from bench.study.trial import TrialSpec
from bench.systems.registry import BALANCING, load
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet
from bench.systems.ropanet.targets import pixel_targets
from bench.systems.settings import BackboneSettings
from bench.train.compiled import Compiled
from bench.train.extract import open_backbone
from bench.train.fitting import compile_network
from bench.train.loop import TrialContext, run_trial
from bench.train.precision import computing_in

PHANTOM = PhantomSource(images=300, seed=0)
MAP = (8, 8, 2048)  # InceptionV3's at 299 pixels
LANDMARKS, PIXELS = 8, 300 * 300
TESTED = 4
TIMED_EPOCHS = 2


def spec_of(batch: int, steps: int, precision: str) -> TrialSpec:
    """RopaNet at the paper's scale for a few steps an epoch: one epoch to warm up, then the timed.

    Args:
        batch: Images a step.
        steps: Steps an epoch.
        precision: Of the bench's head.
    """
    return TrialSpec(
        data=DataSpec(
            source=PHANTOM, train_size=batch * steps, validation_size=0, test_size=TESTED
        ),
        model=RopaNet(backbone=BackboneSettings(weights="none")),
        landmarks=LandmarkSpec(),
        train=TrainSpec(batch_size=batch, epochs=1 + TIMED_EPOCHS, precision=precision),
    )


def write_maps(spec: TrialSpec, manifest: Manifest, cache: Path) -> None:
    """Keep random maps as the images' features: a step takes as long over them as over real ones.

    Args:
        spec: The trial.
        manifest: The data.
        cache: A cache of this measurement's own.
    """
    store = FeatureStore(
        cache, feature_key(spec.model.backbone, manifest.fingerprint, spec.arithmetic)
    )
    split = split_of(spec, manifest)
    rows = store.missing(np.sort(np.concatenate([split.train, split.test])))
    if rows:
        maps = np.random.default_rng(0).random((len(rows), *MAP), dtype=np.float32)
        store.write(rows, maps, {})


def train_bench(spec: TrialSpec, manifest: Manifest, cache: Path) -> dict[str, Any]:
    """Images a second of each epoch of a trial but the first, as a worker trains it."""
    ends: list[float] = []
    run_trial(
        spec,
        TrialContext(manifest, cache, compiled=Compiled()),
        progress=lambda done, most: ends.append(time.perf_counter()),
    )
    return {"rates": _rates(ends, len(split_of(spec, manifest).train))}


def train_plain(spec: TrialSpec, manifest: Manifest, cache: Path) -> dict[str, Any]:
    """The same of Keras' `fit` with one Adam, over the same maps and dense one-hot targets."""
    rows = split_of(spec, manifest).train
    with keras_own():
        network = network_of(spec, len(manifest.class_names))
    key = feature_key(spec.model.backbone, manifest.fingerprint, spec.arithmetic)
    maps = FeatureStore(cache, key).reader().gather(rows)
    side = network.supervision.side
    pixels = pixel_targets(ground_truth(manifest, rows), side, spec.landmarks)

    def dense(features: Any, category: Any, pixel: Any) -> Any:
        # one_hot gives zeros for the -1 of a landmark that is not trained, and so no loss.
        return features, {"category": category, "landmarks": tf.one_hot(pixel, side * side)}

    data = tf.data.Dataset.from_tensor_slices((maps, manifest.category[rows], pixels))
    data = data.shuffle(len(rows)).batch(spec.train.batch_size).map(dense).prefetch(1)
    network.model.compile(
        keras.optimizers.Adam(spec.train.learning_rate),
        loss={
            "category": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "landmarks": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        jit_compile=False,
    )
    ends: list[float] = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    network.model.fit(data, epochs=spec.train.epochs, verbose=0, callbacks=[watch])
    return {"rates": _rates(ends, len(rows))}


def train_released(spec: TrialSpec, manifest: Manifest, cache: Path) -> dict[str, Any]:
    """Images a second of the released method's pairs of batches, after a first pair."""
    rows = np.arange(RELEASED_BATCH * 2 * (1 + TIMED_EPOCHS))
    paths = [str(path) for path in manifest.paths[rows]]
    images, _ = decode_batch(manifest.root, paths, spec.model.backbone.side)
    backbone = open_backbone(spec.model.backbone)
    with keras_own():
        training = released_training(spec, backbone, len(manifest.class_names))
    side = training.network.supervision.side
    pixels = np.maximum(pixel_targets(ground_truth(manifest, rows), side, spec.landmarks), 0)
    ends = []
    for begin in range(0, len(rows), RELEASED_BATCH):
        part = slice(begin, begin + RELEASED_BATCH)
        category = manifest.category[rows[part]].astype(np.int32)
        training.step(tf.constant(images[part]), category, pixels[part])
        if training.batches % 2 == 0:  # the rest is trained on one of two
            ends.append(time.perf_counter())
    return {"rates": _rates(ends, 2 * RELEASED_BATCH)}


def network_of(spec: TrialSpec, classes: int) -> BuiltModel:
    """RopaNet on feature maps, as the bench builds it."""
    features = keras.Input(MAP, name="features")
    with computing_in(spec.train.precision):
        inputs = ModelInputs(features, features, classes)
        return load(spec.model.network)(spec.model, spec.supervision, inputs)


def profile_step(spec: TrialSpec, classes: int) -> dict[str, Any]:
    """Seconds of each layer, of the loss and of the optimiser; operations; matrix rates."""
    batch, network = spec.train.batch_size, network_of(spec, classes)
    rates = matrix_rates()
    rows, plain_flop = [], 0.0
    seldom = {
        id(v) for group in network.groups if group.name != "landmark" for v in group.variables
    }
    for layer in profile(network.model, batch, seldom, spec.landmarks.update_ratio):
        plain_flop += layer.plain_flop
        if layer.seconds > 1e-3:
            rows.append((layer.name, layer.flop, layer.forward, layer.backward))
            print(f"  {layer.name}: {layer.seconds:.3f} s", flush=True)
    pixels, logits = _landmarks(batch)
    loss = LandmarkLoss()
    rows.append(("landmark loss", 0.0, 0.0, least_seconds(_graded(loss, pixels, logits), 3)))
    rows.append(("optimiser", 0.0, 0.0, _optimiser_seconds(network, spec, classes)))
    # The same before and after: a rate that others took from the machine is no floor.
    rates = {dtype: max(rate, matrix_rate(dtype)) for dtype, rate in rates.items()}
    return {
        "layers": rows,
        "matrix": rates,
        "flop": sum(row[1] for row in rows),
        "plain_flop": plain_flop,
    }


def matrix_rates() -> dict[str, float]:
    """Operations a second of a large matrix product, by the factors' type."""
    return {dtype: matrix_rate(dtype) for dtype in ("float32", "bfloat16")}


def loss_memory(batch: int, dense: bool) -> dict[str, Any]:
    """Bytes of the landmark targets of a batch, and what computing their loss adds to the peak."""
    pixels, logits = _landmarks(batch)
    finish(logits)
    before = _now()
    target: Any = pixels
    loss: Any = LandmarkLoss()
    if dense:
        target = tf.one_hot(pixels, PIXELS)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    seconds = least_seconds(_graded(loss, target, logits), 3)
    count = int(np.prod(target.shape)) * target.dtype.size
    return {"target_bytes": count, "added": _peak() - before, "seconds": seconds}


def _landmarks(batch: int) -> tuple[Any, Any]:
    pixels = tf.random.uniform((batch, LANDMARKS), 0, PIXELS, dtype=tf.int32)
    return pixels, tf.zeros((batch, LANDMARKS, PIXELS))


def _graded(loss: Any, target: Any, logits: Any) -> Any:
    @tf.function
    def run() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(target, logits)
        return value, tape.gradient(value, logits)

    return run


def _optimiser_seconds(network: BuiltModel, spec: TrialSpec, classes: int) -> float:
    counts = np.ones(classes, np.int64)
    compile_network(network, spec.train, load(BALANCING["none"].build)(counts, 0.0), classes)
    optimiser, variables = network.model.optimizer, network.model.trainable_variables
    optimiser.build(variables)
    gradients = [tf.random.normal(v.shape, stddev=1e-3) for v in variables]

    @tf.function
    def run() -> Any:
        optimiser.apply(gradients, variables)
        return optimiser.iterations.value + 0

    cycle = spec.landmarks.update_ratio  # most weights take a step at the last batch of a cycle
    return least_seconds(lambda: [run() for _ in range(cycle)], 4) / cycle


def _rates(ends: list[float], images: int) -> list[float]:
    """Images a second between moments, of which the first ends the warming up."""
    return [images / (end - begin) for begin, end in pairwise(ends)]


def _now() -> int:
    """Memory that this process holds, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _peak() -> int:
    """Most memory that this process held at once so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure one side."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    sides = {"released": train_released, "plain": train_plain, "bench": train_bench}
    parser.add_argument("side", choices=[*sides, "profile", "matrix", "pixel_loss", "dense_loss"])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--precision", default="float32")
    asked = parser.parse_args()
    spec = spec_of(asked.batch, asked.steps, asked.precision)
    if asked.side.endswith("_loss"):
        told = loss_memory(asked.batch, dense=asked.side == "dense_loss")
    elif asked.side == "matrix":
        told = {"matrix": matrix_rates()}
    elif asked.side == "profile":
        told = profile_step(spec, 50)
    else:
        manifest = open_source(asked.cache / "phantom" / "300-images-seed-0", cache=asked.cache)
        write_maps(spec, manifest, asked.cache)
        told = sides[asked.side](spec, manifest, asked.cache)
    print(json.dumps(told | {"peak": _peak()}), flush=True)


if __name__ == "__main__":
    main()
