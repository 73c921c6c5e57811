"""What a trial costs, from the arithmetic of its settings alone: floating-point operations.

Two operations a multiplication-and-addition of convolutions and fully connected layers; whatever
else a network does is small beside them. Nothing is built and Keras is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    return model.head_flops(*_map_size(model), classes)


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
    backbone = spec.model.feature_extractor
    below = 0 if backbone is None or backbone.frozen else BACKBONES[backbone.name].parameters
    return 4 * (below + spec.model.head_parameters(*_map_size(spec.model), classes))
