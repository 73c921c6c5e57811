"""The settings of FashionNet (Liu et al. 2016), and of its supervision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bench.systems.settings import (
    LANDMARKS,
    BackboneSettings,
    LayerSize,
    Settings,
    SystemSettings,
    unused_setting,
)


class Phase(Settings):
    """A part of FashionNet's alternating training.

    Args:
        epochs: How many epochs it lasts.
        landmarks: What the losses of places and visibility are multiplied with.
        recognition: What the losses of category and attributes are multiplied with.
    """

    epochs: int = Field(default=1, ge=1)
    landmarks: float = Field(ge=0, allow_inf_nan=False)
    recognition: float = Field(ge=0, allow_inf_nan=False)


ALTERNATION = (Phase(landmarks=1.0, recognition=0.1), Phase(landmarks=0.1, recognition=1.0))
"""Mostly landmarks first, the rest as helpers; then mostly what they serve; and so on."""


class PoseSpec(Settings):
    """How FashionNet is supervised (Liu et al. 2016, §4); only for that model.

    The loss is the category's, plus each of the following times its weight.

    Args:
        location_weight: Weight of the squared distance of the predicted places, as shares of the
            image's width and height, from the true ones.
        visibility_weight: Weight of the cross-entropy of the landmarks' visibility.
        attribute_weight: Weight of the cross-entropy of the attributes; without effect on data
            that has none.
        attribute_balance: Whether an attribute's positive and negative images are weighted by
            their `ratio` in the training set, so that both count alike, or `none`.
        trained_visibility: Which landmarks' places are trained: `visible` (flag 0), or `occluded`
            ones too (flags 0 and 1).
        absent: A landmark that the garment does not have is taken for one `outside` the image, or
            its visibility is `masked` out of the loss.
        alternation: Phases, in order and over again until training ends.
    """

    location_weight: float = Field(default=100.0, ge=0, allow_inf_nan=False)
    visibility_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    attribute_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    attribute_balance: Literal["ratio", "none"] = "ratio"
    trained_visibility: Literal["visible", "occluded"] = "visible"
    absent: Literal["outside", "masked"] = "outside"
    alternation: Annotated[tuple[Phase, ...], Field(min_length=1, strict=False)] = ALTERNATION

    def phase(self, epoch: int) -> Phase:
        """The phase of an epoch, counted from 0."""
        left = epoch % sum(phase.epochs for phase in self.alternation)
        for phase in self.alternation:
            if left < phase.epochs:
                return phase
            left -= phase.epochs
        raise AssertionError("an epoch within the cycle lies in one of its phases")


class FashionNet(SystemSettings):
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

    network: ClassVar[str] = "bench.systems.fashionnet.network:build"
    supervision: ClassVar[str | None] = "pose"
    has_landmarks: ClassVar[bool] = True

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
        """Whether attributes are predicted beside the category."""
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

    def layers(self, side: int, channels: int, classes: int) -> Iterator[LayerSize]:
        """Those of its branches and their fusion; the attributes, of the data, are left out."""
        side = -(-side // self.branch_pooling)
        flat = (-(-side // self.branch_pooling)) ** 2 * self.conv5_filters
        for units in (self.pose_units, self.global_units):
            width = channels
            for _ in range(self.conv5_depth):
                yield LayerSize(side**2, 9 * width, self.conv5_filters)
                width = self.conv5_filters
            yield LayerSize(1, flat, units)
        # The second of the pose branch's layers, then places and three states of each landmark.
        yield LayerSize(1, self.pose_units, self.pose_units + LANDMARKS * (2 + 3))
        if self.local == "gate":
            yield LayerSize(side**2, self.conv5_filters, channels)
        seen = (1 if self.local == "gate" else LANDMARKS) * channels
        yield LayerSize(1, seen, self.local_units)
        yield LayerSize(1, self.local_units + self.global_units, self.fusion_units)
        yield LayerSize(1, self.fusion_units, classes)
