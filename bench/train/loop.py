"""One trial, a pure function: a spec and its data in, a record out.

No globals, no clock in the numbers, no randomness outside the spec's seeds. Runs in a notebook as
well as under the engine.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bench
from bench.data.manifest import Manifest
from bench.data.split import Split
from bench.errors import BenchError
from bench.features import FeatureKey, FeatureReader, FeatureStore, feature_key
from bench.models.network import Network
from bench.models.registry import load
from bench.models.settings import Prior
from bench.spec import SEMANTICS, TrainSpec, TrialSpec, trial_id
from bench.store import Landmarks, Predictions, TrialRecord
from bench.train.evaluate import evaluate
from bench.train.metrics import classification, mean_position_error, normalised_error
from bench.train.splits import split_of

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrialContext:
    """Where a trial finds what its spec speaks of.

    Args:
        manifest: The data.
        cache: Cache folder, with the features of every image that the trial needs.
        provenance: What the record's environment should say beside versions and hardware, such
            as the profile.
    """

    manifest: Manifest
    cache: Path
    provenance: tuple[tuple[str, Any], ...] = ()


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
        key = feature_key(spec.model.backbone, context.cache, manifest.fingerprint)
        reader = FeatureStore(context.cache, key).reader()
        split, unreadable = _readable(split, reader, manifest)
        outcome = _train(spec, manifest, split, reader, key, progress)
    labels = manifest.category[split.test].astype(np.int64)
    images = manifest.paths[split.test]
    metrics = classification(outcome.probabilities, labels) | outcome.metrics
    return TrialRecord(
        id=trial_id(spec, manifest.fingerprint),
        spec=spec.model_dump(mode="json"),
        data=_describe_data(manifest, split, unreadable),
        metrics=metrics,
        history=outcome.history,
        predictions=Predictions(images, labels, outcome.probabilities.astype(np.float32)),
        landmarks=(
            None
            if outcome.landmarks is None
            else Landmarks(
                images,
                manifest.visibility[split.test],
                manifest.landmarks[split.test],
                outcome.landmarks,
            )
        ),
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


def _answer_prior(manifest: Manifest, split: Split) -> _Outcome:
    answer = load(Prior.build)(manifest.category[split.train], len(manifest.class_names))
    probabilities = np.tile(answer, (len(split.test), 1))
    return _Outcome(probabilities, {}, [], None, {}, {})


def _train(
    spec: TrialSpec,
    manifest: Manifest,
    split: Split,
    reader: FeatureReader,
    key: FeatureKey,
    progress: Progress | None,
) -> _Outcome:
    import keras

    from bench.train.batches import FeatureBatches

    assert spec.train is not None, "the spec admits no trained model without training"
    keras.backend.clear_session()
    keras.utils.set_random_seed(spec.seed)
    network: Network = load(spec.model.build)(spec.model, reader.shape, len(manifest.class_names))
    _compile(network, spec.train, len(manifest.class_names))

    def batches(rows: np.ndarray, shuffle_seed: int | None = None) -> Any:
        return FeatureBatches(
            reader,
            rows,
            manifest,
            batch_size=spec.train.batch_size if spec.train else 1,
            landmark_side=network.landmark_side,
            shuffle_seed=shuffle_seed,
        )

    begun = time.perf_counter()
    history = network.model.fit(
        batches(split.train, spec.seed),
        validation_data=batches(split.val) if len(split.val) else None,
        epochs=spec.train.epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(_callbacks(spec.train, progress)),
    )
    trained = time.perf_counter()
    answer = evaluate(network, batches(split.test))
    metrics = dict(answer.metrics)
    if answer.landmarks is not None:
        metrics["landmark_ne"] = normalised_error(
            answer.landmarks, manifest.landmarks[split.test], manifest.visibility[split.test]
        )
    return _Outcome(
        answer.probabilities,
        metrics,
        _history_rows(history.history),
        answer.landmarks,
        {"train": trained - begun, "test": time.perf_counter() - trained},
        {
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "parameters": int(network.model.count_params()),
            "backbone_weights": key.weights,
        },
    )


def _compile(network: Network, train: TrainSpec, classes: int) -> None:
    import keras

    from bench.models.losses import LandmarkLoss
    from bench.train.tempo import Group, Tempo

    def optimizer() -> Any:
        kind = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[train.optimizer]
        return kind(learning_rate=train.learning_rate)

    loss: dict[str, Any] = {
        "category": keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    }
    weights = {"category": 1.0}
    chosen = optimizer()
    if network.landmark_variables:
        assert train.tempo is not None and train.landmark_weight is not None
        loss["landmarks"] = LandmarkLoss()
        weights["landmarks"] = train.landmark_weight
        landmark = {id(variable) for variable in network.landmark_variables}
        rest = [v for v in network.model.trainable_variables if id(v) not in landmark]
        chosen = Tempo(
            optimizer, [Group(network.landmark_variables), Group(rest, every=train.tempo)]
        )
    top = {k: keras.metrics.SparseTopKCategoricalAccuracy(k, name=f"top_{k}") for k in (3, 5)}
    network.model.compile(
        chosen,
        loss=loss,
        loss_weights=weights,
        metrics={
            "category": [
                keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
                *(metric for k, metric in top.items() if k <= classes),
            ]
        },
        jit_compile=False,
    )


def _callbacks(train: TrainSpec, progress: Progress | None) -> Iterator[Any]:
    import keras

    yield keras.callbacks.LambdaCallback(on_epoch_end=_stop_at_nan)
    if train.patience is not None:
        yield keras.callbacks.EarlyStopping(monitor="val_loss", patience=train.patience)
    if progress is not None:
        yield keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: progress(epoch + 1, train.epochs)
        )


def _stop_at_nan(epoch: int, logs: dict[str, float]) -> None:
    if not np.isfinite(logs["loss"]):
        raise FloatingPointError(f"the training loss became {logs['loss']} in epoch {epoch + 1}")


def _history_rows(history: dict[str, list[float]]) -> list[tuple[int, str, str, float]]:
    rows = []
    for name, values in history.items():
        split = "val" if name.startswith("val_") else "train"
        metric = name.removeprefix("val_")
        if metric != "category_loss":
            metric = metric.removeprefix("category_")
        rows += [(epoch, split, metric, float(v)) for epoch, v in enumerate(values, start=1)]
    return rows


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
    }
