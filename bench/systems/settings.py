"""What all settings are, what every system declares of itself, and the backbone's settings.

Light: what a system declares here (its cost, what it is trained on, what it predicts) is all that
planning, reading and reporting ask of it. Its network is built from `network`, by name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from bench.errors import BenchError
from bench.files.checksums import file_digest
from bench.systems.registry import BACKBONES, DownloadedWeights, PackagedWeights


class Settings(BaseModel):
    """Base of all settings: frozen, strict about types, closed to unknown keys.

    What a class' docstring says of an argument is the setting's description in the JSON Schema; its
    first sentence is that of its `kind`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler.resolve_ref_schema(handler(core))
        texts = _described(cls)
        for name, field in schema.get("properties", {}).items():
            if name in texts:
                field["description"] = texts[name]
            elif "const" in field:
                summary = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0]
                field["description"] = f"`{field['const']}`: {' '.join(summary.split())}"
        return schema


_ARGUMENT = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def _described(cls: type) -> dict[str, str]:
    """Argument -> what the docstrings of a class and those it inherits from say of it."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        arguments = inspect.cleandoc(base.__doc__ or "").partition("Args:\n")[2]
        found |= {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(arguments)}
    return found


def one_of(registry: Mapping[str, Any]) -> Any:
    """A string type whose choices are the keys of a registry."""

    def known(value: str) -> str:
        if value not in registry:
            raise PydanticCustomError(
                "literal_error",
                "Input should be {expected}",
                {"expected": " or ".join(repr(name) for name in registry)},
            )
        return value

    return Annotated[str, AfterValidator(known), _Choices(registry)]


class _Choices:
    """Puts a registry's keys into JSON Schema when it is asked for: a plug-in may come later."""

    def __init__(self, registry: Mapping[str, Any]) -> None:
        self._registry = registry

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(self._registry)}


class _Added:
    """Marks a setting that came after trials had been stored.

    At its default it is left out of what identifies a trial (`bench.study.trial.canonical`): a
    trial that was trained before the setting was there is still the same trial.
    """


ADDED = _Added()


def as_identified(settings: BaseModel) -> dict[str, Any]:
    """Settings as plain data, without those marked `ADDED` that are at their default."""
    plain = settings.model_dump(mode="json")
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if ADDED in info.metadata and value == info.default:
            del plain[name]
        elif isinstance(value, BaseModel):
            plain[name] = as_identified(value)
    return plain


def unused_setting(path: str, message: str) -> PydanticCustomError:
    """The fault of a setting that would have no effect.

    Args:
        path: Its dotted path.
        message: Why it would be ignored.
    """
    return PydanticCustomError("ignored_setting", "{message}", {"message": message, "path": path})


Precision = Literal["float32", "bfloat16"]


class BackboneSettings(Settings):
    """The feature extractor (ledger rows 1 and 2); frozen, it is applied once per image.

    Args:
        name: Which network.
        weights: `imagenet`, `none` (random), or the path of a Keras weights file.
        scaling: `unit` scales images to [0, 1] as the paper does (§3); `native` uses the scaling
            that the ImageNet weights were trained with.
        input_size: Side of the input image in pixels; the backbone's own where left out.
        trainable: `frozen`, `all`, or how many of its last layers with weights are trained.
        precision: A frozen backbone computes its maps in `float32`, or in `bfloat16`, which is
            faster where the hardware has it and rounds to 8 bits between layers.
    """

    name: one_of(BACKBONES) = "inception_v3"  # type: ignore[valid-type]
    weights: str = "imagenet"
    scaling: Literal["unit", "native"] = "unit"
    input_size: int | None = Field(default=None, ge=32, le=1024)
    trainable: Literal["frozen", "all"] | Annotated[int, Field(ge=1)] = "frozen"
    precision: Annotated[Precision, ADDED] = "float32"

    @model_validator(mode="after")
    def _has_what_is_asked(self) -> BackboneSettings:
        backbone = BACKBONES[self.name]
        if self.weights == "imagenet" and backbone.imagenet is None:
            raise PydanticCustomError(
                "ignored_setting",
                "the backbone {name} has no imagenet weights whose digest is published; choose "
                "none or a file",
                {"name": self.name},
            )
        if self.precision != "float32" and not self.frozen:
            raise unused_setting(
                "model.backbone.precision",
                "a backbone that is trained computes in train.precision, and would ignore "
                "model.backbone.precision",
            )
        if self.scaling == "native" and backbone.native_scaling is None:
            raise PydanticCustomError(
                "ignored_setting",
                "the backbone {name} has no scaling of its own; choose unit",
                {"name": self.name},
            )
        return self

    @property
    def side(self) -> int:
        """Side of the input image in pixels."""
        return self.input_size or BACKBONES[self.name].input_size

    @property
    def frozen(self) -> bool:
        """Whether its maps can be computed once."""
        return self.trainable == "frozen"

    @property
    def named_weights(self) -> DownloadedWeights | PackagedWeights | None:
        """The set that it names; None for random ones, or a file."""
        return BACKBONES[self.name].imagenet if self.weights == "imagenet" else None

    @property
    def weights_digest(self) -> str:
        """What its weights are, wherever they lie: `sha256:...` or `md5:...` of their file.

        `none` for random ones. A named set's is known before its file is on this machine.

        Raises:
            BenchError: The weights are a file that is not there.
        """
        if self.weights == "none":
            return "none"
        if self.named_weights is not None:
            return self.named_weights.digest
        try:
            return f"sha256:{file_digest(Path(self.weights))}"
        except (OSError, ValueError):  # ValueError: a path that no file can have
            raise BenchError(
                f"no weights file at {self.weights}",
                fix="give the path of a Keras weights file (.weights.h5 or .h5), `imagenet` or "
                "`none`",
            ) from None


