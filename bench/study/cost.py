"""What a trial costs, from the arithmetic of its settings alone: floating-point operations.

Two operations a multiplication-and-addition of convolutions and fully connected layers; whatever
else a network does is small beside them. Nothing is built and Keras is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.study.trial import TrialSpec
from bench.systems.registry import BACKBONES
from bench.systems.settings import LANDMARKS, BackboneSettings, SystemSettings

BACKWARD = 2.0
"""A layer's backward pass, as a multiple of its forward pass: one product for the gradient of its
input and one for that of its weights."""


def backbone_flops(backbone: BackboneSettings) -> float:
    """Operations of one image, forward; in proportion to the map's area at another input size."""
    entry = BACKBONES[backbone.name]
    own = entry.map_side(entry.input_size)
    return entry.flops * (entry.map_side(backbone.side) / own) ** 2


def head_flops(model: SystemSettings, classes: int) -> float:
    """Operations of one feature map, forward, through everything above the backbone.

    Args:
        model: Settings of the system.
        classes: Number of categories.

    Raises:
        BenchError: The system does not say what it costs.
    """
    return sum(layer.flops for layer in model.layers(*_map_size(model), classes))


def _map_size(model: SystemSettings) -> tuple[int, int]:
    """Side and channels of the feature map that a head stands on; zeros for one on none."""
    backbone = model.feature_extractor
    if backbone is None:
        return 0, 0
    entry = BACKBONES[backbone.name]
    return entry.map_side(backbone.side), entry.channels


def trial_flops(spec: TrialSpec, images: Mapping[str, int], classes: int) -> float:
    """Operations of a whole trial: its epochs and its test, without shared features.

    The epochs are the most there can be. A partly trained backbone counts as forward alone, so
    its backward pass through the last layers is left out.

    Args:
        spec: The trial.
        images: `train`, `val` and `test` images.
        classes: Number of categories.
    """
    forward = head_flops(spec.model, classes)
    step = (1 + BACKWARD) * forward
    backbone = spec.model.feature_extractor
    if backbone is not None and not backbone.frozen:
        body = backbone_flops(backbone)
        forward += body
        step += body * (1 + BACKWARD if backbone.trainable == "all" else 1)
    epoch = images["train"] * step + images["val"] * forward
    epochs = spec.train.epochs if spec.train is not None else 0
    return epochs * epoch + images["test"] * forward


def trial_bytes(spec: TrialSpec, images: Mapping[str, int], classes: int) -> float:
    """Disk space of a finished trial, before compression: its answers to the test images."""
    landmarks = LANDMARKS * (1 + 3 * 2 * 4) if spec.model.has_landmarks else 0
    own = spec.model.answer_bytes(classes)
    return images["test"] * (4.0 * classes + 40 + landmarks + own)


def weights_bytes(spec: TrialSpec, classes: int) -> int:
    """Disk space of a trial's trained weights in float32, of its backbone's only if trained.

    Raises:
        BenchError: The system does not say how many it has.
    """
    return 4 * _trained_with(spec, classes)[0]


MOMENTS = {"adam": 2, "sgd": 0}
"""Numbers that an optimiser keeps beside each weight."""

KEPT = 4.0
"""Numbers in a device's memory for each that a layer is given or puts out of an image in training:
what its gradient needs, the gradient, and what normalisation and activation make of it. Beside what
a compiler lays out: benchmarks/memory.py."""


def training_bytes(spec: TrialSpec, classes: int) -> float | None:
    """Memory of the device that a trial's training takes at its largest, in float32.

    Weights, their gradients and moments, and what a step keeps of its images; neither the features
    of a whole epoch nor what the backend takes for itself.

    Args:
        spec: The trial.
        classes: Number of categories.

    Returns:
        None where the backbone is trained, and it is not known how much it keeps.

    Raises:
        BenchError: The system does not say what it costs.
    """
    if spec.train is None:
        return 0.0
    weights, activations = _trained_with(spec, classes)
    if activations is None:
        return None
    kept = (2 + MOMENTS[spec.train.optimizer]) * weights
    return 4.0 * (kept + KEPT * spec.train.batch_size * activations)


def largest_training(specs: Iterable[TrialSpec], classes: int) -> float | None:
    """`training_bytes` of the trial that takes most; 0 where none may use a GPU.

    Args:
        specs: The trials; those in portable arithmetic use no GPU.
        classes: Number of categories.
    """
    each = [training_bytes(spec, classes) for spec in specs if spec.arithmetic != "portable"]
    known = [size for size in each if size is not None]
    return None if len(known) < len(each) else max(known, default=0.0)


def _trained_with(spec: TrialSpec, classes: int) -> tuple[int, float | None]:
    """Weights that a trial trains, and the numbers of an image's map and of what layers put out.

    A backbone whose last layers are trained counts whole.
    """
    side, channels = _map_size(spec.model)
    layers = list(spec.model.layers(side, channels, classes))
    weights = sum(layer.parameters for layer in layers)
    activations = float(side * side * channels + sum(layer.activations for layer in layers))
    backbone = spec.model.feature_extractor
    if backbone is None or backbone.frozen:
        return weights, activations
    entry = BACKBONES[backbone.name]
    weights += entry.parameters
    if entry.activations is None:
        return weights, None
    return weights, activations + entry.activations * (backbone.side / entry.input_size) ** 2
