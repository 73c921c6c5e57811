"""The settings of RopaNet-Baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from bench.systems.registry import POOLINGS
from bench.systems.settings import BackboneSettings, LayerSize, SystemSettings, one_of


class RopaNetBaseline(SystemSettings):
    """RopaNet-Baseline (§4.3): feature map, global average pooling, fully connected, softmax.

    Args:
        backbone: The feature extractor.
        pooling: From the map to a vector.
    """

    network: ClassVar[str] = "bench.systems.baseline.network:build"

    kind: Literal["ropanet_baseline"] = "ropanet_baseline"
    backbone: BackboneSettings = BackboneSettings()
    pooling: one_of(POOLINGS) = "average"  # type: ignore[valid-type]

    def layers(self, side: int, channels: int, classes: int) -> Iterator[LayerSize]:
        """Its one fully connected layer."""
        del side
        yield LayerSize(1, channels, classes)