class LayerSize(NamedTuple):
    """A convolution or a fully connected layer, as its cost is counted.

    Args:
        places: Places of the map that its kernel is applied at; 1 for a fully connected layer.
        inputs: Numbers that each of its outputs is made of at a place.
        outputs: Outputs at a place.
        output_places: Places of its output, where they are others: of a transpose convolution.
    """

    places: int
    inputs: int
    outputs: int
    output_places: int | None = None

    @property
    def flops(self) -> float:
        """Two a multiplication-and-addition."""
        return 2.0 * self.places * self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Its kernel's numbers, and a bias an output."""
        return (self.inputs + 1) * self.outputs

    @property
    def activations(self) -> int:
        """Numbers in its output, of one image."""
        return (self.output_places or self.places) * self.outputs


class SystemSettings(Settings):
    """Settings of a system: what can be set, and what everything outside its folder must know.

    A system's class names its `kind` (the name in the registry) and adds its own settings. One
    whose backbone is a setting calls it `backbone`.

    Attributes:
        network: `"module:function"` that builds it. Of a system that is trained: called with
            (settings, supervision's settings or None, `bench.models.network.ModelInputs`), it
            returns a `bench.models.network.BuiltModel`. Of one that is not: called with (training
            labels, number of classes), it returns the probabilities it answers every image with.
        trained: Whether it is trained at all.
        supervision: Field of a trial that says how it is supervised beside the category, such as
            `landmarks`; None where nothing does, or its own settings say so.
        has_landmarks: Whether it is trained on landmarks, and predicts them.
        of_items: Whether it is trained on images of several garments (`Manifest.items`), and not on
            one category an image.
    """

    network: ClassVar[str]
    trained: ClassVar[bool] = True
    supervision: ClassVar[str | None] = None
    has_landmarks: ClassVar[bool] = False
    of_items: ClassVar[bool] = False

    kind: str

    @property
    def feature_extractor(self) -> BackboneSettings | None:
        """The backbone that it stands on; None for a system that sees no image."""
        return getattr(self, "backbone", None)

    @property
    def reads_attributes(self) -> bool:
        """Whether the data's attributes are part of what it is trained on."""
        return False

    def layers(self, side: int, channels: int, classes: int) -> Iterator[LayerSize]:
        """Each layer above the backbone that has a kernel, of one image.

        What a plan reckons operations, weights and memory by; whatever else a network does is
        small beside them.

        Args:
            side: Side of the feature map.
            channels: Channels of the feature map.
            classes: Number of categories.

        Raises:
            BenchError: The system does not say its cost; a plan must not take it for free.
        """
        raise BenchError(
            f"the system {self.kind} does not say what it costs",
            where=f"{type(self).__module__}.{type(self).__name__}",
            fix="define layers(side, channels, classes) in its settings",
        )

    def answer_bytes(self, classes: int) -> float:
        """Bytes that a trial keeps of a test image beside what every system's does.

        Args:
            classes: Number of categories.
        """
        del classes
        return 0.0

    def check_supervision(self, supervision: Any, optimizer: str | None) -> None:
        """Make sure that every setting of the supervision has an effect on this system.

        Args:
            supervision: Settings of the field that `supervision` names.
            optimizer: The trial's optimiser; None for a system that is not trained.

        Raises:
            PydanticCustomError: One would be ignored (`unused_setting`).
        """


LANDMARKS = 8
"""Landmarks of DeepFashion's layout, one channel each (`bench.data.manifest.LANDMARKS`)."""
