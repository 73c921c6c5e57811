"""One trial, a pure function: a spec and its data in, a record out.

No globals, no clock in the numbers, no randomness outside the spec's seeds. Runs in a notebook as
well as under the engine.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bench
from bench.data.attributes import Attributes, data_identity, load_attributes
from bench.data.ground_truth import ground_truth
from bench.data.manifest import Manifest
from bench.data.split import Split, split_of
from bench.errors import BenchError
from bench.metrics.catalogue import scored
from bench.metrics.detection import Detections
from bench.metrics.gates import PassedByImage
from bench.metrics.landmarks import mean_position_error
from bench.metrics.outcomes import LandmarkPlaces
from bench.models.network import BuiltModel, ModelInputs
from bench.models.supervision import Answers
from bench.store.features import FeatureReader, FeatureStore, feature_key
from bench.store.record import (
    AttributeRecord,
    Epoch,
    GateRecord,
    KeptWeights,
    Landmarks,
    Predictions,
    TrialRecord,
)
from bench.study.trial import SEMANTICS, TrialSpec, trial_id
from bench.systems.registry import BALANCING, load
from bench.systems.settings import BackboneSettings
from bench.train.arithmetic import check_arithmetic, hardware

if TYPE_CHECKING:
    from bench.train.balance import Balance
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
        keep: The epoch whose trained weights are part of the record; None for none.
    """

    manifest: Manifest
    cache: Path
    provenance: tuple[tuple[str, Any], ...] = ()
    checkpoints: Checkpoints | None = None
    compiled: Compiled | None = None
    keep: Epoch | None = None


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
    identity = trial_id(spec, data_identity(spec, manifest))
    split = split_of(spec, manifest)
    unreadable: list[dict[str, str]] = []
    if spec.model.trained:
        data, unreadable = _opened(spec, split, context)
        split = data.split
        outcome = _train(identity, spec, data, context, progress)
    else:
        answer = load(spec.model.network)(manifest.category[split.train], len(manifest.class_names))
        outcome = _Outcome(_of_images(manifest, split, np.tile(answer, (len(split.test), 1))))
    images, labels, probabilities = outcome.answers
    batch_size = spec.train.batch_size if spec.train else 1
    evaluation = spec.eval.model_dump(mode="json")
    landmarks = outcome.landmarks
    places = None
    if landmarks is not None:
        places = LandmarkPlaces(landmarks.predicted, landmarks.true, landmarks.visibility)
    metrics = scored(probabilities, labels, evaluation, batch_size, places, outcome.detections)
    return TrialRecord(
        id=identity,
        spec=spec.model_dump(mode="json"),
        data=_describe_data(manifest, split, unreadable),
        metrics=metrics | outcome.metrics,
        history=outcome.history,
        predictions=Predictions(images, labels, probabilities.astype(np.float32)),
        landmarks=landmarks,
        attributes=outcome.attributes,
        detections=outcome.detections,
        gate=None if outcome.gate is None else GateRecord(images, *outcome.gate),
        weights=outcome.weights,
        timings=outcome.timings | {"total": time.perf_counter() - started},
        environment=_environment() | outcome.environment | dict(context.provenance),
    )


@dataclass(frozen=True)
class _Outcome:
    """What training and testing gave; all but the answers only of a trained system."""

    answers: Answers
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[tuple[int, str, str, float]] = field(default_factory=list)
    landmarks: Landmarks | None = None
    attributes: AttributeRecord | None = None
    detections: Detections | None = None
    gate: PassedByImage | None = None
    weights: KeptWeights | None = None
    timings: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Data:
    """What a system is trained and tested on."""

    manifest: Manifest
    split: Split
    source: Source
    attributes: Attributes | None

    @property
    def classes(self) -> int:
        return len(self.manifest.class_names)

    @cached_property
    def counts(self) -> np.ndarray:
        """`(classes,)` training images of each class, or garments in them."""
        return self.manifest.counts_of(self.split.train)

    @cached_property
    def attribute_counts(self) -> np.ndarray | None:
        return None if self.attributes is None else self.attributes.counts(self.split.train)


def _opened(
    spec: TrialSpec, split: Split, context: TrialContext
) -> tuple[_Data, list[dict[str, str]]]:
    """The features and attributes of a trial's images, and the images that cannot be read."""
    from bench.train.batches import Source
    from bench.train.extract import scaling_of

    manifest, backbone = context.manifest, _backbone(spec)
    attributes = load_attributes(manifest) if spec.model.reads_attributes else None
    assert spec.arithmetic is not None, "the spec admits no trained model without training"
    check_arithmetic(spec.arithmetic)
    key = feature_key(backbone, manifest.fingerprint, spec.arithmetic)
    reader = FeatureStore(context.cache, key).reader()
    split, unreadable = _readable(split, reader, manifest)
    source = Source(reader, None if backbone.frozen else scaling_of(backbone))
    return _Data(manifest, split, source, attributes), unreadable


def _backbone(spec: TrialSpec) -> BackboneSettings:
    backbone = spec.model.feature_extractor
    if backbone is None:
        raise BenchError(
            f"the system {spec.model.kind} is trained, and has no backbone",
            fix="give its settings a `backbone`",
        )
    return backbone


