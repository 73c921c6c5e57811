"""Whether the bench's arithmetic gives the same bytes on another processor, operation by operation.

Writes the SHA-256 of what each step gives, as JSON: the phantom's images, decoding, NumPy's
functions, feature maps, every operation that a shipped system trains with (eagerly and compiled,
with its gradients), and the weights and records of tiny trials. Natively, and against that as other
processors (`apt-get install qemu-user`; that takes half an hour, against one minute):

    python benchmarks/portable.py --out here.json
    PYTHONPATH=.venv/lib/python3.11/site-packages qemu-x86_64 -cpu EPYC-Rome \\
        $(readlink -f .venv/bin/python) benchmarks/portable.py --out rome.json --against here.json

`-cpu Haswell` is an Intel. `--widest` is without portable arithmetic. bfloat16 is left out: with
the cap TensorFlow still asks oneDNN for it where the processor has it, and fails. Exits with 1
where anything differs.
"""

# ruff: noqa: E402 - the flags must be there before what reads them is imported.
from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.train.arithmetic import ONEDNN, compute_in

ARITHMETIC = "native" if "--widest" in sys.argv else "portable"
compute_in(ARITHMETIC)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from bench.engine.process import limit_threads

limit_threads(1)

import keras
import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("ERROR")

from keras import layers, ops

from bench.data.images import decode
from bench.data.manifest import Manifest
from bench.data.phantom import generate_phantom
from bench.data.sources import open_source
from bench.data.split import split_of
from bench.files.processor import processor
from bench.metrics.classification import cross_entropy as cross_entropy_of
from bench.models import losses
from bench.models.convolutions import same_convolution, upsampling_convolution
from bench.models.landmark_pooling import LandmarkPooling, soft_arg_max
from bench.models.optimizers.adam import OnePassAdam
from bench.store.features import FeatureStore, feature_key
from bench.study.overlays import base_overlays, put, stacked
from bench.study.trial import TrialSpec
from bench.systems.registry import BALANCING, GATES, POOLINGS, load
from bench.systems.settings import BackboneSettings
from bench.train.balance import cross_entropy
from bench.train.compiled import Compiled
from bench.train.evaluate import evaluate
from bench.train.extract import extract, open_backbone
from bench.train.loop import TrialContext, run_trial

Found = Iterator[tuple[str, Any]]
"""Names, and the arrays or bytes that are digested."""

IMAGES, MAPPED = 100, 32
"""Photographs of the phantom, and how many of them become maps of each backbone."""


def digest(value: Any) -> str:
    """SHA-256 of bytes, of an array with its shape and type, or of a tree of them."""
    known = hashlib.sha256()
    for leaf in tf.nest.flatten(value):
        if isinstance(leaf, bytes):
            known.update(leaf)
        else:
            array = np.ascontiguousarray(ops.convert_to_numpy(leaf))
            known.update(f"{array.dtype} {array.shape}".encode())
            known.update(array.tobytes())
    return known.hexdigest()


