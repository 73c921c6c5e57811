"""How a network is fitted: its loss, its optimiser and what watches over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bench.metrics.gates import GateStatistics
from bench.models.network import BuiltModel, predict
from bench.models.optimizers.adam import OnePassAdam
from bench.models.optimizers.grouped import GroupedOptimizer
from bench.store.record import Epoch
from bench.study.settings.training import TrainSpec
from bench.train.balance import Balance, cross_entropy
from bench.train.checkpoint import Checkpoints, CheckpointWriter, read_checkpoint, restore
from bench.train.compiled import Compiled

JIT_COMPILE = keras.backend.backend() == "jax"
"""On JAX, Keras does not compile a step at all without it."""

OPTIMISERS = {"adam": OnePassAdam, "sgd": keras.optimizers.SGD}


def compile_network(network: BuiltModel, train: TrainSpec, balance: Balance, classes: int) -> None:
    """Give a network its losses, optimiser and metrics.

    Args:
        network: The network.
        train: Training settings.
        balance: What the balancing rule changes.
        classes: Number of categories.
    """
    supervision = network.supervision
    losses, metrics = supervision.losses(), {}
    if supervision.classifies:
        losses = {"category": (balance.loss or cross_entropy(), 1.0), **losses}
        metrics = {"category": _metrics(classes)}
    network.model.compile(
        _optimiser(network, train),
        loss={name: loss for name, (loss, _) in losses.items()},
        loss_weights={name: weight for name, (_, weight) in losses.items()},
        metrics=metrics,
        jit_compile=JIT_COMPILE,
    )


def _metrics(classes: int) -> list[Any]:
    """What is counted of the category in each epoch."""
    top = [
        keras.metrics.SparseTopKCategoricalAccuracy(k, name=f"top_{k}")
        for k in (3, 5)
        if k <= classes
    ]
    return [
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        # The same in every arm, whatever loss its balancing rule trains.
        keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy"),
        *top,
    ]


def _optimiser(network: BuiltModel, train: TrainSpec) -> Any:
    def make() -> Any:
        return OPTIMISERS[train.optimizer](learning_rate=train.learning_rate)

    if not network.groups:
        return make()
    return GroupedOptimizer(make, network.groups, shared_count=network.shared_count)


class EpochCount(keras.callbacks.Callback):
    """Tells the training batches which epoch begins, for weights that alternate with the epoch.

    Args:
        batches: `bench.train.batches.TrainingBatches`.
    """

    def __init__(self, batches: Any) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called before the epoch's first batch is made."""
        self._batches.epoch = epoch


class BestWeights(keras.callbacks.Callback):
    """Remembers the weights of the epoch with the lowest validation loss."""

    initial_best: tuple[float, list[np.ndarray] | None] = (float("inf"), None)
    """Lowest loss and its weights before training begins, where it goes on from a checkpoint."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Begin with what was best before."""
        self.lowest, self.weights = self.initial_best

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the weights of a new best epoch."""
        loss = (logs or {})["val_loss"]
        if loss < self.lowest:
            self.lowest, self.weights = loss, self.model.get_weights()


@dataclass(frozen=True)
class Fitted:
    """What training gave beside the network, which holds the weights that it is tested with.

    Args:
        logs: Keras' logs of every epoch.
        other: Weights of the other epoch that were asked for: of the best one where the network
            has the last one's, or the other way round; None where they are the network's.
    """

    logs: list[dict[str, float]]
    other: list[np.ndarray] | None


class Stopping(keras.callbacks.EarlyStopping):
    """Stops where the validation loss has not fallen for some epochs.

    Args:
        patience: Epochs.
        earlier: Logs of the epochs done before, where training goes on from a checkpoint.
    """

    def __init__(self, patience: int, earlier: Sequence[dict[str, float]] = ()) -> None:
        super().__init__(monitor="val_loss", patience=patience)
        self._earlier = earlier

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Count as if those epochs had just been trained."""
        super().on_train_begin(logs)
        for epoch, before in enumerate(self._earlier):
            self.on_epoch_end(epoch, before)


class GateHistory(keras.callbacks.Callback):
    """Adds to each epoch how far the gate is open and what it lets through of validation images.

    Args:
        network: A network with a gate.
        batches: `bench.train.batches.Batches` of the validation images.
    """

    def __init__(self, network: BuiltModel, batches: Any) -> None:
        super().__init__()
        outputs = {"gate": network.gate, "features": network.features}
        self._gate = keras.Model(network.model.inputs, outputs)
        self._batches = batches

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Put `val_gate_mean` and the rest into the epoch's logs."""
        _ = self.model  # on JAX, asking for it puts the trained weights into the variables
        statistics = GateStatistics()
        for images, *_ in self._batches.in_order(self._gate):
            predicted = predict(self._gate, images)
            statistics.add(predicted["gate"], predicted["features"])
        if logs is not None:
            logs.update({f"val_{name}": value for name, value in statistics.result().items()})


