"""What a run would do: which trials, which of them are in the store, which features they share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from bench.data.attributes import data_identity
from bench.data.manifest import Manifest
from bench.data.sources import data_label
from bench.data.split import split_of
from bench.errors import BenchError
from bench.store.features import FeatureStore, feature_key
from bench.store.record import Epoch
from bench.store.studies import (
    RecordedArm,
    RecordedAxis,
    RecordedData,
    RecordedLook,
    RecordedUntil,
    StudyRecord,
)
from bench.store.trials import Store
from bench.store.weights import weights_path
from bench.study.cost import (
    backbone_flops,
    largest_training,
    trial_bytes,
    trial_flops,
    weights_bytes,
)
from bench.study.design import Design
from bench.study.presets import profile_settings
from bench.study.settings.data import DataSpec
from bench.study.study import USUAL_MARGIN, KeepModels
from bench.study.trial import SEMANTICS, TrialSpec, trial_id
from bench.systems.registry import BACKBONES
from bench.systems.settings import BackboneSettings

MEASURED_TRIALS = 500
"""At most so many finished trials are read for their time."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial of a study.

    Args:
        id: Its identity.
        arm: Name of its arm.
        seed: Its seed.
        spec: What it trains.
        stored: Whether it is finished, in any study.
        keep: The epoch whose weights are kept with it; None for none.
    """

    id: str
    arm: str
    seed: int
    spec: TrialSpec
    stored: bool
    keep: Epoch | None = None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.arm}, seed {self.seed}"


@dataclass(frozen=True)
class FeatureNeed:
    """Feature maps that a study's trials share.

    Args:
        backbone: The backbone's settings.
        rows: Rows of the manifest, ascending.
        arithmetic: How its maps are computed.
        missing: How many of them are not on disk yet.
        bytes_to_write: Disk space that those will take.
    """

    backbone: BackboneSettings
    rows: np.ndarray
    arithmetic: str
    missing: int
    bytes_to_write: int


def planned(design: Design, manifest: Manifest, store: Store) -> Iterator[PlannedTrial]:
    """A study's trials, lazily, seeds outermost."""
    for arm, _, spec in design.trials():
        yield planned_trial(arm.name, spec, manifest, store, design.keep_models)


def planned_trial(
    arm: str, spec: TrialSpec, manifest: Manifest, store: Store, keep_models: KeepModels = "none"
) -> PlannedTrial:
    """A trial of an arm, looked up in the store; one that trains nothing keeps no weights.

    Raises:
        BenchError: Its best epoch's weights are to be kept, and no validation tells which it is.
    """
    keep = None if spec.train is None or keep_models == "none" else keep_models
    if keep == "best" and spec.data.validation_size == 0:
        raise BenchError(
            "the best epoch is that of the lowest validation loss, and data.validation_size is 0",
            where=f"keep_models, {arm}",
            fix="keep the `last` epoch's weights, or validate on some images",
        )
    identity = trial_id(spec, data_identity(spec, manifest))
    return PlannedTrial(identity, arm, spec.seed, spec, store.has(identity), keep)


def feature_needs(specs: Iterable[TrialSpec], manifest: Manifest, cache: Path) -> list[FeatureNeed]:
    """The feature maps that some trials need, one entry a backbone and arithmetic.

    Raises:
        BenchError: The data cannot give what a spec asks for.
    """
    rows: dict[tuple[BackboneSettings, str], set[int]] = {}
    seen: set[tuple[Any, bool, bool, DataSpec, int, str, str | None]] = set()
    for spec in specs:
        backbone = spec.model.feature_extractor
        drawn = (spec.data, spec.seed_of("sampling"), spec.eval.split)
        asked = (backbone, spec.model.has_landmarks, spec.model.of_items, *drawn, spec.arithmetic)
        if asked in seen:
            continue
        seen.add(asked)
        split = split_of(spec, manifest)
        if backbone is None or spec.arithmetic is None:
            continue
        for part in (split.train, split.val, split.test):
            rows.setdefault((backbone, spec.arithmetic), set()).update(part.tolist())
    return [_need(*asked, wanted, manifest, cache) for asked, wanted in rows.items()]


