"""What a trial is: typed, validated, and identified by its content."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import core_schema

from bench.study.settings.data import DataSpec
from bench.study.settings.training import NOT_PORTABLE, EvalSpec, TrainSpec
from bench.systems.fashionnet.settings import PoseSpec
from bench.systems.registry import SYSTEMS, load, load_plugins
from bench.systems.ropanet.settings import LandmarkSpec
from bench.systems.settings import ADDED, Settings, SystemSettings, as_identified, unused_setting

SEMANTICS = 5
"""Raised by hand whenever the same spec would give other numbers than before."""

SUPERVISIONS = ("landmarks", "pose")
"""Fields of a trial that say how a system is supervised beside the category. A system that needs
none of them, and is supervised all the same, has its own among its settings."""


USUALLY_VARIES = ("weights", "order")
VARIES = (*USUALLY_VARIES, "sampling")
"""What a seed can change."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """In one order, so that the order of writing is no part of a trial."""
    if not names:
        raise unused_setting(
            "vary", "vary names nothing: all seeds would be the same trial; it takes one or more "
            f"of {', '.join(VARIES)}",
        )  # fmt: skip
    for name in names:
        if names.count(name) > 1:
            raise unused_setting("vary", f"vary names {name} twice")
    return tuple(name for name in VARIES if name in names)


Varies = Annotated[
    tuple[Literal["weights", "order", "sampling"], ...],
    Field(strict=False),
    AfterValidator(_each_once),
]


def system_settings() -> dict[str, type[SystemSettings]]:
    """The settings' class of every system, plug-ins among them, by its `kind`.

    Raises:
        BenchError: A plug-in cannot be imported.
    """
    load_plugins()
    return {kind: load(system.settings) for kind, system in SYSTEMS.items()}  # type: ignore[misc]


class _AnySystem:
    """Validates settings as those of the registered system that their `kind` names."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        choices = {kind: handler.generate_schema(cls) for kind, cls in system_settings().items()}
        return core_schema.tagged_union_schema(choices, discriminator="kind")


