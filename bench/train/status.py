"""What becomes of a trial during a run: one word, from the worker to the display. Light."""

from __future__ import annotations

from enum import StrEnum


class TrialStatus(StrEnum):
    """What happened to a trial."""

    STARTED = "started"
    FINISHED = "finished"
    """Trained and stored now."""
    STORED = "stored"
    """It was in the store already."""
    DIVERGED = "diverged"
    """Its loss became NaN or infinite; it would end the same again."""
    FAILED = "failed"
    ELSEWHERE = "elsewhere"
    """Another run is training it at this moment."""
    LOST = "lost"
    """Its worker process, or the machine under it, was lost."""


IN_STORE = frozenset({TrialStatus.FINISHED, TrialStatus.STORED})
"""Ends of a trial that is in the store."""

ENDED = IN_STORE | {TrialStatus.DIVERGED, TrialStatus.FAILED}
"""Ends of a trial; after any other status it comes again."""
