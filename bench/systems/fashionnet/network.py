"""FashionNet (§4.1, Fig. 2a; Liu et al. 2016, §4): landmarks first, then what lies around them."""

from __future__ import annotations

from typing import Any

from keras import Model, layers, ops

from bench.data.manifest import LANDMARKS, VISIBLE
from bench.models.landmark_pooling import LandmarkPooling
from bench.models.network import BuiltModel, ModelInputs, output_layer
from bench.systems.fashionnet.settings import FashionNet, PoseSpec
from bench.systems.fashionnet.supervision import PoseSupervision

STATES = 3
"""States of a landmark: visible, occluded, outside the image; DeepFashion's flags in order."""


def build(settings: FashionNet, supervision: PoseSpec, inputs: ModelInputs) -> BuiltModel:
    """The pose, the local and the global branch, and their fusion.

    Args:
        settings: The system's settings.
        supervision: How it is supervised.
        inputs: What to build on; a map of 28 x 28 x 512 as described, and 50 categories.
    """
    features = inputs.features

    pose_maps = _conv5("pose", features, settings)
    pose = layers.Flatten(name="pose_flat")(_pooled("pose_pool", pose_maps, settings))
    for index in (1, 2):
        pose = _connected(f"pose_units_{index}", pose, settings.pose_units, settings)
    places = output_layer("pose_points", 2 * len(LANDMARKS), activation="sigmoid")(pose)
    points = layers.Reshape((len(LANDMARKS), 2), dtype="float32", name="points")(places)
    states = output_layer("pose_visibility", STATES * len(LANDMARKS))(pose)
    visibility = layers.Reshape((len(LANDMARKS), STATES), dtype="float32", name="visibility")(
        states
    )

    gate = None
    if settings.local == "gate":
        gate = _gate(pose_maps, features)
        gated = layers.Multiply(name="gated")([features, gate])
        seen = layers.GlobalAveragePooling2D(name="local_pool")(gated)
    else:
        seen = _around_landmarks(features, points, visibility, settings)
    local = _connected("local_units", seen, settings.local_units, settings)

    whole = _pooled("global_pool", _conv5("global", features, settings), settings)
    flat = layers.Flatten(name="global_flat")(whole)
    seen_whole = _connected("global_units", flat, settings.global_units, settings)

    fused = layers.Concatenate(name="fusion")([local, seen_whole])
    fused = _connected("fusion_units", fused, settings.fusion_units, settings)
    outputs = {
        "category": output_layer("category", inputs.classes)(fused),
        "points": points,
        "visibility": visibility,
    }
    counts = inputs.attribute_counts if settings.reads_attributes else None
    if counts is not None:
        outputs["attributes"] = output_layer("attributes", counts.shape[1])(fused)
    model = Model(inputs.input, outputs, name="fashionnet")
    return BuiltModel(model, features, PoseSupervision(supervision, counts), gate=gate)


def _around_landmarks(features: Any, points: Any, visibility: Any, settings: FashionNet) -> Any:
    """What the maps hold around each landmark, those predicted invisible gated out: `(n, 8c)`."""
    if settings.local_gradient == "stopped":
        points, visibility = ops.stop_gradient(points), ops.stop_gradient(visibility)
    pooled = LandmarkPooling(settings.local_window, name="landmark_pooling")(features, points)
    if settings.local_visibility == "probability":
        pooled = pooled * ops.softmax(visibility, axis=-1)[..., VISIBLE, None]
    elif settings.local_visibility == "likeliest":
        seen = ops.equal(ops.argmax(visibility, axis=-1), VISIBLE)
        pooled = pooled * ops.cast(seen, pooled.dtype)[..., None]
    return layers.Flatten(name="local_flat")(pooled)


def _gate(pose_maps: Any, features: Any) -> Any:
    """RopaNet's mask in the place of points: of the pose branch's maps, as large as the shared."""
    mask = layers.Conv2D(features.shape[-1], 1, activation="sigmoid", name="pose_mask")(pose_maps)
    if mask.shape[1:3] == features.shape[1:3]:
        return mask
    return ops.image.resize(mask, features.shape[1:3], interpolation="bilinear")


def _conv5(branch: str, maps: Any, settings: FashionNet) -> Any:
    """A branch's own block in place of VGG-16's fifth, behind the fourth's pooling."""
    maps = _pooled(f"{branch}_pool_4", maps, settings)
    for index in range(1, settings.conv5_depth + 1):
        maps = layers.Conv2D(
            settings.conv5_filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"{branch}_conv5_{index}",
        )(maps)
    return maps


def _pooled(name: str, maps: Any, settings: FashionNet) -> Any:
    if settings.branch_pooling == 1:
        return maps
    return layers.MaxPooling2D(settings.branch_pooling, padding="same", name=name)(maps)


def _connected(name: str, value: Any, units: int, settings: FashionNet) -> Any:
    value = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=name)(value)
    return (
        layers.Dropout(settings.dropout, name=f"{name}_dropout")(value)
        if settings.dropout
        else value
    )
