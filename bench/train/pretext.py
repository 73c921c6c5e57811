"""Weights for the small backbone: trained once on a phantom pretext task, then kept in the cache.

Stands in for ImageNet weights on a machine that cannot download any. The task: from garments drawn
apart from every study's data, uniform over categories, tell the pattern's parameters (sleeve and
body length, hood, ...) and the places of the landmarks. Category names are never shown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.ground_truth import GroundTruth
from bench.data.manifest import LANDMARKS
from bench.data.phantom import PretextSet, pretext_set
from bench.models.backbones import small
from bench.models.losses import LandmarkLoss
from bench.store.weights import write_weights
from bench.systems.ropanet.settings import LandmarkSpec
from bench.systems.ropanet.targets import pixel_targets

IMAGES = 2560
SIDE = 96
EPOCHS = 7
BATCH = 32
LEARNING_RATE = 3e-3
PATTERN_WEIGHT = 5.0
PLACES = 12
"""Side of the pixel maps that the landmarks are placed on, twice that of the feature map."""

SEED = 20190600


def make_phantom_weights(
    path: Path, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Train the small backbone on the pretext task; deterministic on one machine.

    Args:
        path: The weights file, which appears whole, by one rename.
        progress: Called with (phase, done, total).
    """
    say = progress or (lambda phase, done, total: None)
    data = pretext_set(IMAGES, SIDE, SEED, None, lambda done, total: say("generate", done, total))
    backbone = _train(data, lambda done: say("train", done, EPOCHS))
    write_weights(backbone, path)


def _train(data: PretextSet, epoch_done: Callable[[int], None]) -> Any:
    import keras
    from keras import layers

    from bench.train.fitting import JIT_COMPILE

    keras.utils.set_random_seed(SEED)
    backbone = small(SIDE, None)
    backbone.trainable = True
    maps = backbone.output
    pattern = layers.Dense(data.attributes.shape[1], name="pattern")(
        layers.GlobalAveragePooling2D()(maps)
    )
    # One transpose convolution, as in RopaNet's landmark branch; channels first for the loss.
    pixels = layers.Conv2DTranspose(len(LANDMARKS), 2, 2)(maps)
    places = layers.Permute((2, 1), name="places")(
        layers.Reshape((PLACES * PLACES, len(LANDMARKS)))(pixels)
    )
    model = keras.Model(backbone.input, {"pattern": pattern, "places": places})
    steps = EPOCHS * -(-len(data.images) // BATCH)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        loss={"pattern": "mse", "places": LandmarkLoss()},
        loss_weights={"pattern": PATTERN_WEIGHT, "places": 1.0},
        jit_compile=JIT_COMPILE,
    )
    unknown = np.zeros(len(data.images), np.int64)
    truth = GroundTruth(data.landmarks, data.visibility, unknown, unknown)
    model.fit(
        data.images.astype(np.float32) / 255.0,
        {
            "pattern": data.attributes,
            "places": pixel_targets(truth, PLACES, LandmarkSpec()),
        },
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: epoch_done(e + 1))],
    )
    return backbone
