"""What a trial costs, from the arithmetic of its settings alone: floating-point operations.

Two operations a multiplication-and-addition of convolutions and fully connected layers; whatever
else a network does is small beside them. Nothing is built and Keras is not imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.study.trial import TrialSpec
from bench.systems.registry import BACKBONES
from bench.systems.settings import BackboneSettings, FashionNet, RopaNet, RopaNetBaseline

LANDMARKS = 8

BACKWARD = 2.0
"""A layer's backward pass, as a multiple of its forward pass: one product for the gradient of its
input and one for that of its weights."""


def backbone_flops(backbone: BackboneSettings) -> float:
    """Operations of one image, forward; in proportion to the map's area at another input size."""
    entry = BACKBONES[backbone.name]
    own = entry.map_side(entry.input_size)
    return entry.flops * (entry.map_side(backbone.side) / own) ** 2


def head_flops(model: RopaNet | RopaNetBaseline | FashionNet, classes: int) -> float:
    """Operations of one feature map, forward, through everything above the backbone.

    Args:
        model: Model settings.
        classes: Number of categories.
    """
    entry = BACKBONES[model.backbone.name]
    side, channels = entry.map_side(model.backbone.side), entry.channels
    if isinstance(model, RopaNetBaseline):
        return 2.0 * channels * classes
    if isinstance(model, FashionNet):
        return 2.0 * sum(_fashionnet_products(model, side, channels, classes))
    return 2.0 * sum(_products(model, side, channels, classes))


def _products(model: RopaNet, side: int, channels: int, classes: int) -> Iterator[float]:
    """Multiplications of each part of RopaNet."""
    area = side * side
    yield area * channels * channels * (9 * model.gate_depth + 1)
    if model.gate == "random" and model.local == "gate":
        yield area * channels * channels
    here, depth = side, channels
    for stage in model.upsampling:
        yield here * here * depth * stage.filters * stage.kernel**2
        here, depth = (here - 1) * stage.stride + max(stage.kernel, stage.stride), stage.filters
    width = channels
    for _ in range(model.local_depth):
        filters = model.local_filters or channels
        yield area * width * filters * (model.local_kernel or 3) ** 2
        width = filters
    yield (1 if model.local == "gate" else LANDMARKS) * width * model.branch_units
    width = channels
    for _ in range(model.global_depth):
        yield area * width * model.global_filters * model.global_kernel**2
        width = model.global_filters
    yield width * model.branch_units
    yield 2 * model.branch_units * classes


def _fashionnet_products(
    model: FashionNet, side: int, channels: int, classes: int
) -> Iterator[float]:
    """Multiplications of each part of FashionNet; its attributes, of the data, are left out."""
    side = -(-side // model.branch_pooling)
    flat = (-(-side // model.branch_pooling)) ** 2 * model.conv5_filters
    for units in (model.pose_units, model.global_units):
        width = channels
        for _ in range(model.conv5_depth):
            yield side**2 * width * model.conv5_filters * 9
            width = model.conv5_filters
        yield flat * units
    # The second of the pose branch's layers, then places and three states of each landmark.
    yield model.pose_units * (model.pose_units + LANDMARKS * (2 + 3))
    if model.local == "gate":
        yield side**2 * model.conv5_filters * channels
    yield (1 if model.local == "gate" else LANDMARKS) * channels * model.local_units
    yield (model.local_units + model.global_units) * model.fusion_units
    yield model.fusion_units * classes


def trial_flops(spec: TrialSpec, images: Mapping[str, int], classes: int) -> float:
    """Operations of a whole trial: its epochs and its test, without shared features.

    The epochs are the most there can be. A partly trained backbone counts as forward alone, so
    its backward pass through the last layers is left out.

    Args:
        spec: The trial.
        images: `train`, `val` and `test` images.
        classes: Number of categories.
    """
    model, train = spec.model, spec.train
    if train is None or not isinstance(model, RopaNet | RopaNetBaseline | FashionNet):
        return 0.0
    forward = head_flops(model, classes)
    step = (1 + BACKWARD) * forward
    if not model.backbone.frozen:
        body = backbone_flops(model.backbone)
        forward += body
        step += body * (1 + BACKWARD if model.backbone.trainable == "all" else 1)
    epoch = images["train"] * step + images["val"] * forward
    return train.epochs * epoch + images["test"] * forward


def trial_bytes(spec: TrialSpec, images: Mapping[str, int], classes: int) -> float:
    """Disk space of a finished trial, before compression: its answers to the test images."""
    landmarks = LANDMARKS * (1 + 3 * 2 * 4) if spec.model.has_landmarks else 0
    return images["test"] * (4.0 * classes + 40 + landmarks)
