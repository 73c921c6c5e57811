"""The settings of Match R-CNN (Ge et al. 2019), and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bench.metrics.oks import LANDMARK_COUNTS
from bench.systems.registry import BACKBONES
from bench.systems.settings import (
    BackboneSettings,
    LayerSize,
    Settings,
    SystemSettings,
    unused_setting,
)

RATIOS = (0.5, 1.0, 2.0)
"""Height over width of a cell's anchors."""

SIZE_OF_MASK = 28
CELLS = 56
"""Side of a predicted mask, and of the grid that a landmark is a cell of."""

REGION, SMALL_REGION = 14, 7
"""Bins of a region: of the mask and the landmark stream, and of the box head."""

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Feature = Literal["class", "pose", "mask"]


class LossWeights(Settings):
    """Weights of the five losses of Match R-CNN, which were never published.

    Args:
        classes: Of classification, by the region proposals and by the box head (lambda 1).
        boxes: Of the boxes of both (lambda 2).
        landmarks: Of the landmarks (lambda 3); 0 leaves the landmark stream untrained by them.
        masks: Of the masks (lambda 4).
        pairs: Of the match network (lambda 5).
    """

    classes: Weight = 1.0
    boxes: Weight = 1.0
    landmarks: Weight = 1.0
    masks: Weight = 1.0
    pairs: Weight = 1.0


