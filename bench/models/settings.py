"""The settings of every model: typed, frozen, and closed to keys that the model does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from bench.models.registry import BACKBONES, GATES


class Settings(BaseModel):
    """Base of all settings: frozen, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())


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

    schema = {"type": "string", "enum": list(registry)}
    return Annotated[str, AfterValidator(known), WithJsonSchema(schema)]


class BackboneSettings(Settings):
    """The feature extractor, frozen and applied once per image (ledger rows 1 and 2).

    Args:
        name: Which network.
        weights: `imagenet`, `phantom` (the small one, trained on a phantom pretext task), `none`
            (random), or the path of a Keras weights file.
        scaling: `unit` scales images to [0, 1] as the paper does (§3); `native` uses the scaling
            that the ImageNet weights were trained with.
        input_size: Side of the input image in pixels; the backbone's own where left out.
    """

    name: one_of(BACKBONES) = "inception_v3"  # type: ignore[valid-type]
    weights: str = "imagenet"
    scaling: Literal["unit", "native"] = "unit"
    input_size: int | None = Field(default=None, ge=32, le=1024)

    @model_validator(mode="after")
    def _has_what_is_asked(self) -> BackboneSettings:
        backbone = BACKBONES[self.name]
        named = {name for entry in BACKBONES.values() for name in entry.weights}
        if self.weights in named and self.weights not in backbone.weights:
            raise PydanticCustomError(
                "ignored_setting",
                "the backbone {name} has no {weights} weights; choose {choices} or a file",
                {
                    "name": self.name,
                    "weights": self.weights,
                    "choices": ", ".join(backbone.weights),
                },
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


class UpsamplingStage(Settings):
    """One transpose convolution of the landmark branch, without padding (ledger row 5).

    Args:
        filters: Output channels; 8, one a landmark, in the last stage.
        kernel: Side of the kernel.
        stride: Stride.
    """

    filters: int = Field(ge=1)
    kernel: int = Field(default=2, ge=1)
    stride: int = Field(default=2, ge=1)


PAPER_UPSAMPLING = (
    UpsamplingStage(filters=256),
    UpsamplingStage(filters=128),
    UpsamplingStage(filters=64),
    UpsamplingStage(filters=32, kernel=12, stride=1),
    UpsamplingStage(filters=16),
    UpsamplingStage(filters=8),
)
"""8 -> 16 -> 32 -> 64 -> 75 -> 150 -> 300 pixels a side (ledger row 5)."""

Activation = Literal["linear", "relu", "tanh"]


class Prior(Settings):
    """Answers every image with the class frequencies of the training set.

    The no-information row of a table: what a system scores that has never seen an image.
    """

    build: ClassVar[str] = "bench.models.prior:build"
    has_backbone: ClassVar[bool] = False
    has_landmarks: ClassVar[bool] = False

    kind: Literal["prior"] = "prior"


class RopaNetBaseline(Settings):
    """RopaNet-Baseline (§4.3): feature map, global average pooling, fully connected, softmax."""

    build: ClassVar[str] = "bench.models.baseline:build"
    has_backbone: ClassVar[bool] = True
    has_landmarks: ClassVar[bool] = False

    kind: Literal["ropanet_baseline"] = "ropanet_baseline"
    backbone: BackboneSettings = BackboneSettings()


class RopaNet(Settings):
    """RopaNet (§4.4-4.5): a landmark, a local and a global branch over one feature map.

    Args:
        gate: What the local branch sees: the feature map times a learned mask (`sigmoid`, the
            paper), the plain map (`none`), the map times 1 + mask (`residual`), times one mask
            for all channels (`spatial`), times a mask that the classification loss does not
            train (`detached`), times a frozen random mask (`random`).
        upsampling: Transpose convolutions from the mask up to the landmark maps (ledger row 5).
        global_filters: Filters of the global branch's convolution (ledger row 7).
        global_kernel: Side of its kernel.
        global_activation: Its activation.
        branch_units: Outputs of the fully connected layer that ends each branch.
        branch_activation: Its activation (ledger row 8).
    """

    build: ClassVar[str] = "bench.models.ropanet:build"
    has_backbone: ClassVar[bool] = True
    has_landmarks: ClassVar[bool] = True

    kind: Literal["ropanet"] = "ropanet"
    backbone: BackboneSettings = BackboneSettings()
    gate: one_of(GATES) = "sigmoid"  # type: ignore[valid-type]
    upsampling: Annotated[tuple[UpsamplingStage, ...], Field(min_length=1, strict=False)] = (
        PAPER_UPSAMPLING
    )
    global_filters: int = Field(default=2048, ge=1)
    global_kernel: int = Field(default=5, ge=1)
    global_activation: Activation = "tanh"
    branch_units: int = Field(default=6, ge=1)
    branch_activation: Activation = "relu"

    @model_validator(mode="after")
    def _one_map_a_landmark(self) -> RopaNet:
        if self.upsampling[-1].filters != 8:
            raise PydanticCustomError(
                "landmark_maps",
                "the last upsampling stage must have 8 filters, one a landmark; found {found}",
                {"found": self.upsampling[-1].filters},
            )
        return self


ModelSettings = Annotated[Prior | RopaNetBaseline | RopaNet, Field(discriminator="kind")]
"""Any model; `kind` says which."""
