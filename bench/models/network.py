"""What a system's builder is given to build on, and what it hands to the training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import layers, ops

from bench.models.optimizers.grouped import Group
from bench.models.supervision import Supervision


@dataclass(frozen=True)
class ModelInputs:
    """What a model's branches stand on, and what the data decides of it.

    Args:
        input: The model's input: feature maps `(n, h, w, c)` of a frozen backbone, or images.
        features: The feature map, a symbolic tensor; the input itself over a frozen backbone.
        classes: Number of categories.
        attribute_counts: `(2, attributes)` training images without and with each attribute; None
            where the data has none, or the system is not trained on them.
    """

    input: Any
    features: Any
    classes: int
    attribute_counts: np.ndarray | None = None


@dataclass(frozen=True)
class BuiltModel:
    """A model, and what the loop needs to know of it.

    Args:
        model: Keras model to a dict of outputs: `category`, logits `(n, classes)`, and those that
            `supervision` knows.
        features: The feature map, a symbolic tensor of `model`.
        supervision: What it is trained to predict beside the category.
        groups: Trainable variables by the batches at which they are updated; empty for a model
            that one optimiser trains as a whole.
        shared_count: Whether the groups' optimisers share one step count.
        gate: What the local branch's feature map is multiplied with, a symbolic tensor of `model`;
            None without a gate.
        image_input: The input that an image is given by, of a model that is trained on more than
            that (`Supervision.fed`); None where it is the only one.
    """

    model: Any
    features: Any
    supervision: Supervision
    groups: tuple[Group, ...] = ()
    shared_count: bool = False
    gate: Any = None
    image_input: Any = None

    @property
    def image(self) -> list[Any]:
        """The inputs that an image alone is given by."""
        return self.model.inputs if self.image_input is None else [self.image_input]

    @property
    def shadows(self) -> list[tuple[Any, Any]]:
        """Pairs of a variable and its shadow (`bench.models.optimizers.grouped.Group`)."""
        return [pair for group in self.groups for pair in group.shadows]

    def start(self, seed: int, below: Iterable[Any] = ()) -> None:
        """Put the initial weights to those of a seed, but for those of a backbone.

        Args:
            seed: The trial's seed.
            below: The backbone's layers.
        """
        known = {id(layer) for layer in below}
        seed_layers((layer for layer in self.model.layers if id(layer) not in known), seed)
        for variable, shadow in self.shadows:
            # A copy: on JAX, two variables of one buffer cannot be given to a step.
            shadow.assign(ops.copy(variable.value))


def output_layer(name: str, units: int, activation: str | None = None) -> Any:
    """The last layer before an output: in float32, whatever the layers before it compute in."""
    return layers.Dense(units, activation=activation, dtype="float32", name=name)


def predict(model: Any, images: Any) -> dict[str, np.ndarray]:
    """What a model with named outputs predicts for a batch.

    Called directly: Keras' `predict` on the JAX backend gives the weights' memory away, and they
    are shared with the network in training.

    Args:
        model: The model.
        images: A batch of its input.
    """
    outputs = model(ops.convert_to_tensor(images), training=False)
    return {
        name: ops.convert_to_numpy(ops.cast(value, "float32")) for name, value in outputs.items()
    }


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
