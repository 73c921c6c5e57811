"""What trials of one shape share: a compiled network, and epochs that run as one call.

Compiling a network takes longer than training a small head, and Keras' `fit` spends more around a
small step than in it. A worker therefore keeps the network that it compiled last and gives it the
next trial's beginning if that trial has the same shape, and it runs a whole epoch over maps that
fit into memory in one call. The steps are Keras' own `train_step` and `test_step`, over the same
batches, by the same kernels: a trial gives the same bytes as through `fit`.

Trials are not joined into larger products: those sum in another order, and a trial would depend on
its neighbours.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bench.models.network import BuiltModel, seeded_weights
from bench.study.trial import TrialSpec, compiled_parts
from bench.train.balance import Balance
from bench.train.batches import Batches, TrainingBatches
from bench.train.checkpoint import state

MOST_BYTES = 512_000_000
"""Maps that are held in memory at most; a trial over more of them reads batch by batch. Also the
most that a network and its optimiser may hold to be shared."""

MOST_LOSSES = 2


def shape_of(
    spec: TrialSpec, balance: Balance, counts: np.ndarray, attribute_counts: np.ndarray | None
) -> str:
    """What trials must have alike to share a compiled network, as a digest.

    Args:
        spec: The trial.
        balance: What its balancing rule changes.
        counts: `(classes,)` training images of each class.
        attribute_counts: `(2, attributes)` training images without and with each attribute; None
            without attributes.
    """
    parts = compiled_parts(spec)
    if balance.loss is None:
        # The rule changes the batches alone.
        del parts["train"]["balancing"], parts["train"]["balancing_strength"]
        counts = np.zeros_like(counts)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    digest.update(np.asarray(counts, np.int64).tobytes())
    if attribute_counts is not None:
        digest.update(np.asarray(attribute_counts, np.int64).tobytes())
    return digest.hexdigest()


@dataclass
class _Kept:
    """A compiled network.

    Args:
        shape: What trials must have alike to share it; empty for one that is not shared.
        network: The network.
        seed: Seed of the weights of the trial that it was built for.
        begun: Its variables as that trial began.
        epochs: Its compiled epochs; None before they are asked for.
        same_for_all_seeds: Whether a trial's beginning is known without building its network: two
            seeds were found to differ only in what `seed_layers` draws.
    """

    shape: str
    network: BuiltModel
    seed: int
    begun: list[np.ndarray]
    epochs: WholeEpochs | None = None
    same_for_all_seeds: bool = False

    def begin(self, spec: TrialSpec) -> None:
        """Put the network to a trial's beginning."""
        assert spec.train is not None, "the spec admits no trained model without training"
        for variable, value in zip(_variables(self.network), self.begun, strict=True):
            variable.assign(value)
        self.network.start(spec.seed_of("weights"))
        for variable in _learning_rates(self.network):
            variable.assign(spec.train.learning_rate)

    def begin_as(self, fresh: BuiltModel, spec: TrialSpec) -> None:
        """Put the network to where a trial's own stands."""
        if spec.seed_of("weights") != self.seed:
            self.same_for_all_seeds = _all_else_equal(fresh, self.begun)
        for kept, new in zip(_variables(self.network), _variables(fresh), strict=True):
            kept.assign(new.value)


