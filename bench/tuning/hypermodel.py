"""RopaNet as KerasTuner knows models: for whoever runs KerasTuner's own tuners on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np

from bench.errors import BenchError
from bench.models.network import BuiltModel, ModelInputs, seed_layers
from bench.study.space import with_values
from bench.study.trial import TrialSpec
from bench.study.tuning import EPOCHS, Tuning
from bench.systems.registry import BALANCING, load
from bench.train.balance import Balance
from bench.train.fitting import compile_network
from bench.tuning.hyperparameters import declare, decoded


class RopaNetHyperModel(keras_tuner.HyperModel):
    """A KerasTuner `HyperModel` of a trial's model, compiled as the bench compiles it.

    Fit it on features `(n, h, w, c)` and a dict of targets: `category` `(n,)` classes and, for a
    model that is trained on landmarks, `landmarks` `(n, 8)`, the index `row * side + column` of
    each landmark's pixel, -1 for one that is not trained (`pixel_targets`).
    KerasTuner's own tuners train one trial after another in this process; a study's `tuning:` adds
    workers, fair arms and the store.

    Args:
        spec: The trial that proposals change: model, landmarks, training and seed.
        space: Setting by dotted path -> dimension, as in a study's `tuning.space`.
        feature_shape: `(h, w, c)` of the features; the backbone is frozen.
        classes: Number of categories.
        counts: `(classes,)` training images of each class, for a balancing rule that asks.

    Example:

        spec = TrialSpec(model=RopaNet(), landmarks=LandmarkSpec(), train=TrainSpec(epochs=5))
        space = {"train.learning_rate": {"kind": "float", "low": 1e-4, "high": 1e-2,
                                         "scale": "log"}}
        tuner = keras_tuner.BayesianOptimization(
            RopaNetHyperModel(spec, space, feature_shape=(8, 8, 2048), classes=50),
            objective=keras_tuner.Objective("val_category_accuracy", "max"), max_trials=20,
        )
        tuner.search(features, targets, validation_data=(others, their_targets))

    Raises:
        pydantic.ValidationError: A dimension is not one, or a proposal's values do not go together.
        BenchError: The balancing rule changes the batches, which are the caller's here.
    """

    def __init__(
        self,
        spec: TrialSpec,
        space: Mapping[str, Any],
        *,
        feature_shape: Sequence[int],
        classes: int,
        counts: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="ropanet")
        self._spec = spec
        self._space = Tuning(space=dict(space), trials=1).parameters
        self._shape, self._classes = tuple(feature_shape), classes
        self._counts = np.ones(classes, np.int64) if counts is None else counts

    def build(self, hp: Any) -> keras.Model:
        """The model at KerasTuner's values."""
        spec = self.proposed(hp)
        assert spec.train is not None, "the spec admits no trained model without training"
        features = keras.Input(self._shape, name="features")
        network: BuiltModel = load(spec.model.build)(
            spec, ModelInputs(features, features), self._classes
        )
        seed_layers(network.model.layers, spec.seed)
        for variable, shadow in network.shadows:
            shadow.assign(keras.ops.copy(variable.value))
        balance: Balance = load(BALANCING[spec.train.balancing].build)(
            self._counts, spec.train.strength
        )
        if balance.class_weights is not None or balance.draw_shares is not None:
            raise BenchError(
                f"balancing {spec.train.balancing} changes the batches, which are the caller's in "
                "a HyperModel: it would be ignored",
                fix="use a rule that changes the loss, or a study's `tuning:`",
            )
        compile_network(network, spec, balance, self._classes)
        return network.model

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """Train the model, for the trial's epochs and in its batches where nothing else is said."""
        train = self.proposed(hp).train
        assert train is not None
        # Hyperband passes the epochs of its rung.
        if EPOCHS in self._space or "epochs" not in kwargs:
            kwargs["epochs"] = train.epochs
        kwargs.setdefault("batch_size", train.batch_size)
        return model.fit(*args, **kwargs)

    def proposed(self, hp: Any) -> TrialSpec:
        """The trial that KerasTuner's values stand for."""
        declare(self._space, hp)
        return with_values(self._spec, decoded(self._space, hp.values))