def _train(
    identity: str,
    spec: TrialSpec,
    data: _Data,
    context: TrialContext,
    progress: Progress | None,
) -> _Outcome:
    import keras

    from bench.train.batches import Batches, Examples, TrainingBatches
    from bench.train.evaluate import evaluate
    from bench.train.fitting import fit, history_rows
    from bench.train.weights import kept_weights

    manifest, split, train = data.manifest, data.split, spec.train
    assert train is not None, "the spec admits no trained model without training"
    balance: Balance = load(BALANCING[train.balancing].build)(data.counts, train.strength)
    # A backbone that is trained is a network of its trial's own.
    compiled = context.compiled if data.source.of_maps else None
    network = _network(spec, data, balance, compiled)

    attributes = None if data.attributes is None else data.attributes.answers
    examples = Examples(data.source, manifest, train.batch_size, network.supervision, attributes)
    order = spec.seed_of("order")
    training = TrainingBatches(
        examples, split.train, seed=order, balance=balance, augmentation=train.augmentation
    )
    begun = time.perf_counter()
    fitted = fit(
        network,
        training,
        Batches(examples, split.val) if len(split.val) else None,
        train,
        trial=identity,
        keep=context.keep,
        compiled=compiled,
        checkpoints=context.checkpoints,
        progress=progress,
    )
    trained = time.perf_counter()
    result = evaluate(network, Batches(examples, split.test))
    known, paths = ground_truth(manifest, split.test), manifest.paths[split.test]
    if result.probabilities is None:
        answers = network.supervision.answers(result.observed, known, paths)
    else:
        answers = _of_images(manifest, split, result.probabilities)
    landmarks = _landmark_record(network, result.observed, manifest, split)
    shadows = sum(int(np.prod(shadow.shape)) for _, shadow in network.shadows)
    return _Outcome(
        answers,
        result.metrics,
        history_rows(fitted.logs),
        landmarks,
        _attribute_record(network.supervision.attributes(result.observed), data),
        network.supervision.detections(result.observed, known, paths),
        result.gate,
        kept_weights(network.model, context.keep, fitted.other),
        {"train": trained - begun, "test": time.perf_counter() - trained},
        {
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "parameters": int(network.model.count_params()) - shadows,
            "backbone_weights": _backbone(spec).weights_digest,
            "backbone_images_per_second": data.source.reader.images_per_second,
        }
        | hardware(),
    )


def _network(
    spec: TrialSpec, data: _Data, balance: Balance, compiled: Compiled | None
) -> BuiltModel:
    """The trial's network at its beginning: its own, or one of the same shape that is kept."""
    import keras

    from bench.train.compiled import shape_of
    from bench.train.fitting import compile_network
    from bench.train.precision import computing_in

    train = spec.train
    assert train is not None, "the spec admits no trained model without training"

    def build() -> BuiltModel:
        keras.backend.clear_session(free_memory=compiled is None)
        keras.utils.set_random_seed(spec.seed_of("weights"))
        with computing_in(train.precision):
            inputs, below = _inputs(spec, data)
            built: BuiltModel = load(spec.model.network)(spec.model, spec.supervision, inputs)
        built.start(spec.seed_of("weights"), below)
        compile_network(built, train, balance, data.classes)
        return built

    if compiled is None:
        return build()
    shape = shape_of(spec, balance, data.counts, data.attribute_counts)
    return compiled.network(shape, spec, build)


def _inputs(spec: TrialSpec, data: _Data) -> tuple[ModelInputs, list[Any]]:
    """What the model is built on, maps or the backbone itself; and the backbone's layers."""
    import keras

    from bench.models.backbones import train_last
    from bench.train.extract import open_backbone

    backbone = _backbone(spec)
    if backbone.frozen:
        features = keras.Input(data.source.reader.shape, name="features")
        return ModelInputs(features, features, data.classes, data.attribute_counts), []
    model = open_backbone(backbone)
    train_last(model, backbone.trainable)
    inputs = ModelInputs(model.input, model.output, data.classes, data.attribute_counts)
    return inputs, list(model.layers)


def _of_images(manifest: Manifest, split: Split, probabilities: np.ndarray) -> Answers:
    """What is said of the test images, each of which has one category."""
    test = split.test
    return Answers(manifest.paths[test], manifest.category[test].astype(np.int64), probabilities)


def _landmark_record(
    network: BuiltModel, observed: dict[str, np.ndarray], manifest: Manifest, split: Split
) -> Landmarks | None:
    """Where the test images' landmarks are predicted; None for a system without them."""
    truth = ground_truth(manifest, split.test)
    places = network.supervision.places(observed, truth)
    if places is None:
        return None
    predicted, soft = places
    return Landmarks(
        manifest.paths[split.test],
        truth.visibility,
        truth.landmarks,
        predicted,
        soft,
        truth.image_size,
    )


def _attribute_record(logits: np.ndarray | None, data: _Data) -> AttributeRecord | None:
    attributes, test = data.attributes, data.split.test
    if logits is None or attributes is None:
        return None
    return AttributeRecord(
        data.manifest.paths[test],
        attributes.names,
        attributes.types,
        attributes.answers[test],
        logits.astype(np.float16),
    )


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
    described: dict[str, Any] = {
        "source": manifest.source,
        "fingerprint": manifest.fingerprint,
        "class_names": list(manifest.class_names),
        "images": {"train": len(split.train), "val": len(split.val), "test": len(split.test)},
        "train_counts": manifest.counts_of(split.train).tolist(),
        "unreadable": unreadable,
    }
    if manifest.release_differences is not None:
        described["release_differences"] = list(manifest.release_differences)
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
