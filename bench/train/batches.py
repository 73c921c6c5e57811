"""Batches of feature maps and targets, read from disk as they are needed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bench.data.manifest import Manifest
from bench.features import FeatureReader
from bench.models.losses import NO_PIXEL
from bench.train.metrics import trained_landmarks


class FeatureBatches(keras.utils.PyDataset):
    """A split as Keras trains on it, the last batch smaller where it does not divide.

    Args:
        reader: Feature maps.
        rows: Rows of the manifest.
        manifest: Labels and landmarks.
        batch_size: Images a batch.
        landmark_side: Side of the landmark maps in pixels; None for no landmark targets.
        shuffle_seed: Seed of the order, a new one each epoch; None keeps the order of `rows`.
    """

    def __init__(
        self,
        reader: FeatureReader,
        rows: np.ndarray,
        manifest: Manifest,
        *,
        batch_size: int,
        landmark_side: int | None,
        shuffle_seed: int | None = None,
    ) -> None:
        super().__init__(workers=1)
        self._reader = reader
        self._rows = np.asarray(rows)
        self._targets: dict[str, np.ndarray] = {
            "category": manifest.category[self._rows].astype(np.int32)
        }
        if landmark_side is not None:
            self._targets["landmarks"] = pixel_targets(
                manifest.landmarks[self._rows], manifest.visibility[self._rows], landmark_side
            )
        self._batch_size = batch_size
        self._seed = shuffle_seed
        self._epoch = 0
        self._order = self._new_order()

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return -(-len(self._rows) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        targets = {name: values[chosen] for name, values in self._targets.items()}
        return self._reader.gather(self._rows[chosen]), targets

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order."""
        self._epoch += 1
        self._order = self._new_order()

    def _new_order(self) -> np.ndarray:
        if self._seed is None:
            return np.arange(len(self._rows))
        return np.random.default_rng([self._seed, self._epoch]).permutation(len(self._rows))


def pixel_targets(landmarks: np.ndarray, visibility: np.ndarray, side: int) -> np.ndarray:
    """The index of each landmark's true pixel, row by row (ledger rows 12, 13 and 15).

    Args:
        landmarks: `(n, 8, 2)` (x, y) as a share of width and height.
        visibility: `(n, 8)`; only visible landmarks are trained.
        side: Side of the landmark maps in pixels.

    Returns:
        `(n, 8)` int32: `row * side + column`, `NO_PIXEL` for a landmark not trained.
    """
    trained = trained_landmarks(visibility)
    placed = np.where(trained[..., None], landmarks, 0.0)
    column, row = np.moveaxis(np.clip((placed * side).astype(np.int32), 0, side - 1), -1, 0)
    return np.where(trained, row * side + column, NO_PIXEL).astype(np.int32)


def pixel_centres(index: np.ndarray, side: int) -> np.ndarray:
    """(x, y) of pixels' centres as a share of width and height; the inverse of `pixel_targets`.

    Args:
        index: `(n, 8)` integers.
        side: Side of the landmark maps in pixels.
    """
    row, column = np.divmod(index, side)
    return ((np.stack([column, row], axis=-1) + 0.5) / side).astype(np.float32)


def all_batches(batches: FeatureBatches) -> Any:
    """Each batch of a pass, in order."""
    return (batches[index] for index in range(batches.num_batches))
