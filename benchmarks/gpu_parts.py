"""What `gpu.py` measures, each part in a process of its own: it says what it found as JSON.

Needs Keras on any backend, NumPy, pydantic and the bench's models; neither TensorFlow nor Ray.

    python benchmarks/gpu_parts.py PART --out FILE [--precision bfloat16] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.models.backbones import inception_v3
from bench.models.losses import LandmarkLoss
from bench.models.network import ModelInputs, seed_layers
from bench.models.optimizers.grouped import GroupedOptimizer
from bench.study.cost import BACKWARD, backbone_flops, head_flops
from bench.systems.ropanet.network import build
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet, UpsamplingStage
from bench.systems.settings import BackboneSettings

CLASSES = 50


@dataclass(frozen=True)
class Size:
    """How much is done.

    Args:
        matrix: Side of the matrices.
        image: Side of the images in pixels.
        images: Batches of the extraction.
        batches: Batches of the head step.
        paper: Whether the head has the paper's widths.
        steps: Steps after which losses are compared.
        seconds: How long a rate is measured for, at least.
    """

    matrix: int
    image: int
    images: tuple[int, ...]
    batches: tuple[int, ...]
    paper: bool
    steps: int
    seconds: float


FULL = Size(8192, 299, (32, 256), (32, 256), True, 100, 2.0)
TINY = Size(256, 96, (2,), (4,), False, 6, 0.2)


def look() -> dict[str, Any]:
    """Which device Keras' backend sees, and how much memory is free on it."""
    backend = keras.backend.backend()
    found: dict[str, Any] = {"backend": backend, "keras": keras.__version__, "gpu": None}
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        found |= {"version": jax.__version__, "device": device.device_kind}
        found["gpu"] = device.device_kind if device.platform == "gpu" else None
    elif backend == "torch":
        import torch

        found["version"] = torch.__version__
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name(0)
            found["free_gb"] = torch.cuda.mem_get_info()[0] / 1e9
            found["tf32"] = torch.backends.cuda.matmul.allow_tf32
    else:
        import tensorflow as tf

        found["version"] = tf.__version__
        cards = tf.config.list_physical_devices("GPU")
        if cards:
            details = tf.config.experimental.get_device_details(cards[0])
            found["gpu"] = details.get("device_name", "GPU")
    return found


def matrix(size: Size, precision: str) -> dict[str, Any]:
    """Operations a second of a large matrix product: what anything else can be held against."""
    draw, n = np.random.default_rng(0), size.matrix
    begin, factor = (
        ops.cast(draw.normal(0, scale, (n, n)).astype(np.float32), precision)
        for scale in (1.0, n**-0.5)  # products of products stay of the same size
    )

    def products(number: int) -> None:
        value = begin
        for _ in range(number):
            value = ops.matmul(value, factor)
        ops.convert_to_numpy(ops.cast(value[0, 0], "float32"))

    rates = [2.0 * n**3 * rate for rate in _rates(products, size.seconds)]
    return {"flops": rates}


def extraction(size: Size, precision: str) -> dict[str, Any]:
    """Images a second of InceptionV3 as the bench applies it, and how its maps differ."""
    plain = _of_precision("float32", lambda: inception_v3(size.image, None))
    settings = BackboneSettings(weights="none", input_size=size.image)
    model: Any = plain
    found: dict[str, Any] = {"flops_of_image": backbone_flops(settings)}
    draw = np.random.default_rng(0)
    if precision != "float32":
        model = _of_precision(precision, lambda: inception_v3(size.image, None))
        model.set_weights(plain.get_weights())
        few = draw.random((8, size.image, size.image, 3), np.float32)
        found["difference"] = _difference(plain.predict_on_batch(few), model.predict_on_batch(few))
        del plain
    for batch in size.images:
        images = draw.random((batch, size.image, size.image, 3), np.float32)

        def applied(number: int, images: np.ndarray = images) -> None:
            for _ in range(number):
                model.predict_on_batch(images)

        found[str(batch)] = [batch * rate for rate in _rates(applied, size.seconds)]
    return found


def head(size: Size, precision: str) -> dict[str, Any]:
    """Images a second of RopaNet's training step, over maps that come from the host."""
    network, of_image = _ropanet(size, precision)
    found: dict[str, Any] = {
        "flops_of_image": of_image,
        "parameters": int(network.model.count_params()),
    }
    for batch in size.batches:
        data = _maps(network, batch, np.random.default_rng(0))

        def trained(number: int, data: Any = data) -> None:
            network.model.fit(_Repeated(data, number), verbose=0, shuffle=False)

        try:
            found[str(batch)] = [batch * rate for rate in _rates(trained, size.seconds)]
        except Exception as error:  # the larger batch may not fit; the smaller one's rate stands
            found[f"{batch} failed"] = f"{type(error).__name__}: {str(error)[:300]}"
    return found


