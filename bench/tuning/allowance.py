"""How many trials a run may still begin. Light."""

from __future__ import annotations

import math


class Allowance:
    """Trials that a run may still begin, of all of its studies and data together.

    Trials that are known beforehand are taken off when the run is planned, those that a tuned study
    proposes when they are handed out. A trial that comes again was counted before.

    Args:
        limit: Most trials to train (`--limit`); None for all.
    """

    def __init__(self, limit: int | None) -> None:
        self.left = math.inf if limit is None else limit

    def take(self, wanted: int) -> int:
        """Count up to so many trials as begun; returns how many may be."""
        granted = int(min(wanted, self.left))
        self.left -= granted
        return granted