class Compiled:
    """The network that was compiled last, and the maps that were read last.

    One a process; trials that are given it change how fast they run and nothing else.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None
        self._maps: dict[str, Any] = {}

    def network(self, shape: str, spec: TrialSpec, build: Callable[[], BuiltModel]) -> BuiltModel:
        """The network of a trial as the trial begins: the kept one where it has the same shape.

        Args:
            shape: The trial's `shape_of`.
            spec: The trial.
            build: Makes the trial's own network, compiled in Keras' sense.
        """
        kept = self._kept
        if kept is not None and kept.shape == shape and kept.same_for_all_seeds:
            kept.begin(spec)
            return kept.network
        if kept is not None and kept.shape != shape:
            self._kept = kept = None
            gc.collect()  # it is full of cycles
        fresh = build()
        fresh.model.optimizer.build(fresh.model.trainable_variables)
        if kept is not None:
            kept.begin_as(fresh, spec)
            return kept.network
        # Keeping the beginning of a large network costs more than compiling it again.
        if sum(4 * math.prod(v.shape) for v in _variables(fresh)) > MOST_BYTES:
            self._kept = _Kept("", fresh, spec.seed_of("weights"), [])
        else:
            self._kept = _Kept(shape, fresh, spec.seed_of("weights"), _values(fresh))
        return fresh

    def whole_epochs(
        self, training: TrainingBatches, validation: Batches | None
    ) -> WholeEpochs | None:
        """How the kept network is trained epoch by epoch; None where it must be batch by batch.

        Batch by batch: on another backend than TensorFlow; over more maps than are held in memory;
        or where more than two losses are summed, since TensorFlow lays longer sums in another
        order inside a loop, and the logged loss would be rounded otherwise.
        """
        assert self._kept is not None, "a network is taken before it is trained"
        model = self._kept.network.model
        passes = [training] if validation is None else [training, validation]
        if keras.backend.backend() != "tensorflow" or len(model.loss) > MOST_LOSSES:
            return None
        if sum(p.bytes_of_maps for p in passes) > MOST_BYTES:
            return None
        maps = [self._held(p) for p in passes]
        if self._kept.epochs is None:
            self._kept.epochs = WholeEpochs(model)
            self._kept.epochs.make_metrics(training, maps[0])
        self._kept.epochs.maps = maps
        return self._kept.epochs

    def _held(self, batches: Batches) -> Any:
        """The maps of a pass, read from disk if they were not among the last."""
        name = batches.name_of_maps
        if name not in self._maps:
            self._maps[name] = keras.ops.convert_to_tensor(batches.all_maps())
        self._maps[name] = self._maps.pop(name)  # the last used is the last in line
        while sum(maps.shape.num_elements() * 4 for maps in self._maps.values()) > MOST_BYTES:
            del self._maps[next(iter(self._maps))]
        return self._maps[name]


def _variables(network: BuiltModel) -> list[Any]:
    return [variable for of_kind in state(network.model).values() for variable in of_kind]


def _learning_rates(network: BuiltModel) -> list[Any]:
    return [v for v in network.model.optimizer.variables if v.name == "learning_rate"]


def _values(network: BuiltModel) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(v.value).copy() for v in _variables(network)]


def _all_else_equal(network: BuiltModel, begun: list[np.ndarray]) -> bool:
    """Whether another seed's network begins alike but for what `seed_layers` draws.

    A random state, or a weight that a layer draws in its own way, differs.
    """
    seeded = [variable for _, _, variable in seeded_weights(network.model.layers)]
    seeded += [shadow for _, shadow in network.shadows] + _learning_rates(network)
    known = {id(variable) for variable in seeded}
    return all(
        id(variable) in known or np.array_equal(value, before)
        for variable, value, before in zip(
            _variables(network), _values(network), begun, strict=True
        )
    )


class WholeEpochs:
    """Trains a model as Keras' `fit` does, each epoch in one compiled call.

    Args:
        model: A compiled model.
    """

    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        self._tf, self._model = tf, model
        # As Keras does it: a step is TensorFlow's as it stands, not to be converted first.
        options = {"reduce_retracing": True, "autograph": False}
        self._train = tf.function(self._passing(model.train_step), **options)
        self._test = tf.function(self._passing(model.test_step), **options)
        self.maps: list[Any] = []
        """The training images' maps and, where there are any, the validation images'."""

    def _passing(self, step: Callable[[Any], Any]) -> Callable[..., None]:
        """A pass over images in some order, each batch gathered and stepped on."""
        tf = self._tf

        def over(data: Any, order: Any, size: Any) -> None:
            def batch(begin: Any) -> list[Any]:
                chosen = order[begin : begin + size]
                step(tf.nest.map_structure(lambda whole: tf.gather(whole, chosen), data))
                return [begin + size]

            tf.while_loop(lambda begin: begin < tf.shape(order)[0], batch, [0])

        return over

    def fit(
        self,
        training: TrainingBatches,
        *,
        validation_data: Batches | None,
        epochs: int,
        initial_epoch: int,
        callbacks: Sequence[Any],
    ) -> dict[str, list[float]]:
        """Keras' `fit` over the maps in `maps`.

        Args:
            training: Targets, weights and order of the training images.
            validation_data: Targets of the validation images; None without any.
            epochs: Largest number of epochs.
            initial_epoch: Epochs done before.
            callbacks: Keras callbacks.

        Returns:
            Metric -> its value after each epoch.
        """
        model = self._model
        watching = keras.callbacks.CallbackList(
            list(callbacks), add_history=True, epochs=epochs, model=model, verbose=0
        )
        model.stop_training = False
        watching.on_train_begin()
        logs: dict[str, float] = {}
        training.on_epoch_end()  # as Keras does once before it begins
        for epoch in range(initial_epoch, epochs):
            watching.on_epoch_begin(epoch)
            logs = self._pass(self._train, training, self.maps[0])
            training.on_epoch_end()
            if validation_data is not None:
                scored = self._pass(self._test, validation_data, self.maps[1])
                logs |= {f"val_{name}": value for name, value in scored.items()}
            watching.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        watching.on_train_end(logs)
        history: dict[str, list[float]] = model.history.history
        return history

    def make_metrics(self, batches: Batches, maps: Any) -> None:
        """Have Keras make what metrics count in; else the step that does is compiled twice.

        Args:
            batches: Targets of some images.
            maps: Their maps.
        """
        data = (maps, *batches.all_targets())
        self._model.test_step(self._tf.nest.map_structure(lambda whole: whole[:1], data))

    def _pass(self, compiled: Any, batches: Batches, maps: Any) -> dict[str, float]:
        self._model.reset_metrics()
        compiled((maps, *batches.all_targets()), batches.order, batches.batch_size)
        return {name: float(value) for name, value in self._model.get_metrics_result().items()}
