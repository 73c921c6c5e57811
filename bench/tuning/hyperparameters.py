"""A space as KerasTuner's `HyperParameters`, and KerasTuner's values as settings. Light: the caller
imports KerasTuner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from bench.study.space import Values
from bench.study.tuning import Choice, FloatRange, IntRange, Parameter, Space


def declare(space: Space, hyperparameters: Any) -> None:
    """Register a space's dimensions with KerasTuner.

    Args:
        space: The dimensions, each after those that it depends on.
        hyperparameters: A `keras_tuner.HyperParameters`.
    """
    for path, parameter in space.items():
        with ExitStack() as scopes:
            for name in parameter.when:
                wanted = [_encoded(space[name], value) for value in parameter.wanted(name)]
                scopes.enter_context(hyperparameters.conditional_scope(name, wanted))
            if isinstance(parameter, Choice):
                hyperparameters.Choice(
                    path, [_encoded(parameter, value) for value in parameter.values]
                )
                continue
            register = {FloatRange: hyperparameters.Float, IntRange: hyperparameters.Int}
            register[type(parameter)](
                path,
                parameter.low,
                parameter.high,
                step=parameter.step,
                sampling=parameter.scale,
            )


def decoded(space: Space, raw: Mapping[str, Any]) -> Values:
    """KerasTuner's values of a point as settings; its own bookkeeping is left out."""
    return {
        path: _decoded(parameter, raw[path]) for path, parameter in space.items() if path in raw
    }


def _plain(choice: Choice) -> bool:
    """Whether KerasTuner takes the values as they are: of one kind, a number or a word."""
    kinds = {type(value) for value in choice.values}
    return len(kinds) == 1 and kinds <= {int, float, str}


def _encoded(parameter: Parameter, value: Any) -> Any:
    if isinstance(parameter, Choice) and not _plain(parameter):
        return json.dumps(value)
    return value


def _decoded(parameter: Parameter, raw: Any) -> Any:
    if isinstance(parameter, Choice) and not _plain(parameter):
        return json.loads(raw)
    return raw
