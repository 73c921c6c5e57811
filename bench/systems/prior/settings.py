"""The settings of the no-information row: there are none."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.systems.settings import SystemSettings


class Prior(SystemSettings):
    """Answers every image with the class frequencies of the training set.

    The no-information row of a table: what a system scores that has never seen an image.
    """

    network: ClassVar[str] = "bench.systems.prior.network:build"
    trained: ClassVar[bool] = False

    kind: Literal["prior"] = "prior"

    def head_flops(self, side: int, channels: int, classes: int) -> float:
        """None: it counts labels and sees no image."""
        del side, channels, classes
        return 0.0

    def head_parameters(self, side: int, channels: int, classes: int) -> int:
        """None: it has no weights."""
        del side, channels, classes
        return 0