class MatchRCNN(SystemSettings):
    """Match R-CNN (§4.2; Ge et al. 2019, §4): garments are detected, outlined, given landmarks, and
    matched between two images by what their regions look like.

    The defaults are the authors', or Detectron's where they name it; what neither prints is in
    `bench ledger`.

    Args:
        backbone: A feature extractor with maps of several strides.
        channels: Channels of the feature pyramid and of the region proposals.
        anchor_scale: Side of a square anchor, in strides of its level.
        canonical_scale: Root of the area of a box, as a share of the image's side, from which on
            its features are taken from the level of stride 16.
        items: Garments of an image that are trained on at most: those with the largest boxes.
        anchors_sampled: Anchors an image that the proposals are trained on, half of them positive
            at most.
        proposals_before: Anchors of each level that take part in the suppression.
        proposals: Proposals an image.
        regions: Proposals an image that the box head is trained on.
        foreground: Of these, of a garment at most: those that masks, landmarks and matches are
            trained on.
        box_units: Outputs of each of the box head's two fully connected layers.
        mask_filters: Filters of each of the mask stream's four convolutions.
        landmark_filters: Filters of each of the landmark stream's eight convolutions.
        landmark_categories: Numbers of the categories (1 to 13) whose landmarks are predicted; all
            where left out.
        candidates: Boxes an image that take part in the last suppression.
        detections: Detections an image at most.
        score_threshold: Probability from which on a box is a detection.
        match_features: Which streams' maps feed the match network: `class` (the box head's
            region), `pose` and `mask` (what the stream's convolutions make of theirs).
        match_convolutions: Convolutions of the match network; 4, or 2 as RopaNet's Fig. 2b has it.
        match_filters: Filters of all of these but the last.
        match_last_filters: Filters of the last.
        match_units: Length of the vector that a garment becomes.
        match_score: Whether two garments match is a `learned` function of the squared differences
            of their vectors, from random weights or `learned_from_distance`, so that it begins as
            their mean; or of their `distance` alone, as Fig. 2b has it.
        match_overlap: Overlap with the true box from which on a region takes part in pairs.
        pairs: What an epoch is: `one_a_user`, every user's image with one of its shop's at random,
            or `every` pair of images.
        losses: Weights of the losses.
    """

    network: ClassVar[str] = "bench.systems.match_rcnn.network:build"
    of_items: ClassVar[bool] = True

    kind: Literal["match_rcnn"] = "match_rcnn"
    backbone: BackboneSettings = BackboneSettings(name="resnet50_pyramid", trainable="all")
    channels: int = Field(default=256, ge=1)
    anchor_scale: float = Field(default=8.0, gt=0, allow_inf_nan=False)
    canonical_scale: float = Field(default=0.28, gt=0, le=1)
    items: int = Field(default=8, ge=1)
    anchors_sampled: int = Field(default=256, ge=2)
    proposals_before: int = Field(default=2000, ge=1)
    proposals: int = Field(default=1000, ge=1)
    regions: int = Field(default=512, ge=1)
    foreground: int = Field(default=128, ge=1)
    box_units: int = Field(default=1024, ge=1)
    mask_filters: int = Field(default=256, ge=1)
    landmark_filters: int = Field(default=512, ge=1)
    landmark_categories: Annotated[
        tuple[Annotated[int, Field(ge=1, le=len(LANDMARK_COUNTS))], ...],
        Field(min_length=1, strict=False),
    ] = tuple(range(1, len(LANDMARK_COUNTS) + 1))
    candidates: int = Field(default=1000, ge=1)
    detections: int = Field(default=100, ge=1)
    score_threshold: float = Field(default=0.05, ge=0, lt=1)
    match_features: Annotated[tuple[Feature, ...], Field(min_length=1, strict=False)] = ("mask",)
    match_convolutions: Literal[2, 4] = 4
    match_filters: int = Field(default=256, ge=1)
    match_last_filters: int = Field(default=1024, ge=1)
    match_units: int = Field(default=256, ge=1)
    match_score: Literal["learned", "learned_from_distance", "distance"] = "learned"
    match_overlap: float = Field(default=0.7, ge=0.5, le=1)
    pairs: Literal["one_a_user", "every"] = "one_a_user"
    losses: LossWeights = LossWeights()

    @model_validator(mode="after")
    def _computable(self) -> MatchRCNN:
        levels = BACKBONES[self.backbone.name].levels
        if len(levels) < 3:
            pyramids = [name for name, entry in BACKBONES.items() if len(entry.levels) >= 3]
            raise unused_setting(
                "model.backbone.name",
                f"match_rcnn needs maps of three strides or more, and {self.backbone.name} has one "
                f"map; choose one of {', '.join(pyramids)}",
            )
        if self.backbone.side % levels[-1][0]:
            raise unused_setting(
                "model.backbone.input_size",
                f"the side of the image must be a multiple of {levels[-1][0]}, the largest stride; "
                f"it is {self.backbone.side}",
            )
        if self.foreground > self.regions or self.regions > self.proposals:
            raise unused_setting(
                "model.regions",
                f"expected model.foreground ({self.foreground}) to be no more than model.regions "
                f"({self.regions}), and these no more than model.proposals ({self.proposals})",
            )
        for name in ("match_features", "landmark_categories"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise unused_setting(f"model.{name}", f"model.{name} names one twice")
        return self

    @property
    def landmark_counts(self) -> tuple[int, ...]:
        """Landmarks of every category; 0 for those that are not predicted."""
        drawn = set(self.landmark_categories)
        return tuple(n if i in drawn else 0 for i, n in enumerate(LANDMARK_COUNTS, start=1))

    def answer_bytes(self, classes: int) -> float:
        """Of each detection, its mask, landmarks and vector."""
        points = 8 * max(self.landmark_counts)
        return self.detections * (SIZE_OF_MASK**2 + points + 4.0 * self.match_units + 26)

    def layers(self, side: int, channels: int, classes: int) -> Iterator[LayerSize]:
        """Those of an image in training, those of the proposals once; tests have other regions."""
        del channels
        levels = BACKBONES[self.backbone.name].levels
        largest, wide = levels[-1][0], self.channels
        for stride, width in levels:
            cells = (side * largest // stride) ** 2
            yield LayerSize(cells, width, wide)
            yield LayerSize(cells, 9 * wide, wide)
        cells = sum((side * largest // stride) ** 2 for stride, _ in levels)
        yield LayerSize(cells, 9 * wide, wide)
        yield LayerSize(cells, wide, len(RATIOS) * 5)
        yield LayerSize(self.regions, SMALL_REGION**2 * wide, self.box_units)
        yield LayerSize(self.regions, self.box_units, self.box_units)
        yield LayerSize(self.regions, self.box_units, 5 * classes + 1)
        whole, count = REGION**2, self.foreground
        yield from _convolutions(count * whole, wide, [self.mask_filters] * 4)
        yield LayerSize(count * 4 * whole, self.mask_filters, self.mask_filters)
        yield LayerSize(count * SIZE_OF_MASK**2, self.mask_filters, classes)
        yield from _convolutions(count * whole, wide, [self.landmark_filters] * 8)
        landmarks = sum(self.landmark_counts)
        yield LayerSize(count * whole, 16 * self.landmark_filters, landmarks, count * CELLS**2)
        widths = {"class": wide, "pose": self.landmark_filters, "mask": self.mask_filters}
        inputs = sum(widths[name] for name in self.match_features)
        filters = [self.match_filters] * (self.match_convolutions - 1) + [self.match_last_filters]
        yield from _convolutions(count * SMALL_REGION**2, inputs, filters)
        yield LayerSize(count, self.match_last_filters, self.match_units)


def _convolutions(places: int, inputs: int, filters: list[int]) -> Iterator[LayerSize]:
    for outputs in filters:
        yield LayerSize(places, 9 * inputs, outputs)
        inputs = outputs