def drop_damaged(
    needs: Sequence[FeatureNeed], manifest: Manifest, cache: Path
) -> tuple[list[str], list[FeatureNeed]]:
    """Compare the features on disk with their checksums; damaged ones count as missing again.

    Returns:
        Names of the shards dropped, and the needs as they are then.
    """
    dropped = [
        shard
        for need in needs
        for shard in _features(need.backbone, need.arithmetic, manifest, cache).verify()
    ]
    if not dropped:
        return [], list(needs)
    return dropped, [
        _need(n.backbone, n.arithmetic, set(n.rows.tolist()), manifest, cache) for n in needs
    ]


def unprepared(needs: Sequence[FeatureNeed]) -> list[FeatureNeed]:
    """Those whose features or weights are missing, and must be made."""
    return [need for need in needs if need.missing or not _weights_ready(need.backbone)]


def _weights_ready(backbone: BackboneSettings) -> bool:
    path = weights_path(backbone)
    return path is None or path.is_file()


def _features(
    backbone: BackboneSettings, arithmetic: str, manifest: Manifest, cache: Path
) -> FeatureStore:
    return FeatureStore(cache, feature_key(backbone, manifest.fingerprint, arithmetic))


def _need(
    backbone: BackboneSettings, arithmetic: str, rows: set[int], manifest: Manifest, cache: Path
) -> FeatureNeed:
    missing = len(_features(backbone, arithmetic, manifest, cache).missing(list(rows)))
    entry = BACKBONES[backbone.name]
    map_bytes = 4 * entry.channels * entry.map_side(backbone.side) ** 2
    image_bytes = map_bytes if backbone.frozen else 3 * backbone.side**2
    return FeatureNeed(backbone, np.array(sorted(rows)), arithmetic, missing, missing * image_bytes)


def study_record(
    design: Design,
    trials: Iterable[PlannedTrial],
    manifest: Manifest,
    bench_version: str,
    *,
    until: RecordedUntil | None = None,
    looks: Sequence[RecordedLook] = (),
) -> StudyRecord:
    """Which trials a study's arms are made of, as the store keeps it for the report.

    Args:
        design: The study.
        trials: Its trials so far.
        manifest: Its data.
        bench_version: Version of the bench.
        until: How it goes on until it is settled.
        looks: The looks at it so far.
    """
    arms = list(design.arms())
    identities: dict[str, dict[int, str]] = {arm.name: {} for arm in arms}
    for trial in trials:
        identities[trial.arm][trial.seed] = trial.id
    study = design.study
    description = str(profile_settings(design.profile)["description"])
    if design.scale is not None:
        description += f"; {design.scale}"
    return StudyRecord(
        name=study.name,
        title=study.title or study.name,
        description=study.description.strip(),
        profile=design.profile,
        profile_description=description
        if design.scale is None
        else f"{description}; {design.scale}",
        data=RecordedData(
            source=manifest.source,
            label=data_label(manifest),
            fingerprint=manifest.fingerprint,
            root=str(manifest.root.resolve()),
            class_counts=tuple(manifest.class_counts),
            class_names=tuple(manifest.class_names),
            release_differences=manifest.release_differences,
        ),
        design=design.kind,
        axes=tuple(
            RecordedAxis(axis.name, tuple(level.label for level in axis.levels))
            for axis in design.axes
        ),
        control=design.control.name,
        seeds=(
            tuple(design.seeds)
            if until is None
            else tuple(sorted({seed for arm in identities.values() for seed in arm}))
        ),
        reproduces=tuple(study.reproduces),
        margin=USUAL_MARGIN if isinstance(study.margin, dict) else study.margin,
        margins=study.margin if isinstance(study.margin, dict) else {},
        arms=tuple(
            RecordedArm(arm.name, arm.levels, identities[arm.name], arm.against) for arm in arms
        ),
        bench_version=bench_version,
        semantics=SEMANTICS,
        question=study.question.strip(),
        answers={
            arm: {str(verdict): meaning for verdict, meaning in meanings.items()}
            for arm, meanings in study.answers.items()
        },
        until=until,
        looks=tuple(looks),
    )


