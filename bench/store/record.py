"""What a finished trial is, and how it is written to a folder and read back.

trial.json           spec, metrics, timings, environment, data; checksums of itself and the others
history.parquet      epoch, split, metric, value
predictions.parquet  image, label, probabilities, one row a test image
landmarks.parquet    image, landmark, visibility, true and predicted places, size of the image
attributes.parquet   image, true answers, logits
detections.parquet   image, its size and domain, what is in it; boxes, masks, landmarks, vectors
gate.parquet         image, mean of the gate, energy passed, map
best.weights.h5      trained weights as Keras writes them, where they are kept; or last.weights.h5

Of compact copies, what a trial has in common with others lies beside them, once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.files.atomic import write_json
from bench.files.checksums import folder_checksums, with_checksum
from bench.metrics.detection import Detections, Item
from bench.store.tables import Column, Table, common_path


@dataclass(frozen=True)
class Predictions:
    """A model's predictions of the test images' categories.

    Args:
        images: `(n,)` paths relative to the data's root.
        labels: `(n,)` int, true categories.
        probabilities: `(n, classes)` float32.
    """

    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of the test images, true and predicted, as fractions of width and height.

    Args:
        images: `(n,)` paths.
        visibility: `(n, 8)` int8.
        true: `(n, 8, 2)` float32, NaN where absent.
        predicted: `(n, 8, 2)` float32; of landmark maps, by arg-max.
        soft: `(n, 8, 2)` float32, of landmark maps by soft-arg-max; None for places that are not
            read from maps, and in older records.
        sizes: `(n, 2)` int32, width and height of the images in pixels; None in older records.
    """

    images: np.ndarray
    visibility: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    soft: np.ndarray | None = None
    sizes: np.ndarray | None = None


@dataclass(frozen=True)
class AttributeRecord:
    """A model's predictions of the test images' attributes.

    Args:
        images: `(n,)` paths.
        names: The attributes' names.
        types: `(len(names),)` int8, by `bench.data.attributes.ATTRIBUTE_TYPES`.
        true: `(n, len(names))` int8: -1 no, 0 unknown, 1 yes.
        logits: `(n, len(names))` float16.
    """

    images: np.ndarray
    names: tuple[str, ...]
    types: np.ndarray
    true: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class GateRecord:
    """What a mask gate let pass of the test images.

    Args:
        images: `(n,)` paths.
        mean: `(n,)` float32, mean of the gate over places and channels.
        energy: `(n,)` float32, fraction of the feature map's sum of squares that passed.
        maps: `(n, h, w)` float16, mean of the gate over channels at each place.
    """

    images: np.ndarray
    mean: np.ndarray
    energy: np.ndarray
    maps: np.ndarray


Epoch = Literal["best", "last"]
"""The epoch whose weights are meant: of the lowest validation loss, or the last one."""

EPOCHS: tuple[Epoch, ...] = ("best", "last")


@dataclass(frozen=True)
class KeptWeights:
    """The weights of a trained network: of the head alone where its backbone is frozen.

    Args:
        epoch: The epoch that they are of.
        content: Bytes of the file that Keras' `save_weights` wrote.
    """

    epoch: Epoch
    content: bytes


def weights_name(epoch: Epoch) -> str:
    """Name of the file that an epoch's weights are kept in."""
    return f"{epoch}{WEIGHTS_SUFFIX}"


WEIGHTS_SUFFIX = ".weights.h5"


@dataclass(frozen=True)
class TrialRecord:
    """A finished trial.

    Args:
        id: Its identity (`bench.study.trial.trial_id`).
        spec: The trial's spec as plain data.
        data: `source`, `fingerprint`, `class_names`, `images` (split -> count), `train_counts`
            (training images per class), `unreadable` (paths left out), `release_differences` (how
            data in DeepFashion's layout differs from the official release; absent for others),
            `mean_position_error` (NE of always predicting the mean position; absent without
            landmarks).
        metrics: Test metrics by name (`bench.metrics.catalogue`).
        history: Rows of (epoch from 1, split `train` or `val`, metric, value).
        predictions: Predictions of the test images.
        landmarks: Test landmarks, None for a model without a landmark branch.
        attributes: Test attributes, None for a model that does not predict them.
        gate: What the gate let pass, None for a model without one.
        detections: What was detected in the test images, None for a model that detects nothing.
        weights: The trained weights; None where they are not kept, or were not asked for.
        timings: Seconds by phase.
        environment: Versions, hardware, weights' hash and the profile of the run.
    """

    id: str
    spec: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, float]
    history: list[tuple[int, str, str, float]]
    predictions: Predictions
    landmarks: Landmarks | None = None
    gate: GateRecord | None = None
    attributes: AttributeRecord | None = None
    detections: Detections | None = None
    weights: KeptWeights | None = None
    timings: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _History:
    epochs: Any
    splits: Any
    metrics: Any
    values: Any


_IMAGES = Column("image", "images", "string", common=True)

_HISTORY = Table(
    _History,
    (
        Column("epoch", "epochs", "int32"),
        Column("split", "splits", "string"),
        Column("metric", "metrics", "string"),
        Column("value", "values", "float64"),
    ),
)

_PREDICTIONS = Table(
    Predictions,
    (
        _IMAGES,
        Column("label", "labels", "int32", common=True),
        Column("probabilities", "probabilities"),
    ),
)