class TrialSpec(Settings):
    """One training run, whole: everything that decides its numbers but the data itself.

    Args:
        data: Images.
        model: The system and its settings.
        landmarks: Supervision of RopaNet's landmark branch; null for a system without one.
        pose: Supervision of FashionNet; null for another system.
        train: Training; null for a system that is not trained.
        eval: Scoring.
        seed: Seed of what `vary` names.
        vary: What differs between seeds: `weights`, the initial ones, with a network's dropout;
            `order`, of the training images, with their augmentation; `sampling`, which images are
            trained on, validated on and tested on, and how images are divided where they have no
            official partition. What is left out is at every seed as it is at seed 0.
    """

    # Built when it is first used: plug-ins are imported then, and not by whoever imports this.
    model_config = ConfigDict(defer_build=True)

    data: DataSpec = DataSpec()
    model: Annotated[SystemSettings, _AnySystem()]
    landmarks: LandmarkSpec | None = None
    pose: Annotated[PoseSpec | None, ADDED] = None
    train: TrainSpec | None
    eval: EvalSpec = EvalSpec()
    seed: int = Field(default=0, ge=0, lt=2**31)
    vary: Annotated[Varies, ADDED] = USUALLY_VARIES  # type: ignore[assignment]

    def seed_of(self, what: str) -> int:
        """The seed of something that `vary` can name; 0 where it does not."""
        return self.seed if what in self.vary else 0

    @property
    def arithmetic(self) -> str | None:
        """How it computes: `portable`, `native`, or another backend than TensorFlow by its name.

        None for a trial that trains nothing. Trials that differ in it have processes of their own.
        """
        if self.train is None:
            return None
        on_tensorflow = self.train.backend == "tensorflow"
        return self.train.arithmetic if on_tensorflow else self.train.backend

    @property
    def supervision(self) -> Settings | None:
        """How the system is supervised beside the category; None where a trial does not say."""
        name = self.model.supervision
        return None if name is None else getattr(self, name)

    @model_validator(mode="after")
    def _nothing_ignored(self) -> TrialSpec:
        self._supervision_has_effect()
        if self.eval.split == "validation" and self.data.validation_size == 0:
            raise unused_setting(
                "eval.split",
                "eval.split: validation scores the validation images, and data.validation_size "
                "is 0",
            )
        self._sampling_has_effect()
        if self.model.of_items:
            self._is_of_items()
        if not self.model.trained:
            self._nothing_is_trained()
        else:
            self._training_has_effect()
        return self

    def _sampling_has_effect(self) -> None:
        data = self.data
        whole = {data.train_size, data.test_size, data.validation_size or "all"} == {"all"}
        if "sampling" in self.vary and data.split == "official" and whole:
            raise unused_setting(
                "vary",
                "vary: sampling draws images from the official pools, and data.train_size, "
                "data.validation_size and data.test_size take all of each",
            )

    def _is_of_items(self) -> None:
        """Of what is set for one category an image, nothing may be: it would be ignored."""
        kind, train = self.model.kind, self.train
        set_otherwise = {
            "train.balancing": train is not None and train.balancing != "none",
            "train.augmentation": train is not None and train.augmentation is not None,
            "eval.protocol": self.eval.protocol != "whole_split",
        }
        for path, other in set_otherwise.items():
            if other:
                raise unused_setting(
                    path, f"the model {kind} is trained on garments in images, not on one category "
                    f"an image, and would ignore {path}",
                )  # fmt: skip

    def _supervision_has_effect(self) -> None:
        kind, needed = self.model.kind, self.model.supervision
        if needed is not None and getattr(self, needed) is None:
            raise unused_setting(
                needed, f"the model {kind} has a landmark branch and needs {needed}"
            )
        for name in SUPERVISIONS:
            if name != needed and getattr(self, name) is not None:
                raise unused_setting(
                    name, f"the model {kind} is not trained on {name} and would ignore {name}"
                )
        if needed is not None:
            optimizer = self.train.optimizer if self.train is not None else None
            self.model.check_supervision(getattr(self, needed), optimizer)

    def _nothing_is_trained(self) -> None:
        kind = self.model.kind
        if self.vary != USUALLY_VARIES and "sampling" not in self.vary:
            raise unused_setting(
                "vary", f"the model {kind} is not trained: of what vary can name, only sampling "
                "changes it",
            )  # fmt: skip
        if self.train is not None:
            raise unused_setting("train", f"the model {kind} is not trained: leave `train` null")
        if self.eval.protocol == "last_batch":
            raise unused_setting(
                "eval.protocol", f"the model {kind} has no batches: only whole_split"
            )

    def _training_has_effect(self) -> None:
        train, backbone = self.train, self.model.feature_extractor
        if train is None:
            raise unused_setting(
                "train", f"the model {self.model.kind} is trained: `train` must not be null"
            )
        if (
            train.arithmetic == "portable"
            and backbone is not None
            and backbone.precision != "float32"
        ):
            raise unused_setting("model.backbone.precision", f"{backbone.precision} {NOT_PORTABLE}")
        for name in ("patience", "selection"):
            watched = getattr(train, name) not in (None, "last")
            if watched and self.data.validation_size == 0:
                raise unused_setting(
                    f"train.{name}",
                    f"train.{name} watches the validation loss, and data.validation_size is 0",
                )
        if train.augmentation is not None and (backbone is None or backbone.frozen):
            raise unused_setting(
                "train.augmentation",
                "a frozen backbone is applied once to each image as it is and would ignore "
                "train.augmentation: set model.backbone.trainable",
            )


def canonical(spec: TrialSpec) -> dict[str, Any]:
    """The spec as plain data in which equal trials are equal.

    Weights count by their content: a file's path, and the name of a set, are replaced by a digest.
    A balancing rule's usual strength counts as if it were written out. A setting that was added
    later counts only where it is not at its default.

    Raises:
        BenchError: The weights file is not there.
    """
    plain = as_identified(spec)
    backbone = spec.model.feature_extractor
    if backbone is not None:
        weights = {"weights": backbone.weights_digest}
        plain["model"]["backbone"] = as_identified(backbone) | weights
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
        **{name: plain.get(name) for name in SUPERVISIONS},
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
