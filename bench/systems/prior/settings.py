"""The settings of the no-information row: there are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from bench.systems.settings import LayerSize, SystemSettings


class Prior(SystemSettings):
    """Answers every image with the class frequencies of the training set.

    The no-information row of a table: what a system scores that has never seen an image.
    """

    network: ClassVar[str] = "bench.systems.prior.network:build"
    trained: ClassVar[bool] = False

    kind: Literal["prior"] = "prior"

    def layers(self, side: int, channels: int, classes: int) -> Iterator[LayerSize]:
        """None: it counts labels and sees no image."""
        del side, channels, classes
        return iter(())
