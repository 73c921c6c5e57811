"""EfficientNet-Lite with ImageNet weights computes what the published network computes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from bench.models.efficientnet_lite import SCALINGS, STAGES, load_torch, scaling, stages_of
from bench.store.torch_file import read_torch_file
from bench.store.weights import packaged_file
from bench.systems.registry import BACKBONES, PackagedWeights, load

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")

PARAMETERS = {NAMES[0]: 4_694_024, NAMES[1]: 5_470_344, NAMES[2]: 6_150_168}
"""With the classifier, and the mean and variance of each normalisation."""

LOGITS = {
    NAMES[0]: {904: 5.2616, 753: 4.7633, 632: 4.7509},
    NAMES[1]: {632: 7.6183, 904: 7.4254, 753: 5.5107},
    NAMES[2]: {904: 7.7282, 905: 6.7000, 753: 5.8546},
}
"""The three largest over the test pattern, largest first, as PyTorch's network gives them."""

MAPS = {
    NAMES[0]: [(-3.61966, 9.14517), (-0.03864, 6.09120), (-0.23849, 1.93217), (0.12023, 0.51113)],
    NAMES[1]: [(1.29061, 11.97863), (-0.29885, 4.88623), (0.05782, 2.17908), (0.13907, 0.59806)],
    NAMES[2]: [(-0.02561, 10.13921), (-0.37299, 5.04619), (-0.14918, 2.23806), (0.14406, 0.58948)],
}
"""Mean and deviation of the maps of stages 3, 5, 7 and of the head."""

# The values above are rounded at the fifth decimal, the logits at the fourth. TensorFlow's two
# libraries of kernels, oneDNN and Eigen, differ by 1e-6 in them, and by 5e-6 in the logits.
MAP_TOLERANCE, LOGIT_TOLERANCE = 2e-5, 1e-4


def arrays_of(name: str) -> dict[str, np.ndarray]:
    packaged = BACKBONES[name].imagenet
    assert isinstance(packaged, PackagedWeights)
    return read_torch_file(packaged_file(packaged), packaged.sha256, "")


def pattern(side: int) -> np.ndarray:
    values = np.arange(side * side * 3).reshape(1, side, side, 3) * 7 % 256
    return np.asarray(scaling(values))


def at_stages(model: Any) -> Any:
    maps = [model.get_layer(f"stage_{number}").output for number in (3, 5, 7)]
    return keras.Model(model.input, [*maps, model.output])


def computed(model: Any, images: np.ndarray) -> list[np.ndarray]:
    """A model's outputs, without a compiled step, which takes longer to make than to run."""
    outputs = model(images, training=False)
    return [np.asarray(keras.ops.convert_to_numpy(o)) for o in keras.tree.flatten(outputs)]


@pytest.mark.parametrize("name", NAMES)
def test_its_maps_and_logits_are_those_of_the_published_network(name: str) -> None:
    arrays, side = arrays_of(name), BACKBONES[name].input_size
    trained = [array for array in arrays.values() if array.dtype == np.float32]
    assert sum(array.size for array in trained) == PARAMETERS[name]

    model = load(BACKBONES[name].build)(side, None)
    load_torch(model, arrays)
    maps = computed(at_stages(model), pattern(side))
    found = [(m.mean(dtype=np.float64), m.std(dtype=np.float64)) for m in maps]
    np.testing.assert_allclose(found, MAPS[name], rtol=0, atol=MAP_TOLERANCE)
    pooled = maps[-1].mean((1, 2), dtype=np.float64)[0]
    logits = arrays["_fc.weight"] @ pooled + arrays["_fc.bias"]
    largest = np.argsort(-logits)[:3]
    assert largest.tolist() == list(LOGITS[name])
    np.testing.assert_allclose(
        logits[largest], list(LOGITS[name].values()), rtol=0, atol=LOGIT_TOLERANCE
    )

    for stage, index in ((3, 0), (5, 1)):
        early = load(BACKBONES[f"{name}_stage{stage}"].build)(side, None)
        load_torch(early, arrays)
        (map_,) = computed(early, pattern(side))
        assert map_.std(dtype=np.float64) == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(map_ * SCALINGS[name].deviations[stage], maps[index], atol=1e-3)


def test_they_are_as_wide_and_deep_as_published() -> None:
    assert [sum(s.repeats for s in stages_of(name)) for name in NAMES] == [16, 21, 21]
    widths = [stage.filters for stage in stages_of("efficientnet_lite2")]
    assert widths == [16, 24, 48, 88, 120, 208, 352]
    assert stages_of("efficientnet_lite0") == list(STAGES)


def test_images_are_scaled_as_the_weights_expect() -> None:
    assert scaling(np.array([0.0, 127.0, 255.0])).tolist() == [-127 / 128, 0.0, 1.0]


def test_random_weights_neither_fade_nor_grow_through_the_blocks() -> None:
    keras.utils.set_random_seed(0)
    model = load(BACKBONES["efficientnet_lite2"].build)(64, None)
    assert not model.trainable_variables
    image = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("f4")
    deviations = [m.std() for m in computed(at_stages(model), image)]
    assert min(deviations) > 0.1 and max(deviations) < 10
