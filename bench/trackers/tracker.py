"""What a tracker is given, and what it must be able to do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from bench.analysis.frames import settings_of
from bench.store.record import TrialRecord


@dataclass(frozen=True)
class TrackedTrial:
    """A finished trial of a study, as a tracker is given it.

    Args:
        study: Name of the study.
        arm: Name of the arm.
        seed: Its seed.
        record: The trial.
    """

    study: str
    arm: str
    seed: int
    record: TrialRecord

    @property
    def key(self) -> str:
        """What tells it from the study's other trials."""
        return self.record.id

    @property
    def name(self) -> str:
        """Its name to a person."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def settings(self) -> dict[str, Any]:
        """Dotted path -> value."""
        return settings_of(self.record.spec)

    @property
    def metrics(self) -> dict[str, float]:
        """Test metrics, such as `test/accuracy`; without those that are no number."""
        metrics = self.record.metrics
        return {f"test/{name}": v for name, v in metrics.items() if math.isfinite(v)}

    @property
    def curves(self) -> Iterator[tuple[int, str, float]]:
        """Each epoch, counted from 1, with what was measured (`val/loss`) and its value."""
        for epoch, split, metric, value in self.record.history:
            if math.isfinite(value):
                yield epoch, f"{split}/{metric}", value

    @property
    def last_epoch(self) -> int:
        """The epoch that it was tested after; 0 for one that was not trained."""
        return max((epoch for epoch, *_ in self.record.history), default=0)

    @property
    def begun(self) -> float | None:
        """When it began, in seconds since 1970; None in older records."""
        begun = self.record.environment.get("begun")
        return None if begun is None else datetime.fromisoformat(begun).timestamp()

    @property
    def tags(self) -> dict[str, str]:
        """What it can be found by."""
        known = self.record.environment
        kept = {name: str(known[name]) for name in ("profile", "processor") if name in known}
        data = str(self.record.data["source"])
        return {"study": self.study, "arm": self.arm, "seed": str(self.seed), "data": data} | kept


@dataclass(frozen=True)
class StudyFigures:
    """The figures of a study's report, as a tracker is given them.

    Args:
        study: Name of the study.
        key: Stands for everything that they are made of.
        files: Their PNG files.
    """

    study: str
    key: str
    files: Sequence[Path]


class Tracker(Protocol):
    """Where trials are logged."""

    def known(self, study: str) -> set[str]:
        """Keys of the trials and figures of a study that it has, whole."""

    def add_trial(self, trial: TrackedTrial) -> None:
        """Log a trial: settings, curves, metrics."""

    def add_figures(self, figures: StudyFigures) -> None:
        """Log a study's figures."""
