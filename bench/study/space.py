"""Points of a tuning's space: which dimensions an arm has, and a trial with a point over it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from bench.study.overlays import put
from bench.study.trial import TrialSpec
from bench.study.tuning import EPOCHS, Space, Tuning

Values = dict[str, Any]


def space_of(tuning: Tuning, spec: TrialSpec) -> Space:
    """The dimensions that an arm has: conditions on settings outside the space are settled."""
    plain = spec.model_dump(mode="json")
    space: Space = {}
    for path, parameter in tuning.parameters.items():
        outside = [name for name in parameter.when if name not in tuning.space]
        inside = {name: v for name, v in parameter.when.items() if name in tuning.space}
        orphan = any(name not in space for name in inside)
        if orphan or any(_dig(plain, name) not in parameter.wanted(name) for name in outside):
            continue
        space[path] = parameter.model_copy(update={"when": inside})
    return space


def active(space: Space, chosen: Mapping[str, Any]) -> Values:
    """A point of the space: chosen values, else defaults, of the dimensions that exist there."""
    values: Values = {}
    for path, parameter in space.items():
        there = all(
            name in values and values[name] in parameter.wanted(name) for name in parameter.when
        )
        if there:
            values[path] = chosen.get(path, parameter.default)
    return values


def corners(space: Space) -> Iterator[Values]:
    """Points that show each end of each dimension, the others at their defaults."""
    for path, parameter in space.items():
        for value in parameter.ends():
            chosen = {path: value}
            _awaken(space, path, chosen)
            yield active(space, chosen)


def _awaken(space: Space, path: str, chosen: Values) -> None:
    for name in space[path].when:
        if name not in chosen:
            chosen[name] = space[path].wanted(name)[0]
            _awaken(space, name, chosen)


def grid_size(space: Space) -> int | None:
    """How many points a space has; None for a continuum."""
    # Many points differ in what only exists elsewhere: count paths through the conditions.
    if any(parameter.points() is None for parameter in space.values()):
        return None
    asked = {name for parameter in space.values() for name in parameter.when}
    return _count(space, list(space), {}, asked)


def _count(space: Space, left: Sequence[str], values: Values, asked: set[str]) -> int:
    if not left:
        return 1
    path, *rest = left
    parameter = space[path]
    if any(values.get(name) not in parameter.wanted(name) for name in parameter.when):
        return _count(space, rest, values, asked)
    points = parameter.points() or []
    if path not in asked:
        return len(points) * _count(space, rest, values, asked)
    return sum(_count(space, rest, values | {path: point}, asked) for point in points)


def with_values(spec: TrialSpec, values: Mapping[str, Any], epochs: int | None = None) -> TrialSpec:
    """An arm's trial at a point of the space.

    Args:
        spec: The arm's trial.
        values: Dotted path -> value.
        epochs: Epochs to train instead, for a rung or the last proposal of a budget.

    Raises:
        pydantic.ValidationError: They do not go together.
    """
    plain = plain_with(spec, values)
    if epochs is not None:
        put(plain, EPOCHS, epochs)
    return TrialSpec.model_validate(plain)


def plain_with(spec: TrialSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same as plain data, not yet validated."""
    plain = spec.model_dump(mode="json")
    for path, value in values.items():
        put(plain, path, value)
    return plain


def judged(spec: TrialSpec) -> TrialSpec:
    """The same trial scored on the validation images: it never sees the test images."""
    return spec.model_copy(update={"eval": spec.eval.model_copy(update={"split": "validation"})})


def at_draws(spec: TrialSpec, seeds: Iterable[int]) -> list[TrialSpec]:
    """A trial at every seed that draws images of its own; itself alone where none does."""
    if "sampling" not in spec.vary:
        return [spec]
    return [spec.model_copy(update={"seed": seed}) for seed in seeds]


def feature_specs(tuning: Tuning, spec: TrialSpec) -> Iterator[TrialSpec]:
    """Trials of an arm that between them need every feature that a proposal may need."""
    space = space_of(tuning, spec)
    choices = {path: p.ends() for path, p in space.items() if path.startswith("model.backbone.")}
    for values in itertools.product(*choices.values()):
        chosen: dict[str, Any] = dict(zip(choices, values, strict=True))
        there = {path: v for path, v in active(space, chosen).items() if path in choices}
        try:
            yield with_values(spec, there)
        except ValidationError:
            continue  # a proposal of these two would fail, and be counted as having failed


def _dig(plain: Any, path: str) -> Any:
    for key in path.split("."):
        plain = plain.get(key) if isinstance(plain, dict) else None
    return plain