def drawn(name: str, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Numbers between two, the same on every machine: whole numbers, scaled."""
    rng = np.random.default_rng(list(name.encode()))
    share = rng.integers(0, 2**20, shape) / 2**20
    return (low + (high - low) * share).astype(np.float32)


def both_ways(
    name: str, function: Callable[..., Any], *inputs: np.ndarray, layer: Any = None
) -> Found:
    """What a function gives and its gradients, eagerly and compiled.

    Args:
        name: The operation.
        function: Of tensors.
        inputs: Its arguments; gradients are taken with regard to those of float32.
        layer: Whose trainable weights gradients are taken with regard to as well.
    """
    given = [tf.constant(value) for value in inputs]
    function(*given)  # builds a layer
    weights = [] if layer is None else layer.trainable_variables
    for weight in weights:
        fan = max(1, int(np.prod(weight.shape[:-1])))
        weight.assign(drawn(f"{name} {weight.name}", *weight.shape) / np.float32(fan) ** 0.5)

    def whole(*tensors: Any) -> Any:
        sources = [t for t in tensors if t.dtype == tf.float32] + [w.value for w in weights]
        with tf.GradientTape() as tape:
            tape.watch([t for t in tensors if t.dtype == tf.float32])
            value = function(*tensors)
        upstream = tf.constant(drawn(name, *value.shape))
        return value, tape.gradient(value, sources, upstream, unconnected_gradients="zero")

    for way, run in (("eager", whole), ("compiled", tf.function(whole, autograph=False))):
        value, gradients = run(*given)
        yield f"{name}, {way}", value
        yield f"{name}, {way}, gradient", gradients


def numpy_functions() -> Found:
    """What the bench's own NumPy leans on; its exponentials, logarithms and powers differ."""
    for kind in (np.float32, np.float64):
        values = drawn("numpy", 1000, low=1e-3, high=20.0).astype(kind)
        for name in ("sin", "cos", "sqrt", "sum", "mean"):
            yield f"numpy {name} {values.dtype}", getattr(np, name)(values)
        yield (
            f"numpy small product {values.dtype}",
            values[:40].reshape(20, 2) @ values[:4].reshape(2, 2),
        )
        yield f"numpy norm {values.dtype}", np.linalg.norm(values.reshape(-1, 2), axis=-1)
    rng = np.random.default_rng(0)
    yield "numpy normal", rng.normal(size=1000)
    yield "numpy permutation", rng.permutation(1000)
    counts, shares = np.arange(1, 47) ** 2, drawn("shares", 4000, 46, low=0.0, high=1.0)
    labels = rng.integers(0, 46, len(shares))
    yield "metric cross-entropy", np.float64(cross_entropy_of(shares, labels))
    yield "class weights", load(BALANCING["class_weights"].build)(counts, 0.7).class_weights
    yield "effective number", load(BALANCING["effective_number"].build)(counts, 0.999).class_weights
    yield "over-sampling", load(BALANCING["over_sampling"].build)(counts, 0.3).sampling_shares
    yield "logit adjustment", load(BALANCING["logit_adjustment"].build)(counts, 1.0).loss._shifts


def images(root: Path) -> Found:
    """The phantom's files, decoded and resized."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for path in files:
        if path.suffix != ".jpg":
            yield f"phantom {path.relative_to(root)}", path.read_bytes()
    photographs = [path for path in files if path.suffix == ".jpg"]
    yield "phantom photographs, all", b"".join(path.read_bytes() for path in photographs)
    for number, path in enumerate(photographs[:6]):
        yield f"phantom photograph {number}", path.read_bytes()
        for side in (32, 64, 224):
            yield f"decoded photograph {number} at {side}", decode(path, side)


BACKBONES = {
    "EfficientNet-Lite0 stage 5 at 64": {"name": "efficientnet_lite0_stage5", "input_size": 64},
    "EfficientNet-Lite0 stage 5 at 128, native": {
        "name": "efficientnet_lite0_stage5", "input_size": 128, "scaling": "native",
    },
    "EfficientNet-Lite0 stage 5 at 224": {"name": "efficientnet_lite0_stage5"},
    "EfficientNet-Lite0 stage 3 at 64": {"name": "efficientnet_lite0_stage3", "input_size": 64},
}  # fmt: skip


def feature_maps(manifest: Manifest, cache: Path) -> Found:
    """Weights and maps of frozen backbones, as extraction makes them."""
    for name, settings in BACKBONES.items():
        backbone = BackboneSettings(**settings)
        rows = np.arange(MAPPED)
        extract(manifest, rows, backbone, cache, ARITHMETIC)
        yield f"{name}, weights", open_backbone(backbone).get_weights()
        reader = FeatureStore(
            cache, feature_key(backbone, manifest.fingerprint, ARITHMETIC)
        ).reader()
        yield f"{name}, maps", reader.gather(rows)


def elementwise() -> Found:
    """Functions of one number."""
    functions = {
        "exp": ops.exp, "expm1": ops.expm1, "tanh": ops.tanh, "sigmoid": ops.sigmoid,
        "softplus": ops.softplus, "relu": ops.relu, "relu6": ops.relu6, "abs": ops.abs,
        "square": ops.square, "negative": lambda x: -x, "clip": lambda x: ops.clip(x, 0.0, 1.0),
    }  # fmt: skip
    positive = {
        "sqrt": ops.sqrt, "root over itself": lambda x: ops.sqrt(x) / x,
        "division of 2": lambda x: 2.0 / x, "power 2": lambda x: ops.power(x, 2.0),
        # Its gradient would be a reciprocal: no loss has one.
        "log": lambda x: ops.log(ops.stop_gradient(x)),
    }  # fmt: skip
    for name, function in functions.items():
        yield from both_ways(name, function, drawn(name, 3, 1037))
    for name, function in positive.items():
        yield from both_ways(name, function, drawn(name, 3, 1037, low=1e-3))
    pair = drawn("a", 3, 1037, low=0.1), drawn("b", 3, 1037, low=0.5)
    yield from both_ways("division", lambda a, b: a / b, *pair)
    yield from both_ways("power", ops.power, *pair)


def reductions() -> Found:
    """Sums, means, maxima and softmaxes, over the axes that the systems take them over."""
    for name, function in {"sum": ops.sum, "mean": ops.mean, "max": ops.max}.items():
        for shape, axis in {
            (8, 46): -1, (8, 6, 6, 128): (1, 2), (8, 8, 24, 24): 2, (8, 8, 576): -1,
            (8, 1001): None, (8, 4, 4, 128): -1,
        }.items():  # fmt: skip
            values = drawn(name, *shape)
            yield from both_ways(
                f"{name} of {shape} over {axis}", partial(function, axis=axis), values
            )
    for name, function in {"softmax": ops.softmax, "log_softmax": ops.log_softmax}.items():
        for shape, axis in {(8, 46): -1, (8, 8, 3): -1, (8, 8, 576): -1, (2, 8, 22500): -1}.items():
            yield from both_ways(
                f"{name} of {shape}", partial(function, axis=axis), drawn(name, *shape)
            )
    yield from both_ways(
        "softmax of (8, 36, 1) over 1", partial(ops.softmax, axis=1), drawn("s", 8, 36, 1)
    )


def products() -> Found:
    """Layers that multiply matrices, at sizes from the smoke profile's to the paper's."""
    for n, units, out in (
        (8, 6, 46),
        (32, 128, 6),
        (32, 2048, 32),
        (32, 1152, 128),
        (3, 1030, 1024),
    ):
        dense = layers.Dense(out, activation="relu")
        yield from both_ways(
            f"dense ({n}, {units}) to {out}", dense, drawn("dense", n, units), layer=dense
        )
    seen = (
        (4, 128, 8, 3, 8), (4, 128, 128, 1, 8), (6, 128, 32, 5, 32), (6, 128, 128, 3, 8),
        (14, 112, 112, 1, 8), (8, 512, 512, 5, 2), (28, 512, 512, 3, 2),
    )  # fmt: skip
    for side, channels, filters, kernel, n in seen:
        layer = same_convolution((side, side, channels), filters, kernel, "tanh", "layer")
        name = f"convolution {kernel} x {kernel} of ({n}, {side}, {side}, {channels}) to {filters}"
        yield from both_ways(name, layer, drawn("maps", n, side, side, channels), layer=layer)
    for side, channels, filters, kernel, stride in (
        (4, 128, 16, 2, 2),
        (6, 128, 32, 2, 2),
        (24, 64, 32, 12, 1),
    ):
        layer = upsampling_convolution(filters, kernel, stride, "relu", "layer")
        name = f"transpose convolution {kernel} by {stride} of {side} x {side} x {channels}"
        yield from both_ways(name, layer, drawn("maps", 8, side, side, channels), layer=layer)
    for side, kernel, stride in ((16, 5, 2), (8, 3, 1)):
        layer = layers.DepthwiseConv2D(kernel, stride, padding="same")
        yield from both_ways(
            f"depthwise convolution {kernel} by {stride}",
            layer,
            drawn("maps", 4, side, side, 96),
            layer=layer,
        )


def parts() -> Found:
    """Gates, poolings and what lies around landmarks."""
    maps, mask = drawn("maps", 8, 6, 6, 128), drawn("mask", 8, 6, 6, 128, low=0.0, high=1.0)
    for name, gate in GATES.items():
        if gate.from_mask:
            yield from both_ways(f"gate {name}", partial(_gated, load(gate.build)), maps, mask)
    for name, pooling in POOLINGS.items():
        layer = load(pooling)("pool")
        yield from both_ways(f"pooling {name}", layer, maps, layer=layer)
    yield from both_ways("max-pooling", layers.MaxPooling2D(2, padding="same"), maps)
    yield from both_ways("soft-arg-max", lambda x: soft_arg_max(x, 24), drawn("logits", 8, 8, 576))
    points = drawn("points", 8, 8, 2, low=0.0, high=1.0)
    yield from both_ways("landmark pooling", LandmarkPooling(3), maps, points)
    yield from both_ways(
        "resizing", lambda x: ops.image.resize(x, (12, 12), interpolation="bilinear"), maps
    )
    from bench.models.normalization import BatchNormalization

    for training in (False, True):
        layer = BatchNormalization(momentum=0.9)
        yield from both_ways(
            f"normalisation, training {training}",
            partial(layer, training=training),
            maps,
            layer=layer,
        )
        yield f"normalisation, training {training}, moments", layer.get_weights()
    yield "dropout", layers.Dropout(0.5, seed=1)(maps, training=True)


def _gated(gate: Callable[[Any, Any], Any], maps: Any, mask: Any) -> Any:
    return maps * gate(maps, mask)


def loss_functions() -> Found:
    """Losses, beside their predictions."""
    rng = np.random.default_rng(0)
    category, logits = rng.integers(0, 46, 8), drawn("logits", 8, 46, low=-8.0, high=8.0)
    maps, pixels = drawn("maps", 8, 8, 576, low=-8.0, high=8.0), rng.integers(-1, 576, (8, 8))
    known, even = rng.integers(-1, 2, (8, 100)), np.ones((2, 100), np.float32)
    shifts = np.log(np.arange(1, 47) / 1081).astype(np.float32)
    cases = {
        "cross-entropy": (cross_entropy(), category, logits),
        "focal": (losses.FocalLoss(2.0), category, logits),
        "logit adjustment": (losses.AdjustedCrossEntropy(shifts), category, logits),
        "landmarks": (losses.LandmarkLoss(), pixels, maps),
        "location": (losses.LocationLoss(), drawn("at", 8, 8, 2), drawn("points", 8, 8, 2)),
        "visibility": (losses.VisibilityLoss(), rng.integers(-1, 3, (8, 8)), drawn("v", 8, 8, 3)),
        "attributes": (losses.AttributeLoss(even), known, drawn("a", 8, 100)),
    }  # fmt: skip
    # What is true is an argument: of a constant, TensorFlow would make its reciprocal and multiply.
    for name, (loss, true, predicted) in cases.items():
        yield from both_ways(f"loss {name}", loss, true, predicted)


def beginnings_and_steps() -> Found:
    """Initial weights, and three steps of each optimiser."""
    for kind in (
        keras.initializers.GlorotUniform,
        keras.initializers.HeNormal,
        keras.initializers.LecunNormal,
    ):
        yield f"initializer {kind.__name__}", kind(seed=3)((64, 33), "float32")
    makers = {
        "OnePassAdam": OnePassAdam,
        "Adam": keras.optimizers.Adam,
        "SGD": keras.optimizers.SGD,
    }
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, 100)
    makers["Adam, cosine decay"] = lambda rate: keras.optimizers.Adam(schedule)
    for name, make in makers.items():
        weight, optimizer = keras.Variable(drawn("weight", 37, 29)), make(5e-3)
        optimizer.build([weight])
        apply = tf.function(partial(_apply, optimizer, weight), autograph=False)
        for number in range(3):
            apply(tf.constant(drawn(f"gradient {number}", 37, 29)))
        yield f"optimizer {name}", [v.value for v in (weight, *optimizer.variables)]


def _apply(optimizer: Any, weight: Any, gradient: Any) -> None:
    optimizer.apply([gradient], [weight])


SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("ropanet_baseline", {}),
    "ropanet": ("ropanet", {}),
    "fashionnet, attributes, dropout": ("fashionnet", {"model.dropout": 0.5}),
    "ropanet, EfficientNet-Lite0": (
        "ropanet",
        {
            "model.backbone": BACKBONES["EfficientNet-Lite0 stage 5 at 64"],
            "model.upsampling": [{"filters": 16}, {"filters": 8}],
        },
    ),
    "ropanet, gate residual, local generalised mean, global attention, focal": (
        "ropanet",
        {
            "model.gate": "residual", "model.local_pooling": "generalised_mean",
            "model.global_pooling": "attention", "train.balancing": "focal",
        },
    ),
    "ropanet, as released": ("as_released", {}),
    "ropanet, gate spatial, sparse, deep, local max, logit adjustment": (
        "ropanet",
        {
            "model.gate": "spatial", "model.gate_sparsity": 0.1, "model.gate_depth": 1,
            "model.local_depth": 1, "model.local_pooling": "max",
            "train.balancing": "logit_adjustment",
        },
    ),
    "ropanet, points, next batch, class weights": (
        "ropanet",
        {
            "model.local": "landmark_pooling", "landmarks.interleaving": "next_batch",
            "train.balancing": "class_weights",
        },
    ),
    "ropanet, gate detached": ("ropanet", {"model.gate": "detached"}),
    "fashionnet, gate": ("fashionnet", {"model.local": "gate", "model.attributes": "none"}),
    "baseline, trained backbone, augmented": (
        "ropanet_baseline",
        {"model.backbone.trainable": "all", "train.augmentation": {"flip": True, "crop": 0.1}},
    ),
    "ropanet, gate random, over-sampling": (
        "ropanet", {"model.gate": "random", "train.balancing": "over_sampling"}
    ),
    "ropanet, gate none, SGD, effective number": (
        "ropanet",
        {"model.gate": "none", "train.optimizer": "sgd", "train.balancing": "effective_number"},
    ),
}  # fmt: skip
"""Trials: name -> preset and settings over the smoke profile's."""

TINY = {
    "train.arithmetic": ARITHMETIC,
    "train.epochs": 1, "train.batch_size": 8,
    "data.train_size": 24, "data.validation_size": 4, "data.test_size": 8,
}  # fmt: skip
"""Three steps."""


def trial(name: str, context: TrialContext) -> Found:
    """What a trial leaves: features, weights with the optimiser's, history and predictions."""
    preset, settings = SYSTEMS[name]
    plain = stacked(base_overlays(preset, "smoke", None))
    for path, value in (TINY | settings).items():
        put(plain, path, value)
    spec = TrialSpec.model_validate(plain)
    split, backbone = split_of(spec, context.manifest), spec.model.feature_extractor
    assert backbone is not None, "they are all trained"
    rows = np.concatenate([split.train, split.val, split.test])
    extract(context.manifest, rows, backbone, context.cache, spec.arithmetic)
    key = feature_key(backbone, context.manifest.fingerprint, spec.arithmetic)
    yield f"{name}/features", FeatureStore(context.cache, key).reader().gather(rows)

    networks: list[Any] = []

    def noted(network: Any, batches: Any) -> Any:
        networks.append(network)
        return evaluate(network, batches)

    with patch("bench.train.evaluate.evaluate", noted):
        record = run_trial(spec, context)
    model = networks[0].model
    for variable in (*model.variables, *model.optimizer.variables):
        yield f"{name}/weights/{variable.path}", variable.value
    for epoch, split_name, metric, value in record.history:
        yield f"{name}/history/{epoch} {split_name} {metric}", np.float64(value)
    for metric, value in record.metrics.items():
        yield f"{name}/metrics/{metric}", np.float64(value)
    yield f"{name}/probabilities", record.predictions.probabilities
    if record.landmarks is not None:
        yield f"{name}/landmarks", record.landmarks.predicted


def sections(folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Everything, in an order in which a cause stands before its consequences."""
    cache, root = folder / "cache", folder / "phantom"
    yield "numpy", numpy_functions
    generate_phantom(root, images=IMAGES, seed=0, workers=1)
    manifest = open_source(root)
    yield "images", partial(images, root)
    yield "elementwise", elementwise
    yield "reductions", reductions
    yield "products", products
    yield "parts", parts
    yield "losses", loss_functions
    yield "optimizers", beginnings_and_steps
    yield "maps", partial(feature_maps, manifest, cache)
    for name in SYSTEMS:
        context = TrialContext(manifest, cache, compiled=Compiled())
        yield f"trial {name}", partial(trial, name, context)


def differences(found: dict[str, str], other: dict[str, str]) -> Iterable[str]:
    """Names that both have, with other digests."""
    return (name for name, value in found.items() if other.get(name, value) != value)


def main() -> int:
    """Digest everything, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path, help="digests to compare with")
    parser.add_argument("--only", default="", help="only sections whose names begin so")
    parser.add_argument("--name", default=processor(), help="the processor, where it is emulated")
    parser.add_argument(
        "--widest", action="store_true", help="without the flags that make it equal"
    )
    asked = parser.parse_args()
    found: dict[str, str] = {}
    other = json.loads(asked.against.read_text())["digests"] if asked.against else {}
    about = {
        "processor": asked.name,
        "flags": {name: os.environ.get(name, "") for name in ONEDNN},
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")},
    }
    with tempfile.TemporaryDirectory() as folder:
        for section, run in sections(Path(folder)):
            if not section.startswith(asked.only):
                continue
            begun = time.process_time()
            digests = {name: digest(value) for name, value in run()}
            found |= digests
            parted = list(differences(digests, other))
            print(
                f"{section}: {len(digests)} digests, {time.process_time() - begun:.0f} s",
                flush=True,
            )
            for name in parted:
                print(f"  differs: {name}", flush=True)
            asked.out.write_text(json.dumps(about | {"digests": found}, indent=1) + "\n")
    return int(any(differences(found, other)))


if __name__ == "__main__":
    sys.exit(main())
