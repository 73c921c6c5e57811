"""The grouped optimizer: groups of variables that are updated at rates of their own (§4.5).

RopaNet's landmark branch is updated at every batch and the rest at every r-th (ledger row 9), each
group by an optimiser with its own moments and step count (row 10).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
from keras import ops


@dataclass(frozen=True)
class Group:
    """Variables that are updated together.

    Batches are counted from 1; batch b is the group's turn where b modulo `period` is in `turns`,
    so that the defaults update it at every batch and `Group(variables, period=2)` at batches
    2, 4, 6, ...

    Args:
        variables: Trainable variables.
        name: What they are, for a reader.
        period: Length of the cycle, in batches.
        turns: Remainders at which the group takes a step.
        shadows: Pairs of a variable of the group and its shadow: another trainable variable, always
            equal to it, through which a second loss reaches it. The group's step is followed by
            one with the shadows' gradients, and the shadows are then made equal again.
    """

    variables: Sequence[Any]
    name: str = ""
    period: int = 1
    turns: tuple[int, ...] = (0,)
    shadows: Sequence[tuple[Any, Any]] = ()

    @property
    def members(self) -> list[Any]:
        """The group's variables and their shadows."""
        return [*self.variables, *(shadow for _, shadow in self.shadows)]

    def is_due(self, batch: int) -> bool:
        """Whether a batch, from 1, is the group's turn."""
        return batch % self.period in {turn % self.period for turn in self.turns}


