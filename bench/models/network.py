"""What every trained model hands to the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Network:
    """A model over feature maps, and what the loop needs to know of it.

    Args:
        model: Keras model from features `(n, h, w, c)` to a dict of logits: `category`
            `(n, classes)` and, with a landmark branch, `landmarks` `(n, 8, side * side)`, where
            pixel (row, column) has index `row * side + column`.
        landmark_variables: Trainable variables of the landmark branch, the group that the tempo
            optimiser updates at every batch; empty without one.
        landmark_side: Side of the landmark maps in pixels, None without a landmark branch.
        gate: What the local branch's feature map is multiplied with, a symbolic tensor of
            `model`; None without a gate.
    """

    model: Any
    landmark_variables: tuple[Any, ...] = ()
    landmark_side: int | None = None
    gate: Any = None
