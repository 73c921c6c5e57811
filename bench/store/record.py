"""What a finished trial is, and how it is laid down in a folder and read back.

trial.json           spec, metrics, timings, environment, data; checksums of itself and the others
history.parquet      epoch, split, metric, value
predictions.parquet  image, label, probabilities, one row a test image
landmarks.parquet    image, landmark, visibility, true and predicted places, size of the image
attributes.parquet   image, true answers, logits
gate.parquet         image, mean of the gate, energy passed, map
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.files.checksums import folder_checksums, with_checksum


@dataclass(frozen=True)
class Predictions:
    """What a model answered on the test images.

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
    """Where a model put the landmarks of the test images, as shares of width and height.

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
    """What a model said of the test images' attributes.

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
    """What a mask gate let through of the test images.

    Args:
        images: `(n,)` paths.
        mean: `(n,)` float32, mean of the gate over places and channels.
        energy: `(n,)` float32, share of the feature map's sum of squares that passed.
        maps: `(n, h, w)` float16, mean of the gate over channels at each place.
    """

    images: np.ndarray
    mean: np.ndarray
    energy: np.ndarray
    maps: np.ndarray


@dataclass(frozen=True)
class TrialRecord:
    """A finished trial.

    Args:
        id: Its identity (`bench.study.trial.trial_id`).
        spec: The trial's spec as plain data.
        data: `source`, `fingerprint`, `class_names`, `images` (split -> count), `train_counts`
            (training images per class), `unreadable` (paths left out),
            `mean_position_error` (NE of always answering the mean position; absent without
            landmarks).
        metrics: Test metrics by name (`bench.metrics.catalogue`).
        history: Rows of (epoch from 1, split `train` or `val`, metric, value).
        predictions: Test answers.
        landmarks: Test landmarks, None for a model without a landmark branch.
        attributes: Test attributes, None for a model that does not predict them.
        gate: What the gate let through, None for a model without one.
        timings: Seconds by phase.
        environment: Versions, hardware, weights' hash and the profile it ran under.
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
    timings: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


def write_record(folder: Path, record: TrialRecord) -> None:
    """Lay a trial down in a folder; its `trial.json` comes last and makes it a whole one."""
    import pyarrow as pa

    epochs, splits, metrics, values = (
        zip(*record.history, strict=True) if record.history else [()] * 4
    )
    _write_table(
        folder / "history.parquet",
        pa.table(
            {
                "epoch": pa.array(epochs, pa.int32()),
                "split": pa.array(splits, pa.string()),
                "metric": pa.array(metrics, pa.string()),
                "value": pa.array(values, pa.float64()),
            }
        ),
    )
    said = record.predictions
    _write_table(
        folder / "predictions.parquet",
        pa.table(
            {
                "image": pa.array([str(path) for path in said.images], pa.string()),
                "label": pa.array(said.labels, pa.int32()),
                "probabilities": _rows(said.probabilities),
            }
        ),
    )
    if record.landmarks is not None:
        put = record.landmarks
        columns = {
            "image": pa.array([str(path) for path in put.images], pa.string()),
            "visibility": _rows(put.visibility),
            "true": _rows(put.true.reshape(len(put.true), -1)),
            "predicted": _rows(put.predicted.reshape(len(put.predicted), -1)),
        }
        if put.soft is not None:
            columns["soft"] = _rows(put.soft.reshape(len(put.soft), -1))
        if put.sizes is not None:
            columns["size"] = _rows(put.sizes)
        _write_table(folder / "landmarks.parquet", pa.table(columns))
    if record.attributes is not None:
        answered = record.attributes
        about = {"names": list(answered.names), "types": answered.types.tolist()}
        _write_table(
            folder / "attributes.parquet",
            pa.table(
                {
                    "image": pa.array([str(path) for path in answered.images], pa.string()),
                    "true": _rows(answered.true),
                    "logits": _rows(answered.logits),
                },
                metadata={"attributes": json.dumps(about)},
            ),
        )
    if record.gate is not None:
        gate = record.gate
        _write_table(
            folder / "gate.parquet",
            pa.table(
                {
                    "image": pa.array([str(path) for path in gate.images], pa.string()),
                    "mean": pa.array(gate.mean, pa.float32()),
                    "energy": pa.array(gate.energy, pa.float32()),
                    "map": _rows(gate.maps.reshape(len(gate.maps), -1)),
                },
                metadata={"side": str(gate.maps.shape[1])},
            ),
        )
    # Written last: a folder with a trial.json is a whole one, even in drafts/.
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
        ),
    )
    sync(folder)


def read_record(folder: Path, plain: dict[str, Any], *, gates: bool = True) -> TrialRecord:
    """A trial from its folder.

    Args:
        folder: The folder.
        plain: Its `trial.json`, parsed.
        gates: Whether to read what the gate let through as well.
    """
    history = _read_table(folder / "history.parquet").to_pydict()
    said = _read_table(folder / "predictions.parquet")
    landmarks = None
    if (folder / "landmarks.parquet").is_file():
        put = _read_table(folder / "landmarks.parquet")
        landmarks = Landmarks(
            images=_texts(put["image"]),
            visibility=_matrix(put["visibility"]),
            true=_matrix(put["true"]).reshape(len(put), -1, 2),
            predicted=_matrix(put["predicted"]).reshape(len(put), -1, 2),
            soft=(
                _matrix(put["soft"]).reshape(len(put), -1, 2)
                if "soft" in put.column_names
                else None
            ),
            sizes=_matrix(put["size"]) if "size" in put.column_names else None,
        )
    attributes = None
    if (folder / "attributes.parquet").is_file():
        answered = _read_table(folder / "attributes.parquet")
        about = json.loads(answered.schema.metadata[b"attributes"])
        attributes = AttributeRecord(
            images=_texts(answered["image"]),
            names=tuple(about["names"]),
            types=np.array(about["types"], np.int8),
            true=_matrix(answered["true"]),
            logits=_matrix(answered["logits"]),
        )
    gate = None
    if gates and (folder / "gate.parquet").is_file():
        passed = _read_table(folder / "gate.parquet")
        side = int(passed.schema.metadata[b"side"])
        gate = GateRecord(
            images=_texts(passed["image"]),
            mean=passed["mean"].to_numpy(),
            energy=passed["energy"].to_numpy(),
            maps=_matrix(passed["map"]).reshape(len(passed), side, -1),
        )
    return TrialRecord(
        id=plain["id"],
        spec=plain["spec"],
        data=plain["data"],
        metrics={k: float("nan") if v is None else v for k, v in plain["metrics"].items()},
        history=list(
            zip(
                history["epoch"],
                history["split"],
                history["metric"],
                history["value"],
                strict=True,
            )
        ),
        predictions=Predictions(
            images=_texts(said["image"]),
            labels=said["label"].to_numpy(),
            probabilities=_matrix(said["probabilities"]),
        ),
        landmarks=landmarks,
        gate=gate,
        attributes=attributes,
        timings=plain["timings"],
        environment=plain["environment"],
    )


def _rows(matrix: np.ndarray) -> Any:
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1), from_pandas=False)
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _matrix(column: Any) -> np.ndarray:
    rows = column.combine_chunks()
    return rows.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)


def _texts(column: Any) -> np.ndarray:
    """A column of text; trials tested on the same images share one array, read-only."""
    rows = column.combine_chunks()
    _, offsets, text = rows.buffers()
    return _shared_texts(len(rows), offsets.to_pybytes(), text.to_pybytes() if text else b"")


@lru_cache(maxsize=64)
def _shared_texts(rows: int, offsets: bytes, text: bytes) -> np.ndarray:
    import pyarrow as pa

    column = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
    texts = np.array(column.to_pylist(), dtype=object)
    texts.setflags(write=False)
    return texts


def _write_table(path: Path, table: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [
        f"{field.name}.list.element" if pa.types.is_fixed_size_list(field.type) else field.name
        for field in table.schema
    ]
    # No two probabilities are alike: they compress by their bytes' places, not by a dictionary.
    split = [name for name in names if name.startswith("probabilities.")]
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=[name for name in names if name not in split],
        use_byte_stream_split=split,
    )
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The files are small: threads and reading ahead would only cost.
    return pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)


def write_json(path: Path, plain: Any, *, sort_keys: bool = True) -> None:
    """Write JSON whole or not at all (NaN becomes null, as JSON has none)."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(_without_nan(plain), file, indent=1, sort_keys=sort_keys, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _without_nan(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _without_nan(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_without_nan(value) for value in plain]
    if isinstance(plain, float) and not np.isfinite(plain):
        return None
    return plain


def sync(folder: Path) -> None:
    """Make sure that a folder's entries are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
