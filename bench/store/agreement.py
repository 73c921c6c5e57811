"""Two records of one trial side by side: how far they agree, and what of their making differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from bench.store.export import compacted_like
from bench.store.record import TrialRecord

TOLERANCE = 1e-3
"""Largest difference of a probability that counts as other hardware's rounding."""


class Verdict(StrEnum):
    """How far two records of a trial agree."""

    IDENTICAL = "identical"
    CLOSE = "within tolerance"
    DIFFERENT = "different"
    NOT_COMPARED = "not compared"


INPUTS = (
    "processor", "instructions", "gpus", "tensorflow", "jax", "torch", "onednn", "threads",
    "backbone_weights", "semantics", "bench", "commit", "keras", "backend", "python", "numpy",
    "machine", "cores",
)  # fmt: skip
"""What a record's environment says that may change a trial's numbers, the first suspects first."""

OF_IDENTITY = ("backbone_weights", "semantics")
"""Those of them that make it another trial, as its data and its spec do."""


@dataclass(frozen=True)
class Verification:
    """A trial's record beside another one's: a stored trial and the same trained now, say.

    Args:
        trial: Its identity.
        name: Study, arm and seed, where a study's record names it.
        verdict: How far they agree.
        deviation: Largest difference of a probability; NaN where none was compared.
        where: Where that is, or why nothing was compared.
        changed: Inputs that are not what they were: name -> (then, now).
    """

    trial: str
    name: str
    verdict: Verdict
    deviation: float
    where: str
    changed: dict[str, tuple[Any, Any]]

    def changes(self) -> list[str]:
        """What changed, in words: `tensorflow: 2.20 then, 2.21 now`."""
        return [f"{name}: {then} then, {now} now" for name, (then, now) in self.changed.items()]

    def to_json(self) -> dict[str, Any]:
        """The comparison as `--json` prints it."""
        return {
            "trial": self.trial,
            "name": self.name,
            "verdict": str(self.verdict),
            "deviation": self.deviation,
            "where": self.where,
            "changed": {name: list(values) for name, values in self.changed.items()},
        }


def compare(stored: TrialRecord, now: TrialRecord, tolerance: float = TOLERANCE) -> Verification:
    """A record beside another of the same trial, or of what was meant to be the same.

    Where one is a compact copy (`bench export --compact`), the other is compared as one.

    Args:
        stored: The record that is there.
        now: The record that is held against it.
        tolerance: Largest difference of a probability that counts as rounding.
    """
    changed = changed_inputs(stored, now)
    stored, now = compacted_like(stored, now), compacted_like(now, stored)
    nan = float("nan")
    one, other = stored.predictions, now.predictions
    if "data" in changed:
        return Verification(stored.id, "", Verdict.DIFFERENT, nan, "other data", changed)
    if (
        list(one.images) != list(other.images)
        or one.probabilities.shape != other.probabilities.shape
    ):
        return Verification(stored.id, "", Verdict.DIFFERENT, nan, "other test images", changed)
    off = np.abs(one.probabilities.astype(np.float64) - other.probabilities)
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    deviation = float(off[row, column])
    classes = stored.data["class_names"]
    where = f"{one.images[row]}, class {classes[column]}" if deviation else ""
    if deviation == 0.0 and _same_otherwise(stored, now):
        return Verification(stored.id, "", Verdict.IDENTICAL, 0.0, "", changed)
    verdict = Verdict.CLOSE if deviation <= tolerance else Verdict.DIFFERENT
    return Verification(
        stored.id, "", verdict, deviation, where or "beside the predictions", changed
    )


def changed_inputs(one: TrialRecord, other: TrialRecord) -> dict[str, tuple[Any, Any]]:
    """What differs between two trials' inputs, the first suspects first.

    What makes them two trials comes before what may only round otherwise. Of one identity, the
    data and the settings are the same, however they are written.

    Args:
        one: A record.
        other: Another.

    Returns:
        Input -> its value in each; a setting is `spec.` and its path.
    """
    first, second = one.environment, other.environment
    pairs: dict[str, tuple[Any, Any]] = {}
    names: tuple[str, ...] = INPUTS
    if one.id != other.id:
        pairs["data"] = (one.data.get("fingerprint"), other.data.get("fingerprint"))
        mine, theirs = dict(_settings(one.spec)), dict(_settings(other.spec))
        paths = dict.fromkeys([*mine, *theirs])
        pairs |= {f"spec.{path}": (mine.get(path), theirs.get(path)) for path in paths}
        names = (*OF_IDENTITY, *(name for name in INPUTS if name not in OF_IDENTITY))
    pairs |= {name: (first.get(name), second.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _settings(plain: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths of a spec, with their values."""
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _same_otherwise(stored: TrialRecord, now: TrialRecord) -> bool:
    """Whether metrics, history, landmarks, detections and gates are the same, NaN like NaN."""
    pairs: list[tuple[Any, Any]] = [(stored.history, now.history)]
    pairs += [(value, now.metrics.get(name)) for name, value in stored.metrics.items()]
    if stored.landmarks is not None and now.landmarks is not None:
        pairs.append((stored.landmarks.predicted, now.landmarks.predicted))
    if stored.detections is not None and now.detections is not None:
        pairs += [
            (getattr(stored.detections, name), getattr(now.detections, name))
            for name in ("boxes", "scores", "masks", "points", "vectors")
        ]
    if stored.gate is not None and now.gate is not None:
        pairs.append((stored.gate.maps, now.gate.maps))
    try:
        for one, other in pairs:
            np.testing.assert_equal(one, other)
    except AssertionError:
        return False
    return True
