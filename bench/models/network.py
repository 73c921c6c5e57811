"""What a builder is given to build on, and what it hands to the training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import layers, ops


@dataclass(frozen=True)
class ModelInputs:
    """What a model's branches stand on.

    Args:
        input: The model's input: feature maps `(n, h, w, c)` of a frozen backbone, or images.
        features: The feature map, a symbolic tensor; the input itself over a frozen backbone.
        attributes: How many attributes the data has; 0 without.
    """

    input: Any
    features: Any
    attributes: int = 0


@dataclass(frozen=True)
class BuiltModel:
    """A model, and what the loop needs to know of it.

    Args:
        model: Keras model to a dict of logits: `category` `(n, classes)`; with RopaNet's landmark
            branch `landmarks` `(n, 8, side * side)`, where pixel (row, column) has index
            `row * side + column`; with FashionNet's pose branch `visibility` `(n, 8, 3)` and, no
            logits, `points` `(n, 8, 2)`, (x, y) as shares of the image's sides; with an attribute
            head `attributes` `(n, attributes)`.
        features: The feature map, a symbolic tensor of `model`.
        groups: Trainable variables of the landmark branch and of the parts beside it, by the
            names `landmark`, `head`, `global`, `local`, in the order of the released code's
            steps; empty for a model that one optimiser trains as a whole. Variables in no group
            (a backbone's) are trained with the head.
        shadows: Pairs of a landmark variable and its shadow, through which the classification loss
            reaches the mask where the two losses take steps of their own (ledger row 9).
        landmark_side: Side of the landmark maps in pixels, None without such maps.
        gate: What the local branch's feature map is multiplied with, a symbolic tensor of
            `model`; None without a gate.
    """

    model: Any
    features: Any
    groups: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    shadows: tuple[tuple[Any, Any], ...] = ()
    landmark_side: int | None = None
    gate: Any = None


def output_layer(name: str, units: int, activation: str | None = None) -> Any:
    """The last layer before an output: in float32, whatever the layers before it compute in."""
    return layers.Dense(units, activation=activation, dtype="float32", name=name)


def answers(model: Any, images: Any) -> dict[str, np.ndarray]:
    """What a model with named outputs says of a batch.

    Called directly: Keras' `predict` on the JAX backend gives the weights' memory away, and they
    are shared with the network in training.

    Args:
        model: The model.
        images: A batch of its input.
    """
    said = model(ops.convert_to_tensor(images), training=False)
    return {name: ops.convert_to_numpy(ops.cast(value, "float32")) for name, value in said.items()}


def seed_layers(layers: Iterable[Any], seed: int) -> None:
    """Draw initial weights anew, each layer's from the seed and its own name.

    Arms of a study then begin with the same weights wherever they have the same layers, which
    takes the luck of the beginning out of a comparison that is paired by seed.

    Args:
        layers: Keras layers; those without a kernel or a bias keep what they have.
        seed: The trial's seed.
    """
    for layer, name, variable in seeded_weights(layers):
        initializer = getattr(layer, f"{name}_initializer")
        config = initializer.get_config()
        if "seed" in config:
            text = f"{seed}/{layer.name}/{name}"
            config["seed"] = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        variable.assign(type(initializer).from_config(config)(variable.shape, variable.dtype))


def seeded_weights(layers: Iterable[Any]) -> Iterator[tuple[Any, str, Any]]:
    """The weights that `seed_layers` draws: each one's layer, name and variable."""
    for layer in layers:
        for name in ("kernel", "bias"):
            variable = getattr(layer, name, None)
            if variable is not None and getattr(layer, f"{name}_initializer", None) is not None:
                yield layer, name, variable
