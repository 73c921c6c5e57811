"""The tempo optimiser: groups of variables that are updated at tempos of their own (§4.5).

RopaNet's landmark branch is updated at every batch and the rest at every r-th (ledger row 9), each
group by an optimiser with its own moments and step count (row 10).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops


@dataclass(frozen=True)
class Group:
    """Variables that are updated together.

    Args:
        variables: Trainable variables.
        every: Updated at each `every`-th batch, with that batch's gradients; 1 for each batch.
    """

    variables: Sequence[Any]
    every: int = 1


class Tempo(keras.optimizers.Optimizer):
    """Updates each group of variables at its own tempo, under plain `fit`, compiled or not.

    A group with `every = r` takes the gradients of batches r, 2r, 3r, ... and skips the others;
    its moments and its step count do not move on a skipped batch. Works on any Keras backend: a
    skipped update is computed and put back, since a conditional assignment is not to be had on all
    of them.

    Args:
        make: Makes one optimiser a group, such as `lambda: keras.optimizers.Adam(5e-3)`.
        groups: The groups; together they hold every trainable variable once.

    Example:

        head = Group(model.get_layer("head").trainable_variables, every=2)
        body = Group(model.get_layer("body").trainable_variables)
        model.compile(Tempo(lambda: keras.optimizers.Adam(5e-3), [body, head]), loss=...)
    """

    def __init__(
        self, make: Callable[[], Any], groups: Sequence[Group], name: str = "tempo"
    ) -> None:
        parts = [make() for _ in groups]
        super().__init__(learning_rate=float(parts[0].learning_rate), name=name)
        self._parts = parts
        self._groups = list(groups)

    def build(self, variables: Sequence[Any]) -> None:
        """Make the groups' optimiser variables.

        Raises:
            ValueError: The groups do not hold each of `variables` exactly once.
        """
        if self.built:
            return
        super().build(variables)
        index = {id(variable): position for position, variable in enumerate(variables)}
        members = [id(v) for group in self._groups for v in group.variables]
        if sorted(members) != sorted(index):
            raise ValueError(
                f"the groups must hold each of the {len(index)} trainable variables once; they "
                f"hold {len(members)}, {len(set(members) & set(index))} of them trainable"
            )
        self._members = [[index[id(v)] for v in group.variables] for group in self._groups]
        for part, group in zip(self._parts, self._groups, strict=True):
            part.build(list(group.variables))

    @property
    def variables(self) -> list[Any]:
        """Own step count and learning rate, then every group's optimiser variables."""
        own = list(super().variables)
        return own + [variable for part in self._parts for variable in part.variables]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One batch: each group whose turn it is takes a step.

        Args:
            grads: Gradients, one a trainable variable, in the order the optimiser was built with.
            trainable_variables: Those variables; may be left out once built.
        """
        if not self.built:
            if trainable_variables is None:
                raise ValueError("build the optimiser, or pass the variables, before applying")
            self.build(list(trainable_variables))
        batch = self.iterations + 1
        for part, group, members in zip(self._parts, self._groups, self._members, strict=True):
            pairs = [(grads[i], self._trainable_variables[i]) for i in members]
            pairs = [(g, v) for g, v in pairs if g is not None]
            if not pairs:
                continue
            gradients, variables = (list(side) for side in zip(*pairs, strict=True))
            if group.every == 1:
                part.apply(gradients, variables)
            else:
                _apply_if(ops.equal(batch % group.every, 0), part, gradients, variables)
        self._iterations.assign_add(1)


def _apply_if(due: Any, part: Any, gradients: list[Any], variables: list[Any]) -> None:
    state = [*variables, *part.variables]
    before = [ops.copy(variable) for variable in state]
    part.apply(gradients, variables)
    for variable, old in zip(state, before, strict=True):
        variable.assign(ops.where(due, variable, old))