def _stop_at_nan(epoch: int, logs: dict[str, float]) -> None:
    if not np.isfinite(logs["loss"]):
        raise FloatingPointError(f"the training loss became {logs['loss']} in epoch {epoch + 1}")


def history_rows(logs: Sequence[dict[str, float]]) -> list[tuple[int, str, str, float]]:
    """Keras' logs, one an epoch, as rows of (epoch from 1, `train` or `val`, metric, value)."""
    rows = []
    for name in logs[0] if logs else ():
        split = "val" if name.startswith("val_") else "train"
        metric = name.removeprefix("val_")
        if metric != "category_loss":
            metric = metric.removeprefix("category_")
        rows += [
            (epoch, split, metric, float(log[name])) for epoch, log in enumerate(logs, start=1)
        ]
    return rows


def fit(
    network: BuiltModel,
    training: Any,
    validation: Any,
    train: TrainSpec,
    *,
    trial: str,
    keep: Epoch | None = None,
    compiled: Compiled | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train a compiled network, from its last checkpoint where there is one.

    It ends with the weights of the epoch that `train.selection` names (row 22).

    Args:
        network: The network.
        training: `bench.train.batches.TrainingBatches`.
        validation: `bench.train.batches.Batches` of the validation images, or None.
        train: Training settings.
        trial: The trial's identity, which its checkpoints carry.
        keep: The epoch whose weights are asked for beside; None for none.
        compiled: What trials of one shape share, `network` among it; None for Keras' `fit`.
        checkpoints: Where they are kept; None for nowhere.
        progress: Called with (epochs done, most epochs) after each epoch.

    Raises:
        FloatingPointError: The training loss became NaN or infinite.
    """
    best = BestWeights() if "best" in (train.selection, keep) else None
    resumed = None if checkpoints is None else read_checkpoint(checkpoints.folder, trial)
    if best is not None and resumed is not None and resumed.lowest is None:
        resumed = None  # of a run that did not ask for the best epoch's weights
    earlier = [] if resumed is None else resumed.logs
    if resumed is not None:
        restore(network.model, resumed, best)
        training.resume_at(resumed.epoch)
    callbacks = _callbacks(network, training, validation, train, earlier)
    callbacks += [best] if best is not None else []
    if progress is not None:
        callbacks.append(
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: progress(epoch + 1, train.epochs)
            )
        )
    if checkpoints is not None:
        callbacks.append(CheckpointWriter(checkpoints, trial, best, earlier))
    passes = {"epochs": train.epochs, "initial_epoch": len(earlier)}
    whole = None if compiled is None else compiled.whole_epochs(training, validation)
    if whole is not None:
        history = whole.fit(training, validation_data=validation, callbacks=callbacks, **passes)
    else:
        history = network.model.fit(
            training, validation_data=validation, callbacks=callbacks, shuffle=False, verbose=0,
            **passes,
        ).history  # fmt: skip
    names = list(history)
    logs = earlier + [
        dict(zip(names, map(float, values), strict=True))
        for values in zip(*history.values(), strict=True)
    ]
    return Fitted(logs, _select(network.model, best, train.selection, keep))


def _select(
    model: Any, best: BestWeights | None, selection: Epoch, keep: Epoch | None
) -> list[np.ndarray] | None:
    """Put a model to the selected epoch; returns the other epoch's weights if they are kept."""
    if best is None or best.weights is None:
        return None
    if selection == "last":
        return best.weights
    last = model.get_weights() if keep == "last" else None
    model.set_weights(best.weights)
    return last


def _callbacks(
    network: BuiltModel,
    training: Any,
    validation: Any,
    train: TrainSpec,
    earlier: Sequence[dict[str, float]],
) -> list[Any]:
    """What every trial is watched by; `earlier` are the logs of the epochs done before."""
    callbacks: list[Any] = [EpochCount(training)]
    if validation is not None and network.gate is not None:
        callbacks.append(GateHistory(network, validation))
    callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=_stop_at_nan))
    if train.patience is not None:
        callbacks.append(Stopping(train.patience, earlier))
    return callbacks
