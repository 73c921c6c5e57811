"""Known functions to search: a bowl, and a space with a dimension that is not always there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bench.store.searches import SearchPlan

SPACES = {
    "bowl": """
    train.learning_rate: {kind: float, low: 1.0e-4, high: 1.0e-1, scale: log, step: 10}
    train.batch_size: {kind: int, low: 8, high: 24, step: 8}
""",
    "conditional": """
    train.balancing: [none, focal]
    train.balancing_strength:
      {kind: float, low: 1, high: 3, step: 0.5, when: {train.balancing: focal}}
""",
}

Plan = Callable[..., SearchPlan]
"""Makes an arm's search from the name of a space, the rest of its tuning, and a base."""


def score_of(values: dict[str, Any]) -> float:
    """Best at a learning rate of 0.01 and 16 images, or at a strength of 2."""
    if "train.learning_rate" in values:
        off = abs(math.log10(values["train.learning_rate"]) + 2)
        return -(off**2) - (values["train.batch_size"] / 16 - 1) ** 2
    return -((values.get("train.balancing_strength", 0.5) - 2) ** 2)
