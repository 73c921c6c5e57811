"""What a trial is: typed, validated, and identified by its content."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from bench.errors import BenchError
from bench.study.settings.data import DataSpec
from bench.study.settings.training import EvalSpec, LandmarkSpec, PoseSpec, TrainSpec
from bench.systems.registry import BACKBONES, GATES
from bench.systems.settings import (
    ADDED,
    ModelSettings,
    Prior,
    RopaNet,
    Settings,
    as_identified,
    unused_setting,
)

SEMANTICS = 4
"""Raised by hand whenever the same spec would give other numbers than before, be it through other
phantom weights, which are made anew with it."""


class TrialSpec(Settings):
    """One training run, whole: everything that decides its numbers but the data itself.

    Args:
        data: Images.
        model: Model and its settings.
        landmarks: Supervision of RopaNet's landmark branch; null for a model without one.
        pose: Supervision of FashionNet; null for another model.
        train: Training; null for a model that is not trained.
        eval: Scoring.
        seed: Seed of the initial weights and of the order of the images.
    """

    data: DataSpec = DataSpec()
    model: ModelSettings
    landmarks: LandmarkSpec | None = None
    pose: Annotated[PoseSpec | None, ADDED] = None
    train: TrainSpec | None
    eval: EvalSpec = EvalSpec()
    seed: int = Field(default=0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _nothing_ignored(self) -> TrialSpec:
        kind, train = self.model.kind, self.train
        needed = self.model.supervision
        if needed is not None and getattr(self, needed) is None:
            raise unused_setting(
                needed, f"the model {kind} has a landmark branch and needs {needed}"
            )
        if self.pose is not None and needed != "pose":
            raise unused_setting(
                "pose", f"the model {kind} has no pose branch and would ignore pose"
            )
        if self.landmarks is not None:
            self._landmarks_have_effect(self.landmarks)
        if self.eval.split == "validation" and self.data.validation_size == 0:
            raise unused_setting(
                "eval.split",
                "eval.split: validation scores the validation images, and data.validation_size "
                "is 0",
            )
        if isinstance(self.model, Prior):
            if train is not None:
                raise unused_setting(
                    "train", f"the model {kind} is not trained: leave `train` null"
                )
            if self.eval.protocol == "last_batch":
                raise unused_setting(
                    "eval.protocol", f"the model {kind} has no batches: only whole_split"
                )
            return self
        if train is None:
            raise unused_setting("train", f"the model {kind} is trained: `train` must not be null")
        for name in ("patience", "selection"):
            watched = getattr(train, name) not in (None, "last")
            if watched and self.data.validation_size == 0:
                raise unused_setting(
                    f"train.{name}",
                    f"train.{name} watches the validation loss, and data.validation_size is 0",
                )
        if train.augmentation is not None and self.model.backbone.frozen:
            raise unused_setting(
                "train.augmentation",
                "a frozen backbone is applied once to each image as it is and would ignore "
                "train.augmentation: set model.backbone.trainable",
            )
        return self

    def _landmarks_have_effect(self, landmarks: LandmarkSpec) -> None:
        model, kind = self.model, self.model.kind
        if not isinstance(model, RopaNet):
            raise unused_setting(
                "landmarks", f"the model {kind} has no landmark maps and would ignore landmarks"
            )
        if model.local == "landmark_pooling":
            self._points_can_be_pooled_at(landmarks)
        if landmarks.steps == "separate" and not GATES[model.gate].trained_by_classification:
            raise unused_setting(
                "landmarks.steps",
                f"the classification loss does not reach the mask through the gate {model.gate}, "
                "which would ignore landmarks.steps: separate",
            )
        if landmarks.counters == "shared" and self.train and self.train.optimizer != "adam":
            raise unused_setting(
                "landmarks.counters",
                f"{self.train.optimizer} does not use its step count and would ignore "
                "landmarks.counters: shared",
            )
        if model.gate_sparsity and not landmarks.trained:
            raise unused_setting(
                "model.gate_sparsity",
                "the mask is not trained at landmarks.update_ratio 0, which would ignore "
                "model.gate_sparsity",
            )

    @staticmethod
    def _points_can_be_pooled_at(landmarks: LandmarkSpec) -> None:
        needed = {"steps": "joint", "rescaling": "own_size"}
        for name, value in needed.items():
            if getattr(landmarks, name) != value:
                raise unused_setting(
                    f"landmarks.{name}",
                    "pooling around landmarks (model.local) takes places on the feature map from "
                    f"one landmark branch, and needs landmarks.{name}: {value}",
                )


def canonical(spec: TrialSpec) -> dict[str, Any]:
    """The spec as plain data in which equal trials are equal.

    A weights file counts by its content: its path is replaced by a hash of the file. A balancing
    rule's usual strength counts as if it were written out. A setting that was added later counts
    only where it is not at its default.

    Raises:
        BenchError: The weights file is not there.
    """
    plain = as_identified(spec)
    backbone = plain["model"].get("backbone")
    if backbone and backbone["weights"] not in BACKBONES[backbone["name"]].weights:
        backbone["weights"] = "sha256:" + file_digest(Path(backbone["weights"]))
    if spec.train is not None:
        plain["train"]["balancing_strength"] = spec.train.strength
    return plain


NOT_COMPILED = ("learning_rate", "batch_size", "epochs", "patience", "selection")
"""Settings of the training that no compiled step holds."""


def compiled_parts(spec: TrialSpec) -> dict[str, Any]:
    """What of a trial a compiled step holds: trials alike in it can share one.

    Neither its data, its seed nor how long and how fast it is trained.
    """
    plain = canonical(spec)
    train = plain["train"] or {}
    return {
        "model": plain["model"],
        "landmarks": plain["landmarks"],
        "pose": plain.get("pose"),
        "train": {name: value for name, value in train.items() if name not in NOT_COMPILED},
    }


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
