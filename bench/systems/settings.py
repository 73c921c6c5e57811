"""The settings of every model: typed, frozen, and closed to keys that the model does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from bench.systems.registry import BACKBONES, GATES, POOLINGS, load_plugins

load_plugins()


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
        weights: `imagenet`, `phantom` (the small one, trained on a phantom pretext task), `none`
            (random), or the path of a Keras weights file.
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

    build: ClassVar[str] = "bench.systems.prior.network:build"
    has_backbone: ClassVar[bool] = False
    has_landmarks: ClassVar[bool] = False
    supervision: ClassVar[str | None] = None
    reads_attributes: ClassVar[bool] = False

    kind: Literal["prior"] = "prior"


class RopaNetBaseline(Settings):
    """RopaNet-Baseline (§4.3): feature map, global average pooling, fully connected, softmax.

    Args:
        backbone: The feature extractor.
        pooling: From the map to a vector.
    """

    build: ClassVar[str] = "bench.systems.baseline.network:build"
    has_backbone: ClassVar[bool] = True
    has_landmarks: ClassVar[bool] = False
    supervision: ClassVar[str | None] = None
    reads_attributes: ClassVar[bool] = False

    kind: Literal["ropanet_baseline"] = "ropanet_baseline"
    backbone: BackboneSettings = BackboneSettings()
    pooling: one_of(POOLINGS) = "average"  # type: ignore[valid-type]


class RopaNet(Settings):
    """RopaNet (§4.4-4.5): a landmark, a local and a global branch over one feature map.

    Args:
        backbone: The feature extractor.
        local: How landmarks reach the local branch: by a mask (`gate`, the paper), or, as in
            FashionNet, by pooling features around each landmark (`landmark_pooling`), where the
            landmark maps' soft-arg-max puts it.
        local_window: Samples on a side of the window that is pooled, one cell of the feature map
            apart; 3 where left out. Only with `local: landmark_pooling`.
        gate: What the local branch sees: the feature map times a learned mask (`sigmoid`, the
            paper), the plain map (`none`), the map times 1 + mask (`residual`), times one mask
            for all channels (`spatial`), times a mask that the classification loss does not
            train (`detached`), times a frozen random mask (`random`).
        gate_depth: 3 x 3 convolutions (ReLU, as many filters as the map has channels) between
            the map and the mask's own 1 x 1 convolution; 0 in the paper.
        gate_bias: Initial bias of the mask's convolution, before the sigmoid: 0 begins half open,
            4 nearly open (0.98), -4 nearly shut (0.02).
        gate_sparsity: Weight of a penalty on the mask's mean value, added to the loss; only for
            gates that are made of the mask.
        upsampling: Transpose convolutions from the mask up to the landmark maps (ledger row 5).
        landmark_activation: Activation of the last of them; a softmax follows (ledger row 6).
        local_depth: Convolutions before the local branch's pooling; 0 in the paper.
        local_filters: Their filters; as many as the map has channels where left out. Only with
            a `local_depth` above 0.
        local_kernel: Side of their kernels, 3 where left out. Only with a `local_depth` above 0.
        local_pooling: From the local branch's map to a vector; `max` is what §5.2 tried.
        global_depth: Convolutions before the global branch's pooling; 1 in the paper.
        global_filters: Filters of each (ledger row 7).
        global_kernel: Side of their kernels.
        global_activation: Their activation, and that of the local branch's convolutions.
        global_pooling: From the global branch's map to a vector.
        branch_units: Outputs of the fully connected layer that ends each branch.
        branch_activation: Its activation (ledger row 8).
        branch_bias: How its bias begins (ledger row 8).
    """

    build: ClassVar[str] = "bench.systems.ropanet.network:build"
    has_backbone: ClassVar[bool] = True
    has_landmarks: ClassVar[bool] = True
    supervision: ClassVar[str | None] = "landmarks"
    reads_attributes: ClassVar[bool] = False

    kind: Literal["ropanet"] = "ropanet"
    backbone: BackboneSettings = BackboneSettings()
    local: Annotated[Literal["gate", "landmark_pooling"], ADDED] = "gate"
    local_window: Annotated[int | None, Field(ge=1), ADDED] = None
    gate: one_of(GATES) = "sigmoid"  # type: ignore[valid-type]
    gate_depth: int = Field(default=0, ge=0, le=8)
    gate_bias: float = Field(default=0.0, ge=-20, le=20)
    gate_sparsity: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    upsampling: Annotated[tuple[UpsamplingStage, ...], Field(min_length=1, strict=False)] = (
        PAPER_UPSAMPLING
    )
    landmark_activation: Literal["linear", "relu"] = "linear"
    local_depth: int = Field(default=0, ge=0, le=8)
    local_filters: int | None = Field(default=None, ge=1)
    local_kernel: int | None = Field(default=None, ge=1)
    local_pooling: one_of(POOLINGS) = "average"  # type: ignore[valid-type]
    global_depth: int = Field(default=1, ge=1, le=8)
    global_filters: int = Field(default=2048, ge=1)
    global_kernel: int = Field(default=5, ge=1)
    global_activation: Activation = "tanh"
    global_pooling: one_of(POOLINGS) = "average"  # type: ignore[valid-type]
    branch_units: int = Field(default=6, ge=1)
    branch_activation: Activation = "relu"
    branch_bias: Literal["zeros", "he_normal"] = "zeros"

    @model_validator(mode="after")
    def _nothing_ignored(self) -> RopaNet:
        if self.upsampling[-1].filters != 8:
            raise PydanticCustomError(
                "landmark_maps",
                "the last upsampling stage must have 8 filters, one a landmark; found {found}",
                {"found": self.upsampling[-1].filters},
            )
        for name in ("local_filters", "local_kernel"):
            if self.local_depth == 0 and getattr(self, name) is not None:
                raise unused_setting(
                    f"model.{name}",
                    f"the local branch has no convolution at model.local_depth 0 and would ignore "
                    f"model.{name}",
                )
        self._local_has_effect()
        if self.gate_sparsity and not GATES[self.gate].from_mask:
            raise unused_setting(
                "model.gate_sparsity",
                f"the gate {self.gate} is not made of the mask and would ignore "
                "model.gate_sparsity",
            )
        return self

    def _local_has_effect(self) -> None:
        if self.local == "gate":
            if self.local_window is not None:
                raise unused_setting(
                    "model.local_window",
                    "a gate has no window around landmarks and would ignore model.local_window",
                )
            return
        for name in ("gate", "gate_sparsity", "local_pooling"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise unused_setting(
                    f"model.{name}",
                    f"the local branch pools around landmarks and would ignore model.{name}: leave "
                    "it out, or set model.local: gate",
                )


class FashionNet(Settings):
    """FashionNet (§4.1; Liu et al. 2016, §4): a pose, a local and a global branch over the maps of
    VGG-16's fourth block. What is not printed is in `bench ledger`.

    Args:
        backbone: The feature extractor, whose maps the three branches share.
        local: What the local branch sees: features pooled around the predicted landmarks
            (`landmark_pooling`, as described), or, as in RopaNet, the shared maps times a mask
            that a 1 x 1 convolution makes of the pose branch's maps (`gate`).
        local_window: Samples on a side of the window around a landmark, one cell of the shared
            maps apart, of which the largest is taken.
        local_visibility: What is pooled at a landmark is multiplied with the predicted
            `probability` that it is visible, is kept only where that is the likeliest state
            (`likeliest`), or is kept everywhere (`ignored`).
        local_gradient: Whether the recognition losses reach the predicted places `through` the
            pooling, or are `stopped` there.
        branch_pooling: Side and stride of the max-pooling before and after the pose and the
            global branch's convolutions; 2 in VGG-16, 1 for none.
        conv5_depth: 3 x 3 convolutions of the block that each of these two branches has of its
            own in place of VGG-16's fifth.
        conv5_filters: Their filters.
        pose_units: Outputs of each of the pose branch's two fully connected layers.
        local_units: Outputs of the local branch's fully connected layer.
        global_units: Outputs of the global branch's.
        fusion_units: Outputs of the one that fuses them.
        dropout: Share of their outputs that is dropped in training.
        attributes: Whether attributes are predicted beside the category: `where_annotated`, that
            is where the data has them, or `none`.
    """

    build: ClassVar[str] = "bench.systems.fashionnet.network:build"
    has_backbone: ClassVar[bool] = True
    has_landmarks: ClassVar[bool] = True
    supervision: ClassVar[str | None] = "pose"

    kind: Literal["fashionnet"] = "fashionnet"
    backbone: BackboneSettings = BackboneSettings(name="vgg16_conv4")
    local: Literal["landmark_pooling", "gate"] = "landmark_pooling"
    local_window: int = Field(default=3, ge=1)
    local_visibility: Literal["probability", "likeliest", "ignored"] = "probability"
    local_gradient: Literal["through", "stopped"] = "through"
    branch_pooling: int = Field(default=2, ge=1)
    conv5_depth: int = Field(default=3, ge=1, le=8)
    conv5_filters: int = Field(default=512, ge=1)
    pose_units: int = Field(default=1024, ge=1)
    local_units: int = Field(default=1024, ge=1)
    global_units: int = Field(default=4096, ge=1)
    fusion_units: int = Field(default=4096, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    attributes: Literal["where_annotated", "none"] = "where_annotated"

    @property
    def reads_attributes(self) -> bool:
        """Whether the data's attributes are part of what is trained."""
        return self.attributes != "none"

    @model_validator(mode="after")
    def _nothing_ignored(self) -> FashionNet:
        if self.local == "landmark_pooling":
            return self
        for name in ("local_window", "local_visibility", "local_gradient"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise unused_setting(
                    f"model.{name}",
                    f"a gate does not pool around landmarks and would ignore model.{name}",
                )
        return self


ModelSettings = Annotated[
    Prior | RopaNetBaseline | RopaNet | FashionNet, Field(discriminator="kind")
]
"""Any model; `kind` says which."""
