"""A model in LiteRT's forms beside itself in Keras, on the images of its trial.

Light until a model is run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.images import decode_batch
from bench.data.manifest import Manifest, turns_upright
from bench.data.split import split_of
from bench.errors import BenchError
from bench.metrics.catalogue import COMPARED
from bench.store.outcomes import stored_outcomes
from bench.store.phone import Latency, PairedScores
from bench.store.record import TrialRecord
from bench.study.trial import TrialSpec
from bench.train.litert_process import Answers, measure_latency, processors

CALIBRATION = 100
"""Training images that the scales of full integers are found on."""

BATCH = 32


def calibration_images(spec: TrialSpec, manifest: Manifest, side: int) -> np.ndarray:
    """The first of a trial's training images, `(n, side, side, 3)` uint8, as a model takes them."""
    paths = [str(manifest.paths[row]) for row in split_of(spec, manifest).train[:CALIBRATION]]
    pixels, unreadable = decode_batch(manifest.root, paths, side, upright=manifest.upright)
    return _as_taken(np.delete(pixels, [row for row, _ in unreadable], axis=0))


def write_test_images(path: Path, record: TrialRecord, root: Path, side: int) -> None:
    """Write a trial's test images as a model takes them: a NumPy file, `(n, side, side, 3)` uint8.

    Args:
        path: The file.
        record: The trial, which names them.
        root: Folder of the data.
        side: Side of the model's images.

    Raises:
        BenchError: One cannot be read any more.
    """
    named, upright = record.predictions.images, turns_upright(record.data["source"])
    given = np.lib.format.open_memmap(path, "w+", np.uint8, (len(named), side, side, 3))
    for begin in range(0, len(named), BATCH):
        paths = named[begin : begin + BATCH]
        pixels, unreadable = decode_batch(root, paths, side, upright=upright)
        if unreadable:
            row, why = unreadable[0]
            raise BenchError(
                f"a test image cannot be read any more: {why}",
                where=str(root / str(paths[row])),
                fix="put the data back as it was",
            )
        given[begin : begin + BATCH] = _as_taken(pixels)
    given.flush()


def _as_taken(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * 255).astype(np.uint8)


def answers_of_model(model: Any, images: Path) -> Answers:
    """What the whole model answers to images in a NumPy file."""
    from bench.models.network import predict

    given = np.load(images, mmap_mode="r", allow_pickle=False)
    parts = [predict(model, given[begin : begin + BATCH]) for begin in range(0, len(given), BATCH)]
    return {output: np.concatenate([part[output] for part in parts]) for output in parts[0]}


def changed(keras: Answers, litert: Answers) -> float:
    """Share of images whose most probable class is another than in Keras."""
    one, other = (found["probabilities"].argmax(axis=1) for found in (keras, litert))
    return float(np.mean(one != other))


def paired_scores(record: TrialRecord, keras: Answers, litert: Answers) -> dict[str, PairedScores]:
    """Every metric that arms are compared in and that is a mean over images, by image."""
    outcomes = [stored_outcomes(_answering(record, answers)) for answers in (keras, litert)]
    scores = {}
    for metric in COMPARED.values():
        if metric.per_image is None:
            continue
        before, after = (metric.per_image(one) for one in outcomes)
        if before is not None and after is not None:
            scores[metric.name] = PairedScores(_plain(before), _plain(after))
    return scores


def _plain(values: np.ndarray) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)


def _answering(record: TrialRecord, answers: dict[str, np.ndarray]) -> TrialRecord:
    """The trial as if its model had given these answers."""
    predictions = replace(record.predictions, probabilities=answers["probabilities"])
    landmarks = record.landmarks
    if landmarks is not None:  # a plug-in's model may give none
        given = answers.get("landmarks")
        landmarks = None if given is None else replace(landmarks, predicted=given)
    return replace(record, predictions=predictions, landmarks=landmarks)


def latencies(path: Path, images: Path, *, xnnpack: bool) -> tuple[Latency, ...]:
    """A file's latency on the first image: on one thread and on all, with XNNPACK and without.

    Args:
        path: The file.
        images: NumPy's file of test images.
        xnnpack: Whether XNNPACK takes the file; else without it alone.

    Raises:
        NotRunError: It does not run.
    """
    image = np.array(np.load(images, mmap_mode="r", allow_pickle=False)[:1])
    return tuple(
        measure_latency(path, image, threads, xnnpack=kernels)
        for kernels in ((True, False) if xnnpack else (False,))
        for threads in sorted({1, processors()})
    )
