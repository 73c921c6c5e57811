"""RopaNet (§4.4-4.5): a landmark, a local and a global branch over one feature map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from bench.data.manifest import LANDMARKS
from bench.models.convolutions import same_convolution, upsampling_convolution
from bench.models.landmark_pooling import LandmarkPooling, soft_arg_max
from bench.models.network import BuiltModel, ModelInputs, output_layer
from bench.models.optimizers.grouped import Group
from bench.models.optimizers.grouped_model import GroupedModel
from bench.systems.registry import GATES, POOLINGS, load
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet
from bench.systems.ropanet.supervision import LandmarkSupervision

LOCAL_WINDOW = 3
"""Samples on a side of the window around a landmark, where the settings leave it out."""


def build(settings: RopaNet, supervision: LandmarkSpec, inputs: ModelInputs) -> BuiltModel:
    """The three branches and their fusion.

    Args:
        settings: The system's settings.
        supervision: How the landmark branch is supervised.
        inputs: What to build on; a map of 8 x 8 x 2048 and 50 categories in the paper.
    """
    features = inputs.features

    mask_layers = _mask_layers(settings, features.shape[-1])
    mask = _chain(mask_layers, features)
    stages = _upsampling(settings)
    maps = _chain(stages, mask)
    side = maps.shape[1]
    by_landmark = layers.Permute((2, 1), name="landmarks")(
        layers.Reshape((side * side, len(LANDMARKS)), name="landmark_pixels")(maps)
    )

    shadow_layers: list[Any] = []
    gate, seen_mask = None, mask
    if supervision.steps == "separate":
        # The same mask once more, so that each loss has a gradient of its own in it.
        shadow_layers = _mask_layers(settings, features.shape[-1], shadow="shadow_")
        seen_mask = _chain(shadow_layers, features)
        for layer, shadow in zip(mask_layers, shadow_layers, strict=True):
            shadow.set_weights(layer.get_weights())
    if settings.local == "landmark_pooling":
        points = _places(by_landmark, side, supervision)
        local_layers, local = _around_landmarks(settings, features, points)
    else:
        gate = _gate(settings, features, seen_mask)
        gated = features if gate is None else layers.Multiply(name="gated")([features, gate])
        local_layers = _local_branch(settings, features.shape[1:])
        local = _chain(local_layers, gated)
    global_layers = _global_branch(settings, features.shape[1:])
    fused = layers.Concatenate(name="fusion")([local, _chain(global_layers, features)])
    head = output_layer("category", inputs.classes)
    model = GroupedModel(
        inputs.input, {"category": head(fused), "landmarks": by_landmark}, name="ropanet"
    )
    landmark_layers = [*mask_layers, *stages]
    if not supervision.trained:
        for layer in landmark_layers:
            layer.trainable = False
    branches = {
        "landmark": landmark_layers, "head": [head], "global": global_layers,
        "local": local_layers,
    }  # fmt: skip
    pairs = zip(_variables(mask_layers), _variables(shadow_layers), strict=bool(shadow_layers))
    return BuiltModel(
        model,
        features,
        LandmarkSupervision(supervision, side),
        groups=_update_groups(supervision, model, branches, list(pairs)),
        shared_count=supervision.counters == "shared",
        gate=gate,
    )


def _update_groups(
    supervision: LandmarkSpec,
    model: Any,
    branches: dict[str, list[Any]],
    shadows: list[tuple[Any, Any]],
) -> tuple[Group, ...]:
    """The variables by the batches at which they are updated, in the order of their steps (row 9).

    Args:
        supervision: The landmark update ratio, and how it is meant.
        model: The model.
        branches: Layers of the `landmark` branch, and of the others that are updated more seldom.
        shadows: Pairs of a variable of the mask and its shadow.
    """
    ratio = max(supervision.update_ratio, 1)
    landmark: dict[str, Any] = {"shadows": shadows}
    period = ratio
    if supervision.interleaving == "next_batch":
        # The batch after r landmark batches is the others', and the landmark branch skips it.
        period = ratio + 1
        landmark |= {"period": period, "turns": tuple(range(1, period))}
    variables = {name: _variables(layers) for name, layers in branches.items()}
    known = {id(shadow) for _, shadow in shadows}
    known |= {id(variable) for of_branch in variables.values() for variable in of_branch}
    # Beside the branches, those of a backbone that is trained: they are updated with the head.
    variables["head"] += tuple(v for v in model.trainable_variables if id(v) not in known)
    groups = [Group(variables.pop("landmark"), "landmark", **landmark)]
    groups += [Group(of_branch, name, period) for name, of_branch in variables.items()]
    return tuple(group for group in groups if group.variables)


def _gate(settings: RopaNet, features: Any, mask: Any) -> Any:
    """What the local branch's feature map is multiplied with; None for nothing."""
    if settings.gate_sparsity:
        mask = MeanPenalty(settings.gate_sparsity, name="gate_sparsity")(mask)
    return load(GATES[settings.gate].build)(features, mask)


