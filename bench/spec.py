"""What a trial is: typed, validated, and identified by its content."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.errors import BenchError
from bench.models.registry import BACKBONES
from bench.models.settings import ModelSettings, Settings

SEMANTICS = 1
"""Raised by hand whenever the same spec would give other numbers than before."""


class PhantomSource(Settings):
    """Drawn garments in DeepFashion's layout; never presented as DeepFashion.

    Args:
        images: How many photographs are drawn.
        seed: Seed of the drawing.
    """

    kind: Literal["phantom"] = "phantom"
    images: int = Field(default=6000, ge=50)
    seed: int = Field(default=0, ge=0)


class DeepFashionSource(Settings):
    """DeepFashion's Category and Attribute Prediction Benchmark (§3), from `--data DIR`."""

    kind: Literal["deepfashion"] = "deepfashion"


class FolderSource(Settings):
    """A folder of classes, `DIR/<class>/*.jpg`, without landmarks, from `--data DIR`."""

    kind: Literal["folder"] = "folder"


Source = Annotated[PhantomSource | DeepFashionSource | FolderSource, Field(discriminator="kind")]
Size = Annotated[int, Field(ge=1)] | Literal["all"]


class DataSpec(Settings):
    """Which images a trial trains on and is tested on.

    Args:
        source: Where the images come from.
        split: `official` partition (the default), by `image`, or by `product` so that no product
            has photographs on both sides (ledger row 18).
        sampling: `stratified` keeps the class proportions, `plain` does not.
        train_size: Training images; `all` for all there are.
        validation_size: Validation images, 0 for none.
        test_size: Test images.
        split_seed: Seed of the split and of the sampling; apart from the trial's seed, so that
            all seeds of an arm are tested on the same images.
    """

    source: Source = PhantomSource()
    split: Literal["official", "image", "product"] = "official"
    sampling: Literal["stratified", "plain"] = "stratified"
    train_size: Size = "all"
    validation_size: Annotated[int, Field(ge=0)] | Literal["all"] = "all"
    test_size: Size = "all"
    split_seed: int = Field(default=0, ge=0)


class TrainSpec(Settings):
    """How a model is trained.

    Args:
        optimizer: Keras optimiser.
        learning_rate: Its learning rate; 5e-3 in the paper (§4.3).
        batch_size: Images a step (ledger row 3).
        epochs: Largest number of passes over the training images (ledger row 4).
        patience: Stop once the validation loss has not fallen for this many epochs; left out or
            null trains all epochs.
        tempo: Landmark update ratio r: the landmark branch is updated at every batch, the rest at
            each r-th (§4.5, ledger row 9). Only for models with a landmark branch.
        landmark_weight: Weight of the landmark loss beside the classification loss. Only for
            models with a landmark branch.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=5e-3, gt=0, le=10, allow_inf_nan=False)
    batch_size: int = Field(default=32, ge=1)
    epochs: int = Field(default=50, ge=1)
    patience: int | None = Field(default=None, ge=1)
    tempo: int | None = Field(default=None, ge=1)
    landmark_weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class TrialSpec(Settings):
    """One training run, whole: everything that decides its numbers but the data itself.

    Args:
        data: Images.
        model: Model and its settings.
        train: Training; null for a model that is not trained.
        seed: Seed of the initial weights and of the order of the images.
    """

    data: DataSpec = DataSpec()
    model: ModelSettings
    train: TrainSpec | None
    seed: int = Field(default=0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _nothing_ignored(self) -> TrialSpec:
        kind = self.model.kind
        if not self.model.has_backbone:
            if self.train is not None:
                raise _ignored("train", f"the model {kind} is not trained: leave `train` null")
            return self
        if self.train is None:
            raise _ignored("train", f"the model {kind} is trained: `train` must not be null")
        for name in ("tempo", "landmark_weight"):
            given = getattr(self.train, name) is not None
            if given and not self.model.has_landmarks:
                raise _ignored(
                    f"train.{name}",
                    f"the model {kind} has no landmark branch and would ignore train.{name}",
                )
            if not given and self.model.has_landmarks:
                raise _ignored(f"train.{name}", f"the model {kind} needs train.{name}")
        if self.train.patience is not None and self.data.validation_size == 0:
            raise _ignored(
                "train.patience",
                "train.patience watches the validation loss, and data.validation_size is 0",
            )
        return self


def _ignored(path: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("ignored_setting", "{message}", {"message": message, "path": path})


def canonical(spec: TrialSpec) -> dict[str, Any]:
    """The spec as plain data in which equal trials are equal.

    A weights file counts by its content: its path is replaced by a hash of the file.

    Raises:
        BenchError: The weights file is not there.
    """
    plain = spec.model_dump(mode="json")
    backbone = plain["model"].get("backbone")
    if backbone and backbone["weights"] not in BACKBONES[backbone["name"]].weights:
        backbone["weights"] = "sha256:" + file_digest(Path(backbone["weights"]))
    return plain


def trial_id(spec: TrialSpec, fingerprint: str) -> str:
    """A trial's identity: 16 hexadecimal digits from its content.

    Args:
        spec: The trial.
        fingerprint: Fingerprint of the data it runs on.
    """
    content = {"spec": canonical(spec), "data": fingerprint, "semantics": SEMANTICS}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits.

    Raises:
        BenchError: There is no such file.
    """
    if not path.is_file():
        raise BenchError(
            f"no weights file at {path}",
            fix="give the path of a Keras weights file (.weights.h5 or .h5), or a named set",
        )
    stat = path.stat()
    return _digest(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
