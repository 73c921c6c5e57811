"""Batches of feature maps or images and their targets, read from disk as they are needed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bench.data.ground_truth import GroundTruth, ground_truth
from bench.data.manifest import Manifest
from bench.errors import BenchError
from bench.models.supervision import Supervision
from bench.store.features import FeatureReader
from bench.study.settings.training import Augmentation
from bench.train.augment import augment
from bench.train.balance import Balance, sample

ANSWERED_BYTES = 32_000_000
"""What a model is given and says of the images that it answers at once, at most."""


@dataclass(frozen=True)
class Source:
    """What a model is fed with.

    Args:
        reader: Feature maps, or pixels.
        scale: For pixels, from [0, 1] to what the backbone is fed with; None for feature maps.
    """

    reader: FeatureReader
    scale: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def of_maps(self) -> bool:
        """Whether a model is fed with maps, which are the same in every epoch."""
        return self.scale is None


@dataclass(frozen=True)
class Examples:
    """Images with their targets, of which batches are made.

    Args:
        source: What the model is fed with.
        manifest: Labels and landmarks.
        batch_size: Images a batch.
        supervision: What the system is trained to predict beside the category.
        attributes: `(images of the manifest, attributes)` int8; None where none are trained on.
    """

    source: Source
    manifest: Manifest
    batch_size: int
    supervision: Supervision
    attributes: np.ndarray | None = None


class Batches(keras.utils.PyDataset):
    """A split as Keras trains on it, the last batch smaller where it does not divide.

    Args:
        examples: What it is a split of.
        rows: Rows of the manifest.
    """

    def __init__(self, examples: Examples, rows: np.ndarray) -> None:
        super().__init__(workers=1)
        self._examples, self._source = examples, examples.source
        self._rows = np.asarray(rows)
        self.batch_size = examples.batch_size
        first = examples.supervision.epoch(self._truth(self._rows), np.random.default_rng(0))
        self._order = np.arange(len(self._rows)) if first is None else first

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        images, truth, targets = self._batch(self._chosen(index), index)
        return self._examples.supervision.fed(images, truth), *targets

    def _batch(self, chosen: Any, index: int) -> tuple[np.ndarray, GroundTruth, tuple[Any, ...]]:
        rows = self._rows[chosen]
        images = self._source.reader.gather(rows)
        truth = self._truth(rows)
        if self._source.scale is not None:
            images, truth = self._changed(images / np.float32(255), truth, index)
            images = self._source.scale(images)
        return images, truth, self._weighted(self._targets(rows, truth))

    def _truth(self, rows: np.ndarray) -> GroundTruth:
        return ground_truth(self._examples.manifest, rows, self._examples.attributes)

    def _targets(self, rows: np.ndarray, truth: GroundTruth) -> dict[str, np.ndarray]:
        supervision = self._examples.supervision
        if not supervision.classifies:
            return supervision.targets(truth)
        category = self._examples.manifest.category[rows].astype(np.int32)
        return {"category": category, **supervision.targets(truth)}

    def _chosen(self, index: int) -> Any:
        return self._order[index * self.batch_size : (index + 1) * self.batch_size]

    def _changed(
        self, images: np.ndarray, truth: GroundTruth, index: int
    ) -> tuple[np.ndarray, GroundTruth]:
        del index
        return images, truth

    def _weighted(self, targets: dict[str, np.ndarray]) -> tuple[Any, ...]:
        return (targets,)

    @property
    def order(self) -> np.ndarray:
        """Positions in the split, in the order of this epoch's batches."""
        return self._order

    @property
    def bytes_of_maps(self) -> int:
        """Memory that the maps of the whole split take."""
        return len(self._rows) * int(np.prod(self._source.reader.shape)) * 4

    @property
    def name_of_maps(self) -> str:
        """Identity of the maps of the whole split."""
        rows = hashlib.sha256(self._rows.astype(np.int64).tobytes()).hexdigest()
        return f"{self._source.reader.name}/{rows}"

    def all_maps(self) -> np.ndarray:
        """Maps of the whole split, `(n, h, w, c)` float32."""
        return self._source.reader.gather(self._rows)

    def all_targets(self) -> tuple[Any, ...]:
        """Targets, and weights where there are any, of the whole split in this epoch."""
        return self._weighted(self._targets(self._rows, self._truth(self._rows)))

    def in_order(self, model: Any) -> Iterator[tuple[Any, ...]]:
        """Images and targets for a model to answer: each image once, in the split's order.

        A call of a small model takes longer than what it computes, so that many images come at
        once; where a backbone is part of the model, a batch.

        Args:
            model: Keras model.
        """
        size = self.batch_size
        if self._source.of_maps:
            tensors = [*model.inputs, *model.outputs]
            size = max(size, ANSWERED_BYTES // sum(4 * math.prod(t.shape[1:]) for t in tensors))
        for begin in range(0, len(self._rows), size):
            images, _, targets = self._batch(slice(begin, begin + size), 0)
            yield images, *targets


class TrainingBatches(Batches):
    """A training split: a new order each epoch, balanced, weighted and augmented as asked for.

    Args:
        examples: What it is a split of.
        rows: Rows of the manifest.
        seed: Seed of the order and of the augmentation.
        balance: What the balancing rule changes.
        augmentation: Random changes of the images; None for none.
    """

    def __init__(
        self,
        examples: Examples,
        rows: np.ndarray,
        *,
        seed: int,
        balance: Balance,
        augmentation: Augmentation | None,
    ) -> None:
        super().__init__(examples, rows)
        self._seed, self._balance, self._augmentation = seed, balance, augmentation
        self._epoch = 0
        self.epoch = 0
        """The fit's epoch from 0, set by `EpochCount`: Keras ends one before the first."""

        self._order = self._new_order()
        if not len(self._order):
            raise BenchError(
                "there is no pair of training images, a user's and a shop's of one garment",
                where=str(examples.manifest.root),
                fix="raise data.train_size, or give data with pairs",
            )

    def on_epoch_end(self) -> None:
        """Make the next epoch's order."""
        self.resume_at(self._epoch + 1)

    def resume_at(self, epoch: int) -> None:
        """Begin with an epoch other than the first.

        Args:
            epoch: Epochs done before it.
        """
        self._epoch = epoch
        self._order = self._new_order()

    def _new_order(self) -> np.ndarray:
        rng = np.random.default_rng([self._seed, self._epoch])
        shares = self._balance.sampling_shares
        if shares is not None:
            return sample(self._examples.manifest.category[self._rows], shares, rng)
        found = self._examples.supervision.epoch(self._truth(self._rows), rng)
        return rng.permutation(len(self._rows)) if found is None else found

    def _changed(
        self, images: np.ndarray, truth: GroundTruth, index: int
    ) -> tuple[np.ndarray, GroundTruth]:
        if self._augmentation is None:
            return images, truth
        rng = np.random.default_rng([self._seed, self._epoch, index])
        return augment(images, truth, self._augmentation, rng)

    def _weighted(self, targets: dict[str, np.ndarray]) -> tuple[Any, ...]:
        weights = self._balance.class_weights
        of_output = self._examples.supervision.output_weights(self.epoch)
        if weights is None and of_output is None:
            return (targets,)
        of_image = {name: np.ones(len(values), np.float32) for name, values in targets.items()}
        if weights is not None:
            of_image["category"] = weights[targets["category"]].astype(np.float32)
        for name, weight in (of_output or {}).items():
            if name in targets:
                of_image[name] *= weight
        return targets, of_image
