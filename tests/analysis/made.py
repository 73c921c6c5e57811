"""Trials made by hand: what the analysis sees of a record, without a store behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from bench.analysis.arms import Trial
from bench.metrics.outcomes import Outcomes


def trial(
    ranks: np.ndarray,
    metrics: dict[str, float] | None = None,
    *,
    images: Sequence[str] | None = None,
    labels: Sequence[int] | None = None,
    data: dict[str, Any] | None = None,
) -> Trial:
    """A trial whose true class has the given ranks; confident where it is right."""
    return Trial(
        about={"spec": {}, "data": data or {}, "timings": {}, "environment": {}},
        images=tuple(map(str, range(len(ranks))) if images is None else images),
        outcomes=Outcomes(
            labels=np.array([0] * len(ranks) if labels is None else labels),
            ranks=ranks,
            predicted=np.zeros(len(ranks), int),
            true_above_half=ranks < 1,
            any_above_half=ranks < 1,
            landmark_errors=None,
            probabilities=_nothing_stored,
            places=_nothing_stored,
        ),
        metrics=metrics or {},
        history={name: np.array([]) for name in ("epoch", "split", "metric", "value")},
        gated=False,
        read=_nothing_stored,
    )


def _nothing_stored() -> NoReturn:
    raise AssertionError("a trial made by hand has no record to read")