def _detections(*, items: np.ndarray, **arrays: Any) -> Detections:
    """Detections from their columns, of which `items` is the truth of each image as JSON."""
    truth = tuple(tuple(Item(**item) for item in json.loads(text)) for text in items.tolist())
    return Detections(truth=truth, **arrays)


_OPTIONAL: dict[str, Table[Any]] = {
    "landmarks": Table(
        Landmarks,
        (
            _IMAGES,
            Column("visibility", "visibility", common=True),
            Column("true", "true", shape=(-1, 2), common=True),
            Column("predicted", "predicted", shape=(-1, 2)),
            Column("soft", "soft", shape=(-1, 2)),
            Column("size", "sizes", common=True),
        ),
    ),
    "attributes": Table(
        AttributeRecord,
        (_IMAGES, Column("true", "true", common=True), Column("logits", "logits")),
        write_header=lambda record: {
            "attributes": json.dumps({"names": list(record.names), "types": record.types.tolist()})
        },
        read_header=lambda header: _attributes(json.loads(header["attributes"])),
    ),
    "gate": Table(
        GateRecord,
        (
            _IMAGES,
            Column("mean", "mean", "float32"),
            Column("energy", "energy", "float32"),
            Column("map", "maps", shape=("side", -1)),
        ),
        write_header=lambda record: {"side": str(record.maps.shape[1])},
    ),
    "detections": Table(
        _detections,
        (
            _IMAGES,
            Column("size", "sizes", common=True),
            Column("user", "users", "bool", common=True),
            Column("truth", "items", "string", common=True),
            Column("boxes", "boxes", shape=(-1, 4)),
            Column("scores", "scores"),
            Column("category", "category"),
            Column("masks", "masks", shape=("detections", "cells", "cells")),
            Column("points", "points", shape=("detections", -1, 2)),
            Column("vectors", "vectors", shape=("detections", -1)),
        ),
        write_header=lambda record: {
            "detections": str(record.scores.shape[1]),
            "cells": str(record.masks.shape[2]),
            "rank_weights": json.dumps(record.rank_weights.tolist()),
        },
        read_header=lambda header: {
            "rank_weights": np.array(json.loads(header["rank_weights"]), np.float32)
        },
    ),
}
"""Fields of a `TrialRecord` that may be None, each stored in a file of its name."""


def _attributes(about: dict[str, Any]) -> dict[str, Any]:
    return {"names": tuple(about["names"]), "types": np.array(about["types"], np.int8)}


def write_record(folder: Path, record: TrialRecord, common: Path | None = None) -> None:
    """Write a trial's files into a folder; `trial.json`, with the others' checksums, comes last.

    Args:
        folder: The folder.
        record: The trial.
        common: Folder for what it has in common with other trials; None for a folder that is whole.
    """
    columns = list(zip(*record.history, strict=True)) or [()] * 4
    _HISTORY.write(folder / "history.parquet", _History(*columns))
    tables: dict[str, Table[Any]] = {"predictions": _PREDICTIONS, **_OPTIONAL}
    apart = {}
    for name, table in tables.items():
        if getattr(record, name) is not None:
            file = folder / f"{name}.parquet"
            if (checksum := table.write(file, getattr(record, name), common)) is not None:
                apart[name] = checksum
    if record.weights is not None:
        (folder / weights_name(record.weights.epoch)).write_bytes(record.weights.content)
    write_json(
        folder / "trial.json",
        with_checksum(
            {
                "id": record.id,
                "spec": record.spec,
                "data": record.data,
                "metrics": record.metrics,
                "timings": record.timings,
                "environment": record.environment,
                "files": folder_checksums(folder),
            }
            | ({"common": apart} if apart else {})
        ),
    )


def read_record(
    folder: Path,
    plain: dict[str, Any],
    common: Path | None = None,
    *,
    gates: bool = True,
    weights: bool = False,
) -> TrialRecord:
    """A trial from its folder.

    Args:
        folder: The folder.
        plain: Its `trial.json`, parsed.
        common: Folder of what trials have in common, which a compact copy's lacks.
        gates: Whether to read what the gate let pass as well.
        weights: Whether to read the trained weights as well.
    """
    apart = {
        name: common_path(common, checksum)
        for name, checksum in plain.get("common", {}).items()
        if common is not None
    }
    history = _HISTORY.read(folder / "history.parquet")
    columns = (history.epochs, history.splits, history.metrics, history.values)
    optional = {
        name: table.read(folder / f"{name}.parquet", apart.get(name))
        for name, table in _OPTIONAL.items()
        if (gates or name != "gate") and (folder / f"{name}.parquet").is_file()
    }
    return TrialRecord(
        id=plain["id"],
        spec=plain["spec"],
        data=plain["data"],
        metrics={k: float("nan") if v is None else v for k, v in plain["metrics"].items()},
        history=list(zip(*(column.tolist() for column in columns), strict=True)),
        predictions=_PREDICTIONS.read(folder / "predictions.parquet", apart.get("predictions")),
        weights=_kept_weights(folder, plain) if weights else None,
        timings=plain["timings"],
        environment=plain["environment"],
        **optional,
    )


def _kept_weights(folder: Path, plain: dict[str, Any]) -> KeptWeights | None:
    for epoch in EPOCHS:
        name = weights_name(epoch)
        if name in plain.get("files", {}):
            return KeptWeights(epoch, (folder / name).read_bytes())
    return None
