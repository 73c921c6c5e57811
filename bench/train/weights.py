"""Trained weights between a network and the file that a trial keeps them in."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.errors import BenchError
from bench.models.weights_file import check_weights_file
from bench.store.record import Epoch, KeptWeights, weights_name


def kept_weights(
    model: Any, epoch: Epoch | None, other: list[np.ndarray] | None = None
) -> KeptWeights | None:
    """A trained model's weights as a trial keeps them.

    Args:
        model: The model.
        epoch: The epoch that they are of; None keeps none.
        other: Weights to keep in the place of the model's own; None for those.
    """
    if epoch is None:
        return None
    own = model.get_weights() if other is not None else None
    if other is not None:
        model.set_weights(other)
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        path = Path(scratch) / weights_name(epoch)
        _without_optimizer(model).save_weights(path)
        content = path.read_bytes()
    if own is not None:
        model.set_weights(own)
    return KeptWeights(epoch, content)


def load_kept_weights(model: Any, kept: KeptWeights, where: str) -> None:
    """Give a network the weights that a trial kept.

    Args:
        model: The network, built as the trial's was.
        kept: The weights. They may have come from another machine, and are taken as numbers alone.
        where: The trial, for a message.

    Raises:
        BenchError: They hold anything but numbers, or are another network's.
    """
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        path = Path(scratch) / weights_name(kept.epoch)
        path.write_bytes(kept.content)
        check_weights_file(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # of layers that the file lacks
                _without_optimizer(model).load_weights(path)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            raise BenchError(
                f"the kept weights do not fit the trial's network: {error}",
                where=where,
                fix="train it again: `bench run --rerun --keep-models ...`",
            ) from error


def _without_optimizer(model: Any) -> Any:
    """The same layers in a model of their own: a compiled one's file holds its optimizer too."""
    return keras.Model(model.inputs, model.output)
