"""One trial, a pure function: a spec and its data in, a record out.

No globals, no clock in the numbers, no randomness outside the spec's seeds. Runs in a notebook as
well as under the engine.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bench
from bench.data.attributes import Attributes, data_identity, load_attributes
from bench.data.manifest import Manifest
from bench.data.split import Split
from bench.data.trial_split import split_of
from bench.errors import BenchError
from bench.metrics.catalogue import scored
from bench.metrics.gates import PassedByImage
from bench.metrics.landmarks import mean_position_error
from bench.metrics.outcomes import LandmarkPlaces
from bench.models.network import BuiltModel, ModelInputs, seed_layers
from bench.store.features import FeatureReader, FeatureStore, feature_key, weights_digest
from bench.store.record import AttributeRecord, GateRecord, Landmarks, Predictions, TrialRecord
from bench.study.trial import SEMANTICS, TrialSpec, trial_id
from bench.systems.registry import BALANCING, load
from bench.systems.settings import Prior

if TYPE_CHECKING:
    from bench.train.batches import Source
    from bench.train.checkpoint import Checkpoints
    from bench.train.compiled import Compiled

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrialContext:
    """Where a trial finds what its spec speaks of.

    Args:
        manifest: The data.
        cache: Cache folder, with the features of every image that the trial needs.
        provenance: What the record's environment should say beside versions and hardware, such
            as the profile.
        checkpoints: Where the trial keeps how far it is, and goes on from; None for nowhere. They
            change when a trial ends, never what it gives.
        compiled: What trials of one shape share (`bench.train.compiled`), which changes how fast a
            trial is trained and nothing else; None for a plain Keras `fit`.
    """

    manifest: Manifest
    cache: Path
    provenance: tuple[tuple[str, Any], ...] = ()
    checkpoints: Checkpoints | None = None
    compiled: Compiled | None = None


def run_trial(
    spec: TrialSpec, context: TrialContext, progress: Progress | None = None
) -> TrialRecord:
    """Train and test one trial.

    Args:
        spec: The trial.
        context: Its data and features.
        progress: Called with (epochs done, most epochs) after each epoch.

    Raises:
        BenchError: The data cannot give what the spec asks for.
        FloatingPointError: The loss became NaN or infinite.
    """
    manifest = context.manifest
    started = time.perf_counter()
    split = split_of(spec, manifest)
    unreadable: list[dict[str, str]] = []
    if isinstance(spec.model, Prior):
        outcome = _answer_prior(manifest, split)
    else:
        attributes = load_attributes(manifest) if spec.model.reads_attributes else None
        backbone = spec.model.backbone
        key = feature_key(backbone, context.cache, manifest.fingerprint)
        reader = FeatureStore(context.cache, key).reader()
        split, unreadable = _readable(split, reader, manifest)
        data = _Data(manifest, split, _source(spec, reader), attributes)
        outcome = _train(spec, data, context, progress)
        outcome.environment["backbone_weights"] = weights_digest(backbone, context.cache)
    labels = manifest.category[split.test].astype(np.int64)
    images = manifest.paths[split.test]
    batch_size = spec.train.batch_size if spec.train else 1
    evaluation = spec.eval.model_dump(mode="json")
    true, visibility = manifest.landmarks[split.test], manifest.visibility[split.test]
    places = outcome.landmarks
    metrics = scored(
        outcome.probabilities,
        labels,
        evaluation,
        batch_size,
        None if places is None else LandmarkPlaces(places, true, visibility),
    )
    return TrialRecord(
        id=trial_id(spec, data_identity(spec, manifest)),
        spec=spec.model_dump(mode="json"),
        data=_describe_data(manifest, split, unreadable),
        metrics=metrics | outcome.metrics,
        history=outcome.history,
        predictions=Predictions(images, labels, outcome.probabilities.astype(np.float32)),
        landmarks=(
            None
            if places is None
            else Landmarks(
                images, visibility, true, places, outcome.soft, manifest.image_size[split.test]
            )
        ),
        attributes=outcome.attributes,
        gate=None if outcome.gate is None else GateRecord(images, *outcome.gate),
        timings=outcome.timings | {"total": time.perf_counter() - started},
        environment=_environment() | outcome.environment | dict(context.provenance),
    )


@dataclass(frozen=True)
class _Outcome:
    probabilities: np.ndarray
    metrics: dict[str, float]
    history: list[tuple[int, str, str, float]]
    landmarks: np.ndarray | None
    timings: dict[str, float]
    environment: dict[str, Any]
    gate: PassedByImage | None = None
    soft: np.ndarray | None = None
    attributes: AttributeRecord | None = None


@dataclass(frozen=True)
class _Data:
    manifest: Manifest
    split: Split
    source: Source
    attributes: Attributes | None


def _answer_prior(manifest: Manifest, split: Split) -> _Outcome:
    answer = load(Prior.build)(manifest.category[split.train], len(manifest.class_names))
    probabilities = np.tile(answer, (len(split.test), 1))
    return _Outcome(probabilities, {}, [], None, {}, {})


def _train(
    spec: TrialSpec, data: _Data, context: TrialContext, progress: Progress | None
) -> _Outcome:
    import keras

    from bench.train.balance import Balance, attribute_weights
    from bench.train.batches import Batches, LandmarkMaps, Pose, TrainingBatches, annotation_of
    from bench.train.compiled import shape_of
    from bench.train.evaluate import evaluate
    from bench.train.fitting import compile_network, fit, history_rows
    from bench.train.precision import computing_in

    manifest, split, source, attributes = data.manifest, data.split, data.source, data.attributes
    train = spec.train
    assert train is not None, "the spec admits no trained model without training"
    classes = len(manifest.class_names)
    # A backbone that is trained is a network of its trial's own.
    compiled = context.compiled if source.of_maps else None
    counts = np.bincount(manifest.category[split.train], minlength=classes)
    balance: Balance = load(BALANCING[train.balancing].build)(counts, train.strength)
    pose, of_attributes = None, None
    if spec.pose is not None:
        pose = Pose(spec.pose, None if attributes is None else attributes.answers)
        if attributes is not None:
            of_attributes = attribute_weights(
                attributes.answers[split.train], spec.pose.attribute_balance
            )

    def build() -> BuiltModel:
        keras.backend.clear_session(free_memory=compiled is None)
        keras.utils.set_random_seed(spec.seed)
        with computing_in(train.precision):
            inputs, backbone_layers = _stem(spec, source, context.cache)
            if attributes is not None:
                inputs = replace(inputs, attributes=len(attributes.names))
            built: BuiltModel = load(spec.model.build)(spec, inputs, classes)
        _begin(built, backbone_layers, spec.seed)
        compile_network(built, spec, balance, classes, of_attributes)
        return built

    if compiled is None:
        network = build()
    else:
        shape = shape_of(spec, balance, counts, of_attributes)
        network = compiled.network(shape, spec, build)
    maps = None
    if network.landmark_side is not None and spec.landmarks is not None:
        maps = LandmarkMaps(network.landmark_side, spec.landmarks)
    common: dict[str, Any] = {"batch_size": train.batch_size, "maps": maps, "pose": pose}

    validation = Batches(source, split.val, manifest, **common) if len(split.val) else None
    training = TrainingBatches(
        source,
        split.train,
        manifest,
        seed=spec.seed,
        balance=balance,
        augmentation=train.augmentation,
        **common,
    )
    begun = time.perf_counter()
    logs = fit(
        network,
        training,
        validation,
        train,
        trial=trial_id(spec, data_identity(spec, manifest)),
        compiled=compiled,
        checkpoints=context.checkpoints,
        progress=progress,
    )
    trained = time.perf_counter()
    answer = evaluate(network, Batches(source, split.test, manifest, **common))
    landmarks, soft = answer.places(annotation_of(manifest, split.test), maps)
    shadows = sum(int(np.prod(shadow.shape)) for _, shadow in network.shadows)
    return _Outcome(
        answer.probabilities,
        answer.metrics,
        history_rows(logs),
        landmarks,
        {"train": trained - begun, "test": time.perf_counter() - trained},
        {
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "parameters": int(network.model.count_params()) - shadows,
        },
        answer.gate,
        soft,
        _attribute_record(answer.attributes, attributes, manifest, split),
    )


def _attribute_record(
    logits: np.ndarray | None, attributes: Attributes | None, manifest: Manifest, split: Split
) -> AttributeRecord | None:
    if logits is None or attributes is None:
        return None
    return AttributeRecord(
        manifest.paths[split.test],
        attributes.names,
        attributes.types,
        attributes.answers[split.test],
        logits.astype(np.float16),
    )


def _stem(spec: TrialSpec, source: Source, cache: Path) -> tuple[ModelInputs, list[Any]]:
    """What the model is built on, maps or the backbone itself; and the backbone's layers."""
    import keras

    from bench.models.backbones import train_last
    from bench.train.extract import open_backbone

    backbone = spec.model.backbone  # type: ignore[union-attr]
    if backbone.frozen:
        features = keras.Input(source.reader.shape, name="features")
        return ModelInputs(features, features), []
    model = open_backbone(backbone, cache)
    train_last(model, backbone.trainable)
    return ModelInputs(model.input, model.output), list(model.layers)


