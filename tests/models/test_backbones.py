"""The backbones: their maps, their trainable layers, their scaling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from bench.models.backbones import efficientnet_scaling, train_last
from bench.models.pyramids import unpacked
from bench.systems.registry import BACKBONES, PackagedWeights, load

SIDES = {"inception_v3": (139,), "vgg16": (64,), "resnet50": (65,),
         "mobilenet_v2": (65,), "efficientnet_b0": (65,), "convnext_tiny": (64,),
         "vgg16_conv4": (64,)}  # fmt: skip
SIDES |= {name: (65,) for name in BACKBONES if name.startswith("efficientnet_lite")}
SIDES |= {name: (64,) for name, entry in BACKBONES.items() if entry.levels}


def convolution_flops(model: Any) -> int:
    """Two operations a multiplication-and-addition of every convolution of a network."""
    total = 0
    for layer in model._flatten_layers(include_self=False, recursive=True):
        kernel = getattr(layer, "kernel", None)
        if kernel is None or len(layer.output.shape) != 4:
            continue
        _, height, width, channels = layer.output.shape
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        # All of a kernel but its output channels is what one output value sums over.
        summed = int(np.prod(kernel.shape[:2] if depthwise else kernel.shape[:-1]))
        total += 2 * height * width * channels * summed
    return total


@pytest.mark.parametrize("name", BACKBONES)
def test_a_planned_feature_map_has_the_size_of_the_real_one(name: str) -> None:
    entry = BACKBONES[name]
    for side in SIDES[name]:
        shape = load(entry.build)(side, None).output_shape
        assert shape[1:] == (entry.map_side(side), entry.map_side(side), entry.channels)


def test_at_its_own_size_inception_gives_the_papers_map() -> None:
    entry = BACKBONES["inception_v3"]
    assert (entry.map_side(entry.input_size), entry.channels) == (8, 2048)  # §4.3: 8 x 8 x 2048


@pytest.mark.parametrize("name", BACKBONES)
def test_the_planned_flops_and_parameters_are_those_of_the_network(name: str) -> None:
    entry = BACKBONES[name]
    network = load(entry.build)(entry.input_size, None)
    assert network.count_params() == entry.parameters
    counted = convolution_flops(network)
    assert entry.flops == pytest.approx(counted, rel=0.02)
    if isinstance(entry.imagenet, PackagedWeights):
        assert entry.flops == counted


def test_the_last_layers_are_unfrozen_and_no_others() -> None:
    model = load(BACKBONES["efficientnet_lite0_stage3"].build)(64, None)
    assert not model.trainable_variables
    train_last(model, 2)
    trained = [layer.name for layer in model.layers if layer.trainable_variables]
    assert trained == ["block_4_depthwise", "block_4_project"]
    train_last(model, "all")
    assert len([layer for layer in model.layers if layer.trainable_variables]) == 15


def test_efficientnets_scaling_makes_up_for_the_division_that_keras_leaves_out() -> None:
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = np.random.default_rng(0).random((2, 4, 4, 3)) * 255
    # What the network itself then does: / 255, - mean, / sqrt(deviation).
    inside = (efficientnet_scaling(images) / 255 - mean) / np.sqrt(deviation)
    np.testing.assert_allclose(inside, (images / 255 - mean) / deviation, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, entry in BACKBONES.items() if entry.levels])
def test_the_maps_of_a_pyramid_come_out_as_they_were_packed(name: str) -> None:
    network = load(BACKBONES[name].build)(64, None)
    packed_maps = [layer.output for layer in network.layers if layer.name.endswith("squares")]
    maps = unpacked(network.output, BACKBONES[name].levels)
    both = keras.Model(network.input, [*maps, *(node_input(m) for m in packed_maps)])
    found = both(np.random.default_rng(0).random((2, 64, 64, 3), np.float32))
    for (stride, channels), out, into in zip(
        BACKBONES[name].levels, found[: len(maps)], found[len(maps) :], strict=True
    ):
        assert out.shape == (2, 64 // stride, 64 // stride, channels)
        np.testing.assert_array_equal(out, into)


def node_input(tensor: Any) -> Any:
    """What the layer was given that a symbolic tensor is the output of."""
    return tensor._keras_history.operation.input
