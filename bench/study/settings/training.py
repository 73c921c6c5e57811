"""The settings of training and of evaluation, the same for every system."""

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


Backend = Literal["tensorflow", "jax", "torch"]

NOT_PORTABLE = (
    "needs instructions that not every processor has, and portable arithmetic computes in float32: "
    "set train.arithmetic to native"
)


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
        arithmetic: `portable` gives the same bytes on every x86-64 processor with AVX2, on one
            thread and without a GPU (docs/portable.md); `native` is as fast as the machine can. So
            for the maps of a frozen backbone.
        backend: What Keras computes with. Each rounds otherwise, so that the same trial on another
            is another trial; portable arithmetic is TensorFlow's.
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
    arithmetic: Literal["portable", "native"] = "native"
    backend: Annotated[Backend, ADDED] = "tensorflow"
    precision: Annotated[Precision, ADDED] = "float32"

    @model_validator(mode="after")
    def _computable(self) -> TrainSpec:
        if self.arithmetic == "portable" and self.backend != "tensorflow":
            raise unused_setting(
                "train.backend",
                f"portable arithmetic is TensorFlow's, and the backend is {self.backend}: set "
                "train.arithmetic to native",
            )
        if self.arithmetic == "portable" and self.precision != "float32":
            raise unused_setting("train.precision", f"{self.precision} {NOT_PORTABLE}")
        return self

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
