"""What a gate lets through of a feature map: image by image, and over a whole split."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PassedByImage(NamedTuple):
    """What a gate lets through, image by image.

    Args:
        mean: `(n,)` float32, mean of the gate.
        energy: `(n,)` float32, share of the feature map's sum of squares that passes.
        maps: `(n, h, w)` float16, mean of the gate over channels.
    """

    mean: np.ndarray
    energy: np.ndarray
    maps: np.ndarray


def passed_by_image(mask: np.ndarray, features: np.ndarray) -> PassedByImage:
    """What a gate lets through of each image of a batch.

    Args:
        mask: `(n, h, w, c)` or `(n, h, w, 1)`, what the feature map is multiplied with.
        features: `(n, h, w, c)`, the feature map.
    """
    places = (1, 2, 3)
    energy = np.square(features, dtype=np.float64).sum(axis=places)
    passed = np.square(features * mask, dtype=np.float64).sum(axis=places)
    share = np.divide(passed, energy, out=np.full_like(energy, np.nan), where=energy > 0)
    return PassedByImage(
        mask.mean(axis=places, dtype=np.float64).astype(np.float32),
        share.astype(np.float32),
        mask.mean(axis=-1).astype(np.float16),
    )


class GateStatistics:
    """How far a gate is open, gathered batch by batch.

    Example:

        statistics = GateStatistics()
        statistics.add(mask, features)
        statistics.result()["gate_mean"]
    """

    def __init__(self) -> None:
        self._values = self._below = self._above = 0
        self._sum = self._energy = self._passed = 0.0

    def add(self, mask: np.ndarray, features: np.ndarray) -> None:
        """Count in a batch.

        Args:
            mask: `(n, h, w, c)` or `(n, h, w, 1)`, what the feature map is multiplied with.
            features: `(n, h, w, c)`, the feature map.
        """
        self._values += mask.size
        self._sum += float(mask.sum(dtype=np.float64))
        self._below += int((mask < 0.1).sum())
        self._above += int((mask > 0.9).sum())
        self._energy += float(np.square(features, dtype=np.float64).sum())
        self._passed += float(np.square(features * mask, dtype=np.float64).sum())

    def result(self) -> dict[str, float]:
        """`gate_mean`; `gate_below_0.1` and `gate_above_0.9`, shares of the mask's values;
        `gate_energy`, the share of the map's energy (sum of squares) that passes, which is above
        1 for a gate that amplifies.
        """
        return {
            "gate_mean": self._sum / self._values,
            "gate_below_0.1": self._below / self._values,
            "gate_above_0.9": self._above / self._values,
            "gate_energy": self._passed / self._energy if self._energy else float("nan"),
        }