class GroupedOptimizer(keras.optimizers.Optimizer):
    """Updates each group of variables at its own rate, under plain `fit`, compiled or not.

    A group takes the gradients of the batches that are its turn and skips the others; its moments
    and its step count do not move on a skipped batch. Works on any Keras backend: on JAX, which has
    no assignment under a condition, a skipped update is computed and put back.

    Args:
        make: Makes one optimiser a group, such as `lambda: keras.optimizers.Adam(5e-3)`.
        groups: The groups; together they and their shadows hold every trainable variable once.
        shared_count: Whether every step of any group counts in one step count, as when one Adam
            object takes all steps (ledger row 10), which makes its bias correction run too fast.

    Example:

        head = Group(model.get_layer("head").trainable_variables, period=2)
        body = Group(model.get_layer("body").trainable_variables)
        model.compile(GroupedOptimizer(lambda: keras.optimizers.Adam(5e-3), [body, head]), loss=...)
    """

    def __init__(
        self,
        make: Callable[[], Any],
        groups: Sequence[Group],
        *,
        shared_count: bool = False,
        name: str = "grouped",
    ) -> None:
        parts = [make() for _ in groups]
        super().__init__(learning_rate=float(parts[0].learning_rate), name=name)
        self._parts = parts
        self._groups = list(groups)
        self._shared_count = shared_count
        cycle = math.lcm(*(group.period for group in groups))
        due = [[group.is_due(batch) for group in groups] for batch in range(cycle)]
        self._patterns = [list(pattern) for pattern in sorted(set(map(tuple, due)))]
        self._pattern_at = [self._patterns.index(pattern) for pattern in due]

    def build(self, variables: Sequence[Any]) -> None:
        """Make the groups' optimiser variables.

        Raises:
            ValueError: The groups do not hold each of `variables` exactly once.
        """
        if self.built:
            return
        super().build(variables)
        index = {id(variable) for variable in variables}
        members = [id(variable) for group in self._groups for variable in group.members]
        if sorted(members) != sorted(index):
            raise ValueError(
                f"the groups must hold each of the {len(index)} trainable variables once; they "
                f"hold {len(members)}, {len(set(members) & index)} of them trainable"
            )
        for part, group in zip(self._parts, self._groups, strict=True):
            part.build(list(group.variables))

    @property
    def variables(self) -> list[Any]:
        """Own step count and learning rate, then every group's optimiser variables."""
        own = list(super().variables)
        return own + [variable for part in self._parts for variable in part.variables]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One batch: each group whose turn it is takes its step.

        Args:
            grads: Gradients, one a trainable variable, in the order the optimiser was built with.
            trainable_variables: Those variables; may be left out once built.
        """
        if trainable_variables is None:
            if not self.built:
                raise ValueError("build the optimiser, or pass the variables, before applying")
            trainable_variables = self._trainable_variables
        known = {id(v): grad for v, grad in zip(trainable_variables, grads, strict=True)}
        self.build(list(trainable_variables))
        self.apply_due(lambda variables: [known[id(variable)] for variable in variables])

    def apply_due(self, gradients: Callable[[list[Any]], Sequence[Any]]) -> None:
        """One batch, of which only the gradients of the groups whose turn it is are asked for.

        Args:
            gradients: Gives the gradients of variables; None for one that the loss does not hold.
        """
        at = (self.iterations.value + 1) % len(self._pattern_at)
        pattern = ops.take(ops.convert_to_tensor(self._pattern_at), at)
        if keras.backend.backend() == "jax":
            self._put_back_what_is_not_due(pattern, gradients)
        else:
            ops.switch(pattern, [partial(self._taken, due, gradients) for due in self._patterns])
        self._iterations.assign_add(1)

    def _taken(self, due: Sequence[bool], gradients: Callable[[list[Any]], Sequence[Any]]) -> bool:
        """Take the steps of the groups that are due."""
        pairs = [pair for pair, is_due in zip(self._pairs(), due, strict=True) if is_due]
        known = _known([group for _, group in pairs], gradients)
        for part, group in pairs:
            self._steps(part, group, known)
        return True

    def _put_back_what_is_not_due(
        self, pattern: Any, gradients: Callable[[list[Any]], Sequence[Any]]
    ) -> None:
        """Take every step and put back those not due: no state changes inside a condition."""
        known = _known(self._groups, gradients)
        for (part, group), turns in zip(
            self._pairs(), zip(*self._patterns, strict=True), strict=True
        ):
            if all(turns):
                self._steps(part, group, known)
                continue
            due = ops.take(ops.convert_to_tensor(turns), pattern)
            state = self._state(part, group)
            before = [ops.copy(variable.value) for variable in state]
            self._steps(part, group, known)
            for variable, old in zip(state, before, strict=True):
                variable.assign(ops.where(due, variable.value, old))

    def _pairs(self) -> Iterator[tuple[Any, Group]]:
        """The groups in the order of their steps, each behind its optimiser."""
        return zip(self._parts, self._groups, strict=True)

    def _steps(self, part: Any, group: Group, known: Mapping[int, Any]) -> None:
        self._step(part, [(known[id(v)], v) for v in group.variables])
        if group.shadows:
            self._step(part, [(known[id(t)], v) for v, t in group.shadows])
            for variable, shadow in group.shadows:
                shadow.assign(variable.value)

    def _step(self, part: Any, pairs: Sequence[tuple[Any, Any]]) -> None:
        pairs = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
        if not pairs:
            return
        gradients, variables = (list(side) for side in zip(*pairs, strict=True))
        part.apply(gradients, variables)
        if self._shared_count:
            for other in self._parts:
                if other is not part:
                    other.iterations.assign(part.iterations.value)

    def _state(self, part: Any, group: Group) -> list[Any]:
        """All that a group's step changes."""
        counts = [p.iterations for p in self._parts if p is not part] if self._shared_count else []
        shadows = [shadow for _, shadow in group.shadows]
        return [*group.variables, *shadows, *part.variables, *counts]


def _known(
    groups: Sequence[Group], gradients: Callable[[list[Any]], Sequence[Any]]
) -> dict[int, Any]:
    """The gradients of the groups' members, by `id` of the variable."""
    variables = [variable for group in groups for variable in group.members]
    return dict(zip(map(id, variables), gradients(variables), strict=True))