@dataclass(frozen=True)
class Cost:
    """What the missing trials of a plan would take.

    Args:
        trial_flops: Floating-point operations of training and testing, at most.
        feature_flops: Those of the features that are not on disk yet.
        feature_bytes: Disk space of those features.
        trial_bytes: Disk space of the trials' records, before compression.
        model_bytes: Disk space of the weights that are kept with them.
        seconds: Training time on this machine, one trial after another, at the rate of finished
            trials in the store; None where none of them is like these.
        sampled: Number of trials it was estimated from; None for all of them.
        training_bytes: GPU memory of the largest trial; 0 where none may use one, None where it is
            not known.
    """

    trial_flops: float
    feature_flops: float
    feature_bytes: int
    trial_bytes: float
    model_bytes: float
    seconds: float | None
    sampled: int | None = None
    training_bytes: float | None = 0.0


def cost_of(
    trials: Sequence[PlannedTrial], needs: Sequence[FeatureNeed], manifest: Manifest, store: Store
) -> Cost:
    """What the missing ones of some trials would take."""
    missing = [trial for trial in trials if not trial.stored]
    classes = len(manifest.class_names)
    rates = measured_rates(store)
    flops, size, models, seconds = 0.0, 0.0, 0.0, 0.0
    known = True
    for trial in missing:
        images = sizes_of(trial.spec, manifest)
        own = trial_flops(trial.spec, images, classes)
        flops += own
        size += trial_bytes(trial.spec, images, classes)
        models += weights_bytes(trial.spec, classes) if trial.keep else 0
        rate = rates.get(_like(trial.spec.model.model_dump(mode="json")))
        known = known and (rate is not None or own == 0)
        seconds += (rate or 0.0) * own
    return Cost(
        trial_flops=flops,
        feature_flops=sum(need.missing * backbone_flops(need.backbone) for need in needs),
        feature_bytes=sum(need.bytes_to_write for need in needs),
        trial_bytes=size,
        model_bytes=models,
        seconds=seconds if known else None,
        training_bytes=largest_training([trial.spec for trial in missing], classes),
    )


def sizes_of(spec: TrialSpec, manifest: Manifest) -> dict[str, int]:
    """Images by part, without making the split: what is asked for, or at most what there is."""
    named = {
        "train": spec.data.train_size,
        "val": spec.data.validation_size,
        "test": spec.data.test_size if spec.eval.split == "test" else spec.data.validation_size,
    }
    return {part: len(manifest) if size == "all" else int(size) for part, size in named.items()}


def measured_rates(store: Store) -> dict[str, float]:
    """Seconds an operation of finished trials, the median, by kind of model and backbone."""
    rates: dict[str, list[float]] = {}
    for identity in itertools.islice(store.ids(), MEASURED_TRIALS):
        done = store.summary(identity)
        seconds = done["timings"].get("total")
        try:
            spec = TrialSpec.model_validate(done["spec"])
        except ValidationError:
            continue  # a record of an older version, whose settings had other names
        flops = trial_flops(spec, done["data"]["images"], len(done["data"]["class_names"]))
        if seconds and flops:
            rates.setdefault(_like(done["spec"]["model"]), []).append(seconds / flops)
    return {like: float(np.median(values)) for like, values in rates.items()}


def _like(model: dict[str, Any]) -> str:
    backbone = model.get("backbone") or {}
    return f"{model['kind']}/{backbone.get('name')}/{backbone.get('trainable')}"
