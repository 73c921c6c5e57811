"""Specs of trials: a preset, a profile, and what a test changes."""

from __future__ import annotations

from typing import Any

from bench.study.overlays import base_overlays, put, stacked
from bench.study.trial import TrialSpec


def spec_of(preset: str, profile: str = "smoke", **settings: Any) -> TrialSpec:
    """A preset under a profile, in native arithmetic; `a__b=value` sets `a.b`."""
    plain = stacked(base_overlays(preset, profile, None))
    if plain["train"] is not None:
        put(plain, "train.arithmetic", "native")  # this process was not set up for another one
    for path, value in settings.items():
        put(plain, path.replace("__", "."), value)
    return TrialSpec.model_validate(plain)