def _places(by_landmark: Any, side: int, supervision: LandmarkSpec) -> Any:
    """Where the landmark maps put the landmarks, (x, y) as shares of the image's sides."""
    places = soft_arg_max(ops.cast(by_landmark, "float32"), side)
    return ops.flip(places, axis=-1) if supervision.axis_order == "xy" else places


def _around_landmarks(settings: RopaNet, features: Any, points: Any) -> tuple[list[Any], Any]:
    """FashionNet's local branch in the place of RopaNet's: its layers, and what it says."""
    convolutions = _local_convolutions(settings, features.shape[1:])
    end = _branch_end("local", settings)
    pool = LandmarkPooling(settings.local_window or LOCAL_WINDOW, name="landmark_pooling")
    pooled = pool(_chain(convolutions, features), points)
    return [*convolutions, end], end(layers.Flatten(name="local_flat")(pooled))


class MeanPenalty(keras.layers.Layer):
    """Passes a tensor on and adds its mean value, weighted, to the loss.

    Args:
        weight: Weight of the penalty.
    """

    def __init__(self, weight: float, name: str | None = None) -> None:
        super().__init__(name=name)
        self._weight = weight

    def in_keras_form(self) -> Any:
        """Without its penalty, which is for training."""
        return keras.layers.Identity(name=self.name)

    def call(self, values: Any) -> Any:
        """The tensor, unchanged."""
        self.add_loss(self._weight * ops.mean(values))
        return values

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """That of the input."""
        return input_shape


def _mask_layers(settings: RopaNet, channels: int, shadow: str = "") -> list[Any]:
    """From the feature map to the mask: a 1 x 1 convolution, behind more where asked for."""
    before = [
        layers.Conv2D(
            channels, 3, padding="same", activation="relu", name=f"{shadow}landmark_conv_{index}"
        )
        for index in range(1, settings.gate_depth + 1)
    ]
    bias = keras.initializers.Constant(settings.gate_bias)
    return [
        *before,
        layers.Conv2D(
            channels, 1, activation="sigmoid", bias_initializer=bias, name=f"{shadow}landmark_mask"
        ),
    ]


def _upsampling(settings: RopaNet) -> list[Any]:
    """Transpose convolutions; a softmax follows the last (ledger row 6)."""
    chain = []
    for index, stage in enumerate(settings.upsampling, start=1):
        last = index == len(settings.upsampling)
        activation = settings.landmark_activation if last else "relu"
        name = f"landmark_up_{index}"
        chain.append(
            upsampling_convolution(stage.filters, stage.kernel, stage.stride, activation, name)
        )
    return chain


def _local_branch(settings: RopaNet, seen: tuple[int, int, int]) -> list[Any]:
    convolutions = _local_convolutions(settings, seen)
    pool = load(POOLINGS[settings.local_pooling])("local_pool")
    return [*convolutions, pool, _branch_end("local", settings)]


def _local_convolutions(settings: RopaNet, seen: tuple[int, int, int]) -> list[Any]:
    filters, kernel = settings.local_filters or seen[-1], settings.local_kernel or 3
    return _convolutions("local", settings.local_depth, seen, filters, kernel, settings)


def _global_branch(settings: RopaNet, seen: tuple[int, int, int]) -> list[Any]:
    filters, kernel = settings.global_filters, settings.global_kernel
    convolutions = _convolutions("global", settings.global_depth, seen, filters, kernel, settings)
    pool = load(POOLINGS[settings.global_pooling])("global_pool")
    return [*convolutions, pool, _branch_end("global", settings)]


def _convolutions(
    branch: str,
    depth: int,
    seen: tuple[int, int, int],
    filters: int,
    kernel: int,
    settings: RopaNet,
) -> list[Any]:
    chain = []
    for index in range(1, depth + 1):
        name = f"{branch}_conv_{index}"
        chain.append(same_convolution(seen, filters, kernel, settings.global_activation, name))
        seen = (*seen[:2], filters)
    return chain


def _branch_end(branch: str, settings: RopaNet) -> Any:
    return layers.Dense(
        settings.branch_units,
        activation=settings.branch_activation,
        kernel_initializer="he_normal",
        bias_initializer=settings.branch_bias,
        name=f"{branch}_units",
    )


def _chain(chain: Sequence[Any], value: Any) -> Any:
    for layer in chain:
        value = layer(value)
    return value


def _variables(chain: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(variable for layer in chain for variable in layer.trainable_variables)
