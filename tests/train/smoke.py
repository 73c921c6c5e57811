"""Trials of the smoke profile: their specs, their features, and whether two are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.data.split import split_of
from bench.store.record import TrialRecord
from bench.study.trial import TrialSpec
from bench.train.extract import extract
from bench.train.loop import TrialContext
from tests.specs import spec_of


def smoke_spec(preset: str, *, epochs: int, **settings: Any) -> TrialSpec:
    """A preset under the smoke profile, of so many epochs; `a__b=value` sets `a.b`."""
    return spec_of(preset, **{"train__epochs": epochs} | settings)


def prepare(context: TrialContext, *trials: TrialSpec) -> None:
    """Put the features of every image that some trials need on disk."""
    for trial in trials:
        split = split_of(trial, context.manifest)
        rows = np.concatenate([split.train, split.val, split.test])
        backbone, arithmetic = trial.model.feature_extractor, trial.arithmetic
        assert backbone is not None and arithmetic is not None
        extract(context.manifest, rows, backbone, context.cache, arithmetic)


def same(one: TrialRecord, other: TrialRecord) -> None:
    """Two records must hold the same numbers, to the last bit."""
    np.testing.assert_equal(one.metrics, other.metrics)  # NaN equals NaN here
    assert one.history == other.history
    np.testing.assert_array_equal(one.predictions.probabilities, other.predictions.probabilities)
    assert (one.landmarks is None) == (other.landmarks is None)
    if one.landmarks is not None and other.landmarks is not None:
        np.testing.assert_array_equal(one.landmarks.predicted, other.landmarks.predicted)
