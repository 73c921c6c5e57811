"""A study the plain way: a Keras script that loops over its arms and seeds, from images on disk.

Written as one would by hand: for each arm and seed the network is built anew on its frozen
backbone, a `tf.data` pipeline decodes the JPEG files in every epoch (in parallel, batched,
prefetched), `fit` validates after each, and `evaluate` ends it. Arms, splits, epochs, batch size,
models and losses are the bench's own, so that the work is the same; only the loop is plain.

    python benchmarks/plain_keras.py STUDY.yaml --cache DIR [--profile laptop] [--seeds N]
                                      [--arms N]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from studies import keras_own, trials_of

from bench.data.ground_truth import ground_truth
from bench.data.manifest import Manifest
from bench.data.split import split_of
from bench.errors import BenchError
from bench.models.network import BuiltModel, ModelInputs
from bench.models.supervision import Supervision
from bench.store.plan import PlannedTrial
from bench.study.trial import TrialSpec
from bench.systems.registry import BALANCING, load


@dataclass(frozen=True)
class PlainTrial:
    """What one arm at one seed came to.

    Args:
        metrics: Keras' metrics on the test images.
        images: Images decoded and passed through the backbone, every epoch's counted.
    """

    metrics: dict[str, float]
    images: int


def train_plain(spec: TrialSpec, manifest: Manifest, cache: Path) -> PlainTrial:
    """Train and test one arm at one seed.

    Args:
        spec: The trial. Only what the studies measured here use: a frozen backbone, no balancing,
            the last epoch's weights.
        manifest: The data.
        cache: Folder with the backbone's weights.

    Raises:
        BenchError: The trial asks for more than that.
    """
    import keras

    train = spec.train
    if train is None or train.balancing != "none" or train.selection != "last":
        raise BenchError("the plain script knows no balancing and no best weights")
    keras.backend.clear_session()
    keras.utils.set_random_seed(spec.seed)
    split = split_of(spec, manifest)
    network = build(spec, manifest, split.train, cache)
    training = images_of(spec, manifest, split.train, network.supervision, shuffle=True)
    validation = images_of(spec, manifest, split.val, network.supervision)
    stop = [keras.callbacks.EarlyStopping(patience=train.patience)] if train.patience else []
    history = network.model.fit(
        training, validation_data=validation, epochs=train.epochs, callbacks=stop, verbose=0
    )
    test = images_of(spec, manifest, split.test, network.supervision)
    metrics = network.model.evaluate(test, verbose=0, return_dict=True)
    return PlainTrial(
        # Keras puts the output's name in front where a model has several.
        {name.removeprefix("category_"): float(value) for name, value in metrics.items()},
        len(history.epoch) * (len(split.train) + len(split.val)) + len(split.test),
    )


def build(spec: TrialSpec, manifest: Manifest, trained_on: np.ndarray, cache: Path) -> BuiltModel:
    """The trial's network on top of its frozen backbone, from pixels in [0, 1], compiled.

    Begins with the very weights that the bench's trial begins with; its convolutions, its
    Adam and its step are Keras' own.

    Args:
        spec: The trial.
        manifest: The data.
        trained_on: Rows of it that are trained on.
        cache: Folder with the backbone's weights.
    """
    import keras

    from bench.store.features import RANDOM_SEED
    from bench.train.extract import open_backbone
    from bench.train.fitting import compile_network

    keras.utils.set_random_seed(RANDOM_SEED)
    backbone = open_backbone(spec.model.backbone)
    keras.utils.set_random_seed(spec.seed)
    classes = len(manifest.class_names)
    counts = np.bincount(manifest.category[trained_on], minlength=classes)
    with keras_own():
        inputs = ModelInputs(backbone.input, backbone.output, classes)
        built = load(spec.model.network)(spec.model, spec.supervision, inputs)
        network = replace(built, model=keras.Model(built.model.input, built.model.output))
        compile_network(network, spec.train, load(BALANCING["none"].build)(counts, 0.0), classes)
    network.start(spec.seed, backbone.layers)
    return network


def images_of(
    spec: TrialSpec,
    manifest: Manifest,
    rows: np.ndarray,
    supervision: Supervision,
    shuffle: bool = False,
) -> Any:
    """A `tf.data` pipeline from JPEG files to batches.

    Args:
        spec: The trial.
        manifest: The data.
        rows: Rows of it.
        supervision: What the network is trained to predict beside the category.
        shuffle: Whether each epoch has an order of its own.
    """
    import tensorflow as tf

    size = spec.model.backbone.side
    targets = {
        "category": manifest.category[rows].astype(np.int32),
        **supervision.targets(ground_truth(manifest, rows)),
    }

    def read(path: Any, target: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (size, size)) / 255.0, target

    paths = [str(manifest.root / str(path)) for path in manifest.paths[rows]]
    pipeline = tf.data.Dataset.from_tensor_slices((paths, targets))
    if shuffle:
        pipeline = pipeline.shuffle(len(rows), seed=spec.seed)
    pipeline = pipeline.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return pipeline.batch(spec.train.batch_size).prefetch(tf.data.AUTOTUNE)


def asked_for(description: str | None) -> tuple[Manifest, list[PlannedTrial], Path]:
    """What the command line of a plain script asks for: the data, the trials and the cache."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("study", type=Path)
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, help="only the first so many of the study's seeds")
    parser.add_argument("--arms", type=int, help="only the first so many of its arms")
    asked = parser.parse_args()
    manifest, trials = trials_of(asked.study, asked.cache, asked.profile)
    seeds = list(dict.fromkeys(trial.seed for trial in trials))[: asked.seeds]
    arms = list(dict.fromkeys(trial.arm for trial in trials))[: asked.arms]
    chosen = [trial for trial in trials if trial.seed in seeds and trial.arm in arms]
    return manifest, chosen, asked.cache


def main() -> None:
    """Train every arm at every seed, one after the other; print them as JSON, one a line."""
    manifest, trials, cache = asked_for(__doc__)
    for trial in trials:
        begun = time.perf_counter()
        plain = train_plain(trial.spec, manifest, cache)
        told = {"arm": trial.arm, "seed": trial.seed, "seconds": time.perf_counter() - begun}
        print(json.dumps(told | {"images": plain.images, "metrics": plain.metrics}), flush=True)


if __name__ == "__main__":
    main()
