"""A stored trial's test outcomes, and its value of any metric."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from bench.metrics.catalogue import scores
from bench.metrics.classification import scored_rows
from bench.metrics.detection import Detections
from bench.metrics.outcomes import LandmarkPlaces, Outcomes, outcomes_of
from bench.store.record import TrialRecord
from bench.store.trials import Store


def stored_score(store: Store, identity: str, metric: str) -> float | None:
    """A finished trial's value of a metric, computed where it was not known in training.

    Args:
        store: The store.
        identity: The trial.
        metric: Metric name.

    Returns:
        None where the trial does not have it, or it is no number.

    Raises:
        BenchError: The trial cannot be read.
    """
    known = store.summary(identity)["metrics"]
    if metric not in known:
        record = store.read(identity, gates=False)
        known = scores(stored_outcomes(record), record.spec.get("eval", {}))
    value = known.get(metric)
    return float(value) if value is not None and np.isfinite(value) else None


def stored_outcomes(record: TrialRecord) -> Outcomes:
    """A stored trial's outcomes on the test images that its evaluation protocol scores."""
    rows, predictions = scored_images(record), record.predictions
    return outcomes_of(
        predictions.probabilities[rows],
        predictions.labels.astype(np.int64)[rows],
        _landmark_places(record),
        record.detections,
    )


def scored_images(record: TrialRecord) -> slice:
    """Which of its test images a trial's evaluation protocol scores."""
    protocol = record.spec.get("eval", {}).get("protocol", "whole_split")
    batch_size = (record.spec.get("train") or {}).get("batch_size", 1)
    return scored_rows(len(record.predictions.labels), protocol, batch_size)


def light_outcomes(store: Store, record: TrialRecord, outcomes: Outcomes) -> Outcomes:
    """Outcomes without what is large, which is read from the store again where it is needed.

    Args:
        store: The store.
        record: The trial.
        outcomes: Its outcomes.
    """
    return replace(
        outcomes,
        probabilities=partial(_probabilities, store, record.id),
        places=partial(_places, store, record.id),
        detections=partial(_detections, store, record.id),
    )


def _probabilities(store: Store, identity: str) -> np.ndarray:
    record = store.read(identity, gates=False)
    return record.predictions.probabilities[scored_images(record)]


def _places(store: Store, identity: str) -> LandmarkPlaces | None:
    return _landmark_places(store.read(identity, gates=False))


def _detections(store: Store, identity: str) -> Detections | None:
    return store.read(identity, gates=False).detections


def _landmark_places(record: TrialRecord) -> LandmarkPlaces | None:
    found = record.landmarks
    if found is None:
        return None
    return LandmarkPlaces(found.predicted, found.true, found.visibility)
