"""The settings of training, of the landmarks' supervision, and of evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bench.systems.registry import BALANCING
from bench.systems.settings import ADDED, Precision, Settings, one_of, unused_setting


class Augmentation(Settings):
    """Random changes of the training images, for a backbone that is trained.

    Args:
        flip: Mirror half of the images; left and right landmarks change places.
        crop: Largest share of a side that is cut away; landmarks move along, and those cut off
            count as outside the image.
    """

    flip: bool = True
    crop: float = Field(default=0.1, ge=0, le=0.5, allow_inf_nan=False)


class TrainSpec(Settings):
    """How a model is trained.

    Args:
        optimizer: Keras optimiser.
        learning_rate: Its learning rate; 5e-3 in the paper (§4.3).
        batch_size: Images a step (ledger row 3).
        epochs: Largest number of passes over the training images (ledger row 4).
        patience: Stop once the validation loss has not fallen for this many epochs; left out or
            null trains all epochs.
        selection: Weights of the `last` epoch or of the `best` by validation loss (ledger row
            22).
        balancing: How unequal class frequencies are made up for (§6 asks for it).
        balancing_strength: The rule's one number, its usual value where left out: exponent of
            the class weights, beta of the effective number, share of the way to equal sampling,
            gamma of the focal loss, tau of the logit adjustment.
        augmentation: Random changes of the training images; only where the backbone is trained.
        precision: Layers compute in `float32`, or in `bfloat16` with weights, losses and heads in
            float32, which is faster where the hardware has it.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=5e-3, gt=0, le=10, allow_inf_nan=False)
    batch_size: int = Field(default=32, ge=1)
    epochs: int = Field(default=50, ge=1)
    patience: int | None = Field(default=None, ge=1)
    selection: Literal["last", "best"] = "last"
    balancing: one_of(BALANCING) = "none"  # type: ignore[valid-type]
    balancing_strength: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    augmentation: Augmentation | None = None
    precision: Annotated[Precision, ADDED] = "float32"

    @model_validator(mode="after")
    def _nothing_ignored(self) -> TrainSpec:
        path, strength = "train.balancing_strength", self.balancing_strength
        if strength is None:
            return self
        if BALANCING[self.balancing].strength is None:
            raise unused_setting(
                path, f"balancing {self.balancing} has no strength and would ignore it"
            )
        if self.balancing == "effective_number" and strength >= 1:
            raise unused_setting(path, "beta of the effective number must be below 1")
        return self

    @property
    def strength(self) -> float:
        """Strength of the balancing rule, its usual value where left out."""
        usual = BALANCING[self.balancing].strength or 0.0
        return usual if self.balancing_strength is None else self.balancing_strength


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


class EvalSpec(Settings):
    """How a trained model is scored.

    Args:
        protocol: Classification metrics over the `whole_split`, or over its `last_batch` alone,
            as the released code printed them (ledger row 20).
        precision_recall: `both` ways, pooled at a probability above 0.5 and macro-averaged, or
            `pooled` alone (ledger row 21).
        split: Score the `test` images, or the `validation` images in their place: what a tuned
            arm's proposals are judged by, which leaves the test images out of the trial
            altogether.
    """

    protocol: Literal["whole_split", "last_batch"] = "whole_split"
    precision_recall: Literal["both", "pooled"] = "both"
    split: Annotated[Literal["test", "validation"], ADDED] = "test"
