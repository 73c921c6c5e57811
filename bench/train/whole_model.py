"""A trained trial as one model: from decoded images to named outputs, their scaling inside.

It is made of Keras' own layers wherever the bench's are a faster form of one, so that the file of
most systems opens without the bench.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from pydantic import ValidationError

import bench
from bench.data.manifest import LANDMARKS
from bench.errors import BenchError
from bench.models.network import BuiltModel, ModelInputs
from bench.store.features import RANDOM_SEED
from bench.store.record import KeptWeights, TrialRecord
from bench.study.trial import TrialSpec
from bench.systems.registry import load
from bench.systems.settings import BackboneSettings
from bench.train.extract import open_backbone, scaling_of
from bench.train.precision import computing_in
from bench.train.weights import load_kept_weights

IMAGE = "image"
"""Name of the model's input."""

OUTPUTS = {
    "probabilities": "(n, classes) probability of each class, in the order of class_names",
    "landmarks": "(n, 8, 2) (x, y) as shares of the image's width and height, in the order of "
    "landmark_names",
    "gate": "(n, h, w) what the mask gate lets through at each place, mean over channels",
    "visibility": "(n, 8, 3) probability that a landmark is visible, occluded, outside the image",
    "attributes": "(n, attributes) probability of each attribute, in the order of attribute_names",
}
"""What each output is; a plug-in's own outputs stand in the description by their shape alone."""


def whole_model(record: TrialRecord, kept: KeptWeights) -> Any:
    """The model of a trial, backbone and head.

    Args:
        record: The trial.
        kept: Its trained weights.

    Returns:
        A Keras model from `image`, `(n, side, side, 3)` uint8, RGB from 0 to 255 as decoded and
        resized without keeping the aspect, to those of `OUTPUTS` that the system has.

    Raises:
        BenchError: This bench cannot read the trial's settings, the backbone's weights are not to
            be had, or the kept ones do not fit.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(RANDOM_SEED)  # of a backbone with random weights
    try:
        spec = TrialSpec.model_validate(record.spec)
    except ValidationError as error:
        raise BenchError(
            f"this bench cannot read its settings: {error.errors()[0]['msg']}",
            where=f"trial {record.id}",
            fix=f"use the bench that trained it, {record.environment.get('bench')}",
        ) from None
    if spec.model.of_items:
        raise BenchError(
            f"a model of {spec.model.kind} cannot be exported: it detects several garments an "
            "image, and the forms are for one answer an image",
            where=f"trial {record.id}",
            fix="name a trial of another system; its detections are in detections.parquet",
        )
    settings, train = spec.model.feature_extractor, spec.train
    assert settings is not None and train is not None, "only a trained system keeps weights"
    with computing_in(settings.precision if settings.frozen else train.precision):
        backbone = open_backbone(settings)
    with computing_in(train.precision):
        network = _network(spec, record, backbone)
    load_kept_weights(network.model, kept, record.id)
    image = keras.Input((settings.side, settings.side, 3), dtype="uint8", name=IMAGE)
    seen = colour_scaling(settings)(ops.cast(image, "float32"))
    if settings.frozen:
        seen = in_keras_form(backbone)(seen)
    head = keras.Model(network.model.inputs, _outputs(network), name=spec.model.kind)
    model = keras.Model(image, in_keras_form(head)(seen), name="whole_model")
    model.trainable = False
    return model


def description(record: TrialRecord, kept: KeptWeights, model: Any) -> dict[str, Any]:
    """What a model's file says of itself, as plain values.

    Args:
        record: The trial.
        kept: The weights that it has.
        model: The whole model.
    """
    side = model.input.shape[1]
    outputs = {
        name: OUTPUTS.get(name, f"shape {tuple(tensor.shape)}".replace("None", "n"))
        for name, tensor in model.output.items()
    }
    names = {"class_names": list(record.data["class_names"])}
    if "landmarks" in outputs:
        names["landmark_names"] = list(LANDMARKS)
    if record.attributes is not None:
        names["attribute_names"] = list(record.attributes.names)
    return {
        "trial": record.id,
        "epoch": kept.epoch,
        "bench": bench.__version__,
        "input": {
            IMAGE: f"(n, {side}, {side}, 3) uint8: RGB from 0 to 255 as decoded, resized to "
            f"{side} x {side} without keeping its aspect; nothing is scaled before"
        },
        "outputs": outputs,
        **names,
    }


def in_keras_form(model: Any) -> Any:
    """The same model, its layers in Keras' own form where the bench's are a faster one."""

    def own(layer: Any) -> Any:
        made = getattr(layer, "in_keras_form", None)
        return made() if made else layer

    clone = keras.models.clone_model(model, clone_function=own)
    clone.set_weights(model.get_weights())
    return clone


def _network(spec: TrialSpec, record: TrialRecord, backbone: Any) -> BuiltModel:
    """The trial's network, on the backbone itself where that is trained, or on its maps."""
    assert spec.model.feature_extractor is not None
    known, classes = record.attributes, len(record.data["class_names"])
    # Their number makes the output; the counts are for the loss alone.
    counts = None if known is None else np.ones((2, len(known.names)))
    if spec.model.feature_extractor.frozen:
        maps = keras.Input(backbone.output.shape[1:], name="features")
        inputs = ModelInputs(maps, maps, classes, counts)
    else:
        inputs = ModelInputs(backbone.input, backbone.output, classes, counts)
    network: BuiltModel = load(spec.model.network)(spec.model, spec.supervision, inputs)
    return network


def _outputs(network: BuiltModel) -> dict[str, Any]:
    logits = ops.cast(network.model.output["category"], "float32")
    outputs = {
        "probabilities": ops.softmax(logits),
        **network.supervision.exported(network.model.output),
    }
    if network.gate is not None:
        outputs["gate"] = ops.mean(ops.cast(network.gate, "float32"), axis=-1)
    return outputs


def colour_scaling(settings: BackboneSettings) -> Any:
    """From colours in [0, 255] to what the backbone is fed with, as a 1 x 1 convolution.

    Every known scaling is an affine map of a pixel's colours, some in another order of channels.

    Raises:
        BenchError: The backbone's is not.
    """
    scale = scaling_of(settings)
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)]).reshape(4, 1, 1, 3).astype(np.float32)
    black, *colours = np.asarray(scale(corners), np.float64).reshape(4, 3)
    kernel = (np.stack(colours) - black) / 255.0
    pixels = np.random.default_rng(0).integers(0, 256, (64, 1, 1, 3)) / np.float32(255)
    found = np.asarray(scale(pixels.astype(np.float32))).reshape(-1, 3)
    if not np.allclose(found, 255.0 * pixels.reshape(-1, 3) @ kernel + black, atol=1e-3):
        raise BenchError(
            "its scaling is no affine map of a pixel's colours, and cannot be part of a model",
            where=f"backbone {settings.name}, scaling {settings.scaling}",
            fix="use `scaling: unit`",
        )
    layer = keras.layers.Conv2D(3, 1, dtype="float32", name="scaling")
    layer.build((None, settings.side, settings.side, 3))
    layer.set_weights([kernel.reshape(1, 1, 3, 3), black])
    return layer