def loss(size: Size, precision: str) -> dict[str, Any]:
    """Losses of RopaNet after some steps on learnable maps, the same beginning and batches."""
    network, _ = _ropanet(size, precision)
    draw = np.random.default_rng(1)
    logs: list[dict[str, float]] = []
    for _ in range(size.steps):
        maps, targets = _maps(network, size.batches[0], draw)
        logs.append(network.model.train_on_batch(maps, targets, return_dict=True))
        network.model.reset_metrics()
    last = logs[-max(size.steps // 10, 1) :]
    return {
        "steps": size.steps,
        "batch": size.batches[0],
        "first": {name: float(value) for name, value in logs[0].items()},
        "last": {name: float(np.mean([log[name] for log in last])) for name in last[0]},
    }


def together(size: Size, meet: Path, seconds: float) -> dict[str, Any]:
    """Small trials a second of one process, from when the file `go` appears in a folder."""
    network, _ = _ropanet(TINY, "float32")
    data = _maps(network, 32, np.random.default_rng(0))
    begin = network.model.get_weights()

    def trial() -> None:
        network.model.set_weights(begin)
        network.model.fit(_Repeated(data, 60 if size.paper else 2), verbose=0, shuffle=False)

    trial()  # compiles
    (meet / f"ready-{os.getpid()}").touch()
    while not (meet / "go").exists():
        time.sleep(0.01)
    begun, spent = time.perf_counter(), []
    while time.perf_counter() - begun < seconds:
        one = time.perf_counter()
        trial()
        spent.append(time.perf_counter() - one)
    return {"trials": len(spent), "seconds": time.perf_counter() - begun, "each": spent}


def _of_precision(precision: str, build: Callable[[], Any]) -> Any:
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        return build()
    finally:
        keras.config.set_dtype_policy("float32")


def _ropanet(size: Size, precision: str) -> tuple[Any, float]:
    """RopaNet over feature maps, compiled as a trial compiles it; operations of an image's step."""
    if size.paper:
        model = RopaNet(backbone=BackboneSettings(weights="none"))
        side, channels = 8, 2048
    else:
        stages = (UpsamplingStage(filters=32), UpsamplingStage(filters=8))
        lite = BackboneSettings(name="efficientnet_lite0_stage5", weights="none", input_size=128)
        model = RopaNet(backbone=lite, upsampling=stages, global_filters=32)
        side, channels = 8, 112
    maps = keras.Input((side, side, channels))
    network = _of_precision(
        precision, lambda: build(model, LandmarkSpec(), ModelInputs(maps, maps, CLASSES))
    )
    seed_layers(network.model.layers, 1)
    network.model.compile(
        GroupedOptimizer(lambda: keras.optimizers.Adam(5e-4), network.groups),
        loss={
            "category": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "landmarks": LandmarkLoss(),
        },
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    # Nothing below the maps is trained: no gradient flows into the first convolutions' input.
    first = 2.0 * side**2 * channels * (channels + model.global_filters * model.global_kernel**2)
    return network, (1 + BACKWARD) * head_flops(model, CLASSES) - first


def _maps(network: Any, batch: int, draw: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Maps of which a class' own pattern is a part, and where its landmarks lie."""
    shape, side = network.model.input_shape[1:], network.supervision.side
    fixed = np.random.default_rng(5)
    patterns = fixed.random((CLASSES, shape[-1]), np.float32)
    pixels = fixed.integers(0, side * side, (CLASSES, 8))
    category = draw.integers(0, CLASSES, batch)
    maps = draw.random((batch, *shape), np.float32) + patterns[category][:, None, None]
    return maps, {
        "category": category.astype(np.int32),
        "landmarks": pixels[category].astype(np.int32),
    }


def _difference(plain: np.ndarray, other: np.ndarray) -> dict[str, float]:
    one, two = (np.asarray(maps, np.float64).reshape(len(maps), -1) for maps in (plain, other))
    lengths = np.linalg.norm(one, axis=1)
    return {
        "relative": float(np.median(np.linalg.norm(two - one, axis=1) / lengths)),
        "cosine": float(np.min((one * two).sum(1) / lengths / np.linalg.norm(two, axis=1))),
    }


def _rates(run: Callable[[int], None], seconds: float, rounds: int = 5) -> list[float]:
    """How often a second something is done: each of some rounds, after what compiles it."""
    run(2)
    number = 2
    while True:
        begun = time.perf_counter()
        run(number)
        spent = time.perf_counter() - begun
        if spent >= seconds / rounds or number >= 4096:
            break
        number = min(4096, max(number + 1, int(number * 1.2 * seconds / rounds / spent)))
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        run(number)
        found.append(number / (time.perf_counter() - begun))
    return found


class _Repeated(keras.utils.PyDataset):
    """One batch, over and over."""

    def __init__(self, data: Any, number: int) -> None:
        super().__init__(workers=1)
        self._data, self._number = data, number

    @property
    def num_batches(self) -> int:
        return self._number

    def __getitem__(self, index: int) -> Any:
        return self._data


PARTS = {"matrix": matrix, "extraction": extraction, "head": head, "loss": loss}


def main() -> None:
    """Measure one part and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "part", choices=["look", "matrix", "extraction", "head", "loss", "together"]
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--meet", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    size = TINY if asked.tiny else FULL
    if asked.part == "look":
        found = look()
    elif asked.part == "together":
        found = together(size, asked.meet, asked.seconds)
    else:
        found = PARTS[asked.part](size, asked.precision)
    asked.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
