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
from bench.store.phone import FormName, Latency, PairedScores
from bench.store.record import TrialRecord
from bench.study.trial import TrialSpec
from bench.train.latency import interpreter, measure_latency, processors

CALIBRATION = 100
"""Training images that the scales of full integers are found on."""

BATCH = 32

Answers = dict[str, np.ndarray]
"""Output of a model -> its values for every test image."""


def calibration_images(spec: TrialSpec, manifest: Manifest, side: int) -> np.ndarray:
    """The first of a trial's training images, `(n, side, side, 3)` uint8, as a model takes them."""
    paths = [str(manifest.paths[row]) for row in split_of(spec, manifest).train[:CALIBRATION]]
    pixels, unreadable = decode_batch(manifest.root, paths, side, upright=manifest.upright)
    return _as_taken(np.delete(pixels, [row for row, _ in unreadable], axis=0))


def _test_images(root: Path, record: TrialRecord, rows: slice, side: int) -> np.ndarray:
    """Some of a trial's test images as a model takes them.

    Raises:
        BenchError: One cannot be read any more.
    """
    paths = record.predictions.images[rows]
    upright = turns_upright(record.data["source"])
    pixels, unreadable = decode_batch(root, paths, side, upright=upright)
    if unreadable:
        row, why = unreadable[0]
        raise BenchError(
            f"a test image cannot be read any more: {why}",
            where=str(root / str(paths[row])),
            fix="put the data back as it was",
        )
    return _as_taken(pixels)


def _as_taken(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * 255).astype(np.uint8)


def interpreters(files: dict[FormName, Path]) -> tuple[dict[FormName, Any], dict[FormName, str]]:
    """An interpreter a file, by XNNPACK where it takes the file, and what it says where not.

    It refuses some that LiteRT's plain kernels run, such as full integers of an output that hardly
    varies.
    """
    found: dict[FormName, Any] = {}
    refused: dict[FormName, str] = {}
    for form, path in files.items():
        try:
            found[form] = interpreter(path, processors())
        except RuntimeError as error:
            refused[form] = " ".join(str(error).split())
            found[form] = interpreter(path, processors(), xnnpack=False)
    return found, refused


def answers(
    model: Any, interpreters: dict[FormName, Any], record: TrialRecord, root: Path
) -> dict[str, Answers]:
    """What a model and its forms answer to the test images, from one pass over them.

    Args:
        model: The whole model.
        interpreters: Form -> LiteRT's interpreter of its file.
        record: The trial, which names the test images.
        root: Folder of the data.

    Returns:
        `keras` and each form -> its answers.

    Raises:
        BenchError: A test image cannot be read any more.
    """
    from bench.models.network import predict

    images, side = record.predictions.images, model.input.shape[1]
    runners = {form: one.get_signature_runner() for form, one in interpreters.items()}
    parts: dict[str, list[Answers]] = {name: [] for name in ("keras", *runners)}
    for begin in range(0, len(images), BATCH):
        batch = _test_images(root, record, slice(begin, begin + BATCH), side)
        parts["keras"].append(predict(model, batch))
        for form, run in runners.items():
            parts[form] += [run(image=batch[row : row + 1]) for row in range(len(batch))]
    return {
        name: {output: np.concatenate([part[output] for part in own]) for output in own[0]}
        for name, own in parts.items()
    }


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


def latencies(
    model: Any, path: Path, record: TrialRecord, root: Path, *, xnnpack: bool
) -> tuple[Latency, ...]:
    """A file's latency on the first test image: on one thread and on all, with XNNPACK and without.

    Args:
        model: The whole model.
        path: A file of it.
        record: The trial, which names the test images.
        root: Folder of the data.
        xnnpack: Whether XNNPACK takes the file; else without it alone.
    """
    image = _test_images(root, record, slice(1), model.input.shape[1])
    return tuple(
        measure_latency(path, image, threads, xnnpack=kernels)
        for kernels in ((True, False) if xnnpack else (False,))
        for threads in sorted({1, processors()})
    )
