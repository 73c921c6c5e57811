"""The settings of RopaNet, and of its supervision by landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.systems.registry import GATES, POOLINGS
from bench.systems.settings import (
    ADDED,
    LANDMARKS,
    BackboneSettings,
    LayerSize,
    Settings,
    SystemSettings,
    one_of,
    unused_setting,
)


class LandmarkSpec(Settings):
    """How the landmark branch is supervised; only for models that have one.

    Args:
        update_ratio: Landmark update ratio r: the landmark branch is updated at every batch, the
            rest at each r-th (§4.5, ledger row 9). 0 never updates it: no landmark training.
        interleaving: `same_batch` updates the rest on every r-th of the landmark branch's
            batches; `next_batch` on the batch after r of them, which the landmark branch skips.
        weight: Weight of the landmark loss beside the classification loss.
        steps: `joint` takes one step on the sum of both losses; `separate` one on the landmark
            loss, then one on the classification loss, both from the gradients at the batch's
            weights (ledger row 9).
        counters: Step counts of the optimiser `per_group`, or one `shared` by the landmark,
            head, global and local steps (ledger row 10).
        trained_channels: Only the first so many of the 8 channels are trained (ledger row 11).
        trained_visibility: Which landmarks are trained: `visible` (flag 0), `occluded` ones too
            (flags 0 and 1), or `every` annotated one (also 2, outside the image; ledger row 12).
        absent: Landmarks that a garment does not have are `masked` out, or trained to the
            `origin`, pixel (0, 0) (ledger row 13).
        channels: Which channel is which landmark: by `meaning`, or by `position` in the
            annotation's line (ledger row 14).
        axis_order: The target map is indexed [y, x] (`yx`) or transposed, [x, y] (`xy`; ledger
            row 15).
        rescaling: Coordinates are scaled by each image's own width and height (`own_size`), or
            not at all (`none`): pixels of the stored image in a grid of 300 x 300 (ledger row
            16).
        target: The loss' target is the `true_pixel`, or always the `first_pixel` (ledger row 17,
            unverified).
    """

    update_ratio: int = Field(default=2, ge=0, le=1000)
    interleaving: Literal["same_batch", "next_batch"] = "same_batch"
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    steps: Literal["joint", "separate"] = "joint"
    counters: Literal["per_group", "shared"] = "per_group"
    trained_channels: int = Field(default=8, ge=1, le=8)
    trained_visibility: Literal["visible", "occluded", "every"] = "visible"
    absent: Literal["masked", "origin"] = "masked"
    channels: Literal["meaning", "position"] = "meaning"
    axis_order: Literal["yx", "xy"] = "yx"
    rescaling: Literal["own_size", "none"] = "own_size"
    target: Literal["true_pixel", "first_pixel"] = "true_pixel"

    @model_validator(mode="after")
    def _nothing_ignored(self) -> LandmarkSpec:
        if self.update_ratio == 0:
            untrained = LandmarkSpec.model_construct(update_ratio=0)
            for name in type(self).model_fields:
                if getattr(self, name) != getattr(untrained, name):
                    raise unused_setting(
                        f"landmarks.{name}",
                        "nothing is trained on landmarks at landmarks.update_ratio 0, which would "
                        f"ignore landmarks.{name}",
                    )
        return self

    @property
    def trained(self) -> bool:
        """Whether anything is trained on landmarks."""
        return self.update_ratio > 0


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


class RopaNet(SystemSettings):
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

    network: ClassVar[str] = "bench.systems.ropanet.network:build"
    supervision: ClassVar[str | None] = "landmarks"
    has_landmarks: ClassVar[bool] = True

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
        if self.upsampling[-1].filters != LANDMARKS:
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

    def layers(self, side: int, channels: int, classes: int) -> Iterator[LayerSize]:
        """Those of its three branches and their fusion."""
        area = side * side
        for _ in range(self.gate_depth):
            yield LayerSize(area, 9 * channels, channels)
        yield LayerSize(area, channels, channels)
        if self.gate == "random" and self.local == "gate":
            yield LayerSize(area, channels, channels)
        here, depth = side, channels
        for stage in self.upsampling:
            wide = (here - 1) * stage.stride + max(stage.kernel, stage.stride)
            yield LayerSize(here * here, depth * stage.kernel**2, stage.filters, wide * wide)
            here, depth = wide, stage.filters
        width = channels
        for _ in range(self.local_depth):
            filters = self.local_filters or channels
            yield LayerSize(area, width * (self.local_kernel or 3) ** 2, filters)
            width = filters
        yield LayerSize(1, (1 if self.local == "gate" else LANDMARKS) * width, self.branch_units)
        width = channels
        for _ in range(self.global_depth):
            yield LayerSize(area, width * self.global_kernel**2, self.global_filters)
            width = self.global_filters
        yield LayerSize(1, width, self.branch_units)
        yield LayerSize(1, 2 * self.branch_units, classes)

    def check_supervision(self, supervision: LandmarkSpec, optimizer: str | None) -> None:
        """See `SystemSettings`."""
        if self.local == "landmark_pooling":
            self._check_points(supervision)
        if supervision.steps == "separate" and not GATES[self.gate].trained_by_classification:
            raise unused_setting(
                "landmarks.steps",
                f"the classification loss does not reach the mask through the gate {self.gate}, "
                "which would ignore landmarks.steps: separate",
            )
        if supervision.counters == "shared" and optimizer is not None and optimizer != "adam":
            raise unused_setting(
                "landmarks.counters",
                f"{optimizer} does not use its step count and would ignore landmarks.counters: "
                "shared",
            )
        if self.gate_sparsity and not supervision.trained:
            raise unused_setting(
                "model.gate_sparsity",
                "the mask is not trained at landmarks.update_ratio 0, which would ignore "
                "model.gate_sparsity",
            )

    @staticmethod
    def _check_points(supervision: LandmarkSpec) -> None:
        needed = {"steps": "joint", "rescaling": "own_size"}
        for name, value in needed.items():
            if getattr(supervision, name) != value:
                raise unused_setting(
                    f"landmarks.{name}",
                    "pooling around landmarks (model.local) takes places on the feature map from "
                    f"one landmark branch, and needs landmarks.{name}: {value}",
                )
