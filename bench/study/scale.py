"""A study's sizes made to fit its data, so that arms that differ in one still do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.study.axes import Axis, Level, label_of

PARTS = {"data.train_size": "training", "data.validation_size": "validation",
         "data.test_size": "test"}  # fmt: skip
"""Setting of a size -> what its images are called."""


@dataclass(frozen=True)
class Scale:
    """How sizes are made to fit some data.

    A size that fits stays as it is. Training sizes are levels of studies, and one that does not fit
    becomes another for each: they are spaced, by the logarithm, between the largest that fits and
    all that there is; where none fits, all are scaled by one factor. More validation and test
    images only measure better: those are cut.

    Args:
        asked: Setting of a size -> the numbers that arms ask for, ascending.
        there: Setting of a size -> images that every arm can have.
    """

    asked: Mapping[str, tuple[int, ...]]
    there: Mapping[str, int]

    def __bool__(self) -> bool:
        """Whether any size does not fit."""
        return any(self.there[path] < sizes[-1] for path, sizes in self.asked.items())

    def fit(self, path: str, size: Any) -> Any:
        """A size as it fits; `all`, and whatever else is no number, as it is."""
        if not isinstance(size, int) or path not in self.asked or size <= self.there[path]:
            return size
        there = self.there[path]
        if path != "data.train_size":
            return max(there, int(path == "data.test_size"))
        most = self.asked[path][-1]
        fitting = [other for other in self.asked[path] if other <= there]
        if not fitting:
            return max(size * there // most, 1)
        low = fitting[-1]
        return round(low * (there / low) ** (math.log(size / low) / math.log(most / low)))

    def __str__(self) -> str:
        """What was done to the sizes, for a person."""
        path = "data.train_size"
        parts = [
            f"{size:,} training images are {self.fit(path, size):,}"
            for size in self.asked.get(path, ())
            if self.fit(path, size) != size
        ]
        parts += [
            f"at most {self.there[path]:,} {name} images"
            for path, name in PARTS.items()
            if path != "data.train_size" and self.asked.get(path, (0,))[-1] > self.there[path]
        ]
        return f"sizes scaled to the data: {', '.join(parts)}"

    def level(self, axis: Axis, level: Level) -> Level:
        """A level by its new name, where its name is a size."""
        if axis.named or axis.name not in PARTS:
            return level
        return replace(
            level, label=label_of(self.fit(axis.name, level.overlay.settings[axis.name]))
        )