def _begin(network: BuiltModel, backbone_layers: list[Any], seed: int) -> None:
    """Initial weights of everything above the backbone."""
    import keras

    below = {id(layer) for layer in backbone_layers}
    seed_layers((layer for layer in network.model.layers if id(layer) not in below), seed)
    for variable, shadow in network.shadows:
        # A copy: on JAX, two variables of one buffer cannot be given to a step.
        shadow.assign(keras.ops.copy(variable.value))


def _source(spec: TrialSpec, reader: FeatureReader) -> Source:
    from bench.train.batches import Source
    from bench.train.extract import scaling_of

    backbone = spec.model.backbone  # type: ignore[union-attr]
    return Source(reader, None if backbone.frozen else scaling_of(backbone))


def _readable(
    split: Split, reader: FeatureReader, manifest: Manifest
) -> tuple[Split, list[dict[str, str]]]:
    """The split without the images that could not be decoded, and those images."""
    bad = reader.unreadable
    named = [
        {"image": str(manifest.paths[row]), "reason": bad[int(row)]}
        for rows in (split.train, split.val, split.test)
        for row in rows
        if int(row) in bad
    ]
    if not named:
        return split, []
    kept = [
        rows[[int(row) not in bad for row in rows]] for rows in (split.train, split.val, split.test)
    ]
    if not len(kept[0]) or not len(kept[2]):
        raise BenchError(
            "no training or no test image can be read",
            where=str(manifest.root),
            fix="see `bench data check DIR --decode`",
        )
    return Split(*kept), named


def _describe_data(
    manifest: Manifest, split: Split, unreadable: list[dict[str, str]]
) -> dict[str, Any]:
    classes = len(manifest.class_names)
    described: dict[str, Any] = {
        "source": manifest.source,
        "fingerprint": manifest.fingerprint,
        "class_names": list(manifest.class_names),
        "images": {"train": len(split.train), "val": len(split.val), "test": len(split.test)},
        "train_counts": np.bincount(manifest.category[split.train], minlength=classes).tolist(),
        "unreadable": unreadable,
    }
    if manifest.has_landmarks:
        described["mean_position_error"] = mean_position_error(
            manifest.landmarks[split.train],
            manifest.visibility[split.train],
            manifest.landmarks[split.test],
            manifest.visibility[split.test],
        )
    return described


def _environment() -> dict[str, Any]:
    return {
        "bench": bench.__version__,
        "semantics": SEMANTICS,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
