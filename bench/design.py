"""From a study to arms to trials: lazily, so that a million-cell grid costs nothing to plan.

A trial's settings are layered, later ones winning: preset, profile, data source, the study's base,
its overlay for the profile, the arm's levels, and what the command line sets.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.faults import Layer, explain, flatten
from bench.spec import TrialSpec
from bench.study import Study, presets, profile_settings, seed_list, shipped
from bench.yaml_source import Located, nearest

COMPARED_ARMS = 20_000
"""Up to this many arms, every pair is checked for being the same trial under two names."""


@dataclass(frozen=True)
class Level:
    """One value of an axis.

    Args:
        label: As reports name it.
        preset: Another base, for a level that names one.
        layer: What it overrides, with the positions it was read from.
    """

    label: str
    preset: str | None
    layer: Layer


@dataclass(frozen=True)
class Axis:
    """A factor of the design: a setting, or a named bundle of settings."""

    name: str
    levels: tuple[Level, ...]
    bundled: bool


@dataclass(frozen=True)
class Arm:
    """A cell of the design.

    Args:
        name: Unique in the study.
        levels: Axis -> label of its level.
        spec: Its trial at seed 0.
    """

    name: str
    levels: dict[str, str]
    spec: TrialSpec

    def trial(self, seed: int) -> TrialSpec:
        """The arm's trial at a seed."""
        return self.spec.model_copy(update={"seed": seed})


@dataclass(frozen=True)
class Design:
    """A study under a profile and a data source, ready to be enumerated.

    Args:
        study: The study.
        profile: Name of the profile.
        axes: Its axes under the profile.
        seeds: Its seeds under the profile.
        source: The study's file, for positions.
        layers: What applies to every arm below its levels, first to last.
        last: What the command line sets, above the levels.
        data_source: Settings of the data source given on the command line, None without one.
    """

    study: Study
    profile: str
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    source: Located
    preset: str
    layers: tuple[Layer, ...]
    last: Layer
    data_source: dict[str, Any] | None = None
    _control: dict[str, Level] = field(default_factory=dict)

    @property
    def arm_count(self) -> int:
        """How many arms the design has."""
        sizes = [len(axis.levels) for axis in self.axes]
        if self.study.design == "one_factor":
            return 1 + sum(size - 1 for size in sizes)
        count = 1
        for size in sizes:
            count *= size
        return count

    @property
    def control(self) -> Arm:
        """The arm that the others are compared with."""
        return self._arm([self._control[axis.name] for axis in self.axes])

    def arms(self) -> Iterator[Arm]:
        """All arms, the control first in a one-factor design, else in the axes' order.

        Raises:
            BenchError: A cell's settings do not hold together, or two arms are the same.
        """
        seen: dict[str, str] = {}
        for cell in self._cells():
            arm = self._arm(cell)
            if len(seen) < COMPARED_ARMS:
                content = json.dumps(arm.spec.model_dump(mode="json"), sort_keys=True)
                twin = seen.setdefault(content, arm.name)
                if twin != arm.name:
                    raise BenchError(
                        f"the arms `{twin}` and `{arm.name}` are the same trial",
                        where=str(cell[-1].layer.position(())),
                        fix="take one of them out, or let them differ in a setting",
                    )
            yield arm

    def trials(self) -> Iterator[tuple[Arm, int, TrialSpec]]:
        """Every arm at every seed; seeds outermost, so that a cut study is still paired."""
        for seed in self.seeds:
            for arm in self.arms():
                yield arm, seed, arm.trial(seed)

    def check(self) -> None:
        """Validate the control and every level of every axis beside it.

        Raises:
            BenchError: With file, line and column of what is wrong.
        """
        control = [self._control[axis.name] for axis in self.axes]
        self._arm(control)
        for index, axis in enumerate(self.axes):
            for level in axis.levels:
                self._arm([*control[:index], level, *control[index + 1 :]])
        if self.arm_count <= COMPARED_ARMS:
            for _ in self.arms():
                pass

    def _cells(self) -> Iterator[list[Level]]:
        if self.study.design == "factorial":
            yield from (list(cell) for cell in itertools.product(*(a.levels for a in self.axes)))
            return
        control = [self._control[axis.name] for axis in self.axes]
        yield control
        for index, axis in enumerate(self.axes):
            for level in axis.levels:
                if level is not control[index]:
                    yield [*control[:index], level, *control[index + 1 :]]

    def _arm(self, cell: list[Level]) -> Arm:
        preset = next((level.preset for level in cell if level.preset), self.preset)
        for layer in (*self.layers, *(level.layer for level in cell), self.last):
            if "seed" in layer.settings:
                raise BenchError(
                    "`seed` is set by the study's seeds, arm by arm",
                    where=str(layer.position(("seed",))),
                    fix="write `seeds: [1, 2]` at the top of the study",
                )
        layers = [
            *_base_layers(preset, self.profile, self.data_source),
            *self.layers,
            *(level.layer for level in cell),
            self.last,
        ]
        plain: dict[str, Any] = {}
        for layer in layers:
            for path, value in layer.settings.items():
                put(plain, path, value)
        try:
            spec = TrialSpec.model_validate(plain)
        except ValidationError as error:
            raise explain(error, plain, layers) from None
        return Arm(self._name(cell), self._levels(cell), spec)

    def _levels(self, cell: list[Level]) -> dict[str, str]:
        return {axis.name: level.label for axis, level in zip(self.axes, cell, strict=True)}

    def _name(self, cell: list[Level]) -> str:
        if not self.axes:
            return self.preset
        parts = []
        for axis, level in zip(self.axes, cell, strict=True):
            changed = level is not self._control[axis.name]
            if self.study.design == "factorial" or changed:
                short = _short(axis.name, self.axes)
                parts.append(level.label if axis.bundled else f"{short}={level.label}")
        return ", ".join(parts) or "control"


def design(
    study: Study,
    source: Located,
    *,
    profile: str,
    data_source: dict[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Design:
    """Lay a study out under a profile and a data source.

    Args:
        study: The study.
        source: Its file, for the positions of what is wrong.
        profile: `smoke`, `laptop` or `paper`.
        data_source: Settings of the source that `--data` points to; None for the study's own.
        settings: Dotted path -> value, above everything else (the command line's `--set`).

    Raises:
        BenchError: With file, line and column.
    """
    overlay = study.profiles.get(profile)  # type: ignore[call-overload]
    preset, base = _base(study.base, source, ("base",))
    layers = [base]
    axes_from: tuple[str | int, ...] = ("axes",)
    axes, seeds = study.axes, study.seeds
    if overlay is not None:
        at: tuple[str | int, ...] = ("profiles", profile)
        layers.append(Layer(flatten(overlay.base), source, (*at, "base")))
        if overlay.axes:
            axes, axes_from = overlay.axes, (*at, "axes")
        seeds = overlay.seeds if overlay.seeds is not None else seeds
    parsed = tuple(_axis(name, axes[name], source, (*axes_from, name)) for name in axes)
    laid = Design(
        study=study,
        profile=profile,
        axes=parsed,
        seeds=tuple(_checked_seeds(seed_list(seeds), source)),
        source=source,
        preset=preset,
        layers=tuple(layers),
        last=Layer(dict(settings or {}), None, ()),
        data_source=data_source,
        _control=_control(study, parsed, source),
    )
    laid.check()
    return laid


def put(plain: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path in nested mappings.

    A mapping with another `kind` than the one in place takes its place; else they are merged.
    """
    *parents, last = path.split(".")
    for key in parents:
        inner = plain.get(key)
        plain[key] = inner = dict(inner) if isinstance(inner, dict) else {}
        plain = inner
    old = plain.get(last)
    if isinstance(value, dict) and isinstance(old, dict) and "kind" in value:
        same = value["kind"] == old.get("kind")
        plain[last] = old | value if same else dict(value)
    else:
        plain[last] = value


def _base_layers(preset: str, profile: str, data_source: dict[str, Any] | None) -> Iterable[Layer]:
    scaled = profile_settings(profile)
    yield Layer(flatten(presets()[preset]), None, ())
    yield Layer(flatten(scaled["every"]), None, ())
    yield Layer(flatten(scaled["presets"].get(preset, {})), None, ())
    if data_source is not None:
        yield Layer({"data.source": data_source}, None, ())
        yield Layer(flatten(shipped("sources.yaml")[data_source["kind"]]), None, ())


def _base(base: Any, source: Located, at: tuple[str | int, ...]) -> tuple[str, Layer]:
    overrides = dict(base) if isinstance(base, dict) else {"preset": base}
    name = overrides.pop("preset", None)
    if name not in presets():
        choices = ", ".join(presets())
        meant = nearest(str(name), presets())
        raise BenchError(
            f"no preset `{name}`" if name else "`base` names no preset",
            where=str(source.where((*at, "preset"))),
            fix=f"did you mean `{meant}`? Presets: {choices}" if meant else f"presets: {choices}",
        )
    return str(name), Layer(flatten(overrides), source, at)


def _axis(name: str, levels: Any, source: Located, at: tuple[str | int, ...]) -> Axis:
    if not levels:
        raise BenchError(
            f"the axis `{name}` has no levels",
            where=str(source.where(at)),
            fix="give it at least one level, or take it out",
        )
    parsed = []
    if isinstance(levels, dict):
        for label, bundle in levels.items():
            overrides = dict(bundle or {})
            preset = overrides.pop("base", None)
            if preset is not None:
                _base(preset, source, (*at, label, "base"))
            parsed.append(
                Level(str(label), preset, Layer(flatten(overrides), source, (*at, label)))
            )
        return Axis(name, tuple(parsed), bundled=True)
    for index, value in enumerate(levels):
        label = value if isinstance(value, str) else json.dumps(value)
        if label in [level.label for level in parsed]:
            raise BenchError(
                f"the axis `{name}` has the level `{label}` twice: two arms would be the same",
                where=str(source.where((*at, index))),
                fix="take one of them out",
            )
        parsed.append(Level(label, None, Layer({name: value}, source, (*at, index))))
    return Axis(name, tuple(parsed), bundled=False)


def _control(study: Study, axes: tuple[Axis, ...], source: Located) -> dict[str, Level]:
    chosen = {axis.name: axis.levels[0] for axis in axes}
    by_name = {axis.name: axis for axis in axes}
    for name, value in study.control.items():
        at = source.where(("control", name))
        if name not in by_name:
            meant = nearest(name, by_name)
            raise BenchError(
                f"the control names the axis `{name}`, which the study does not have",
                where=str(at),
                fix=f"did you mean `{meant}`?" if meant else f"axes: {', '.join(by_name)}",
            )
        label = value if isinstance(value, str) else json.dumps(value)
        levels = {level.label: level for level in by_name[name].levels}
        if label not in levels:
            raise BenchError(
                f"the control is no arm: the axis `{name}` has no level `{label}`",
                where=str(at),
                fix=f"levels: {', '.join(levels)}",
            )
        chosen[name] = levels[label]
    return chosen


def _checked_seeds(seeds: list[int], source: Located) -> list[int]:
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise BenchError(
            f"seeds must be distinct and not negative; found {seeds}",
            where=str(source.where(("seeds",))),
        )
    return seeds


def _short(name: str, axes: tuple[Axis, ...]) -> str:
    """The last word of a dotted path, where no other axis ends in it."""
    last = name.rsplit(".", 1)[-1]
    alike = [axis for axis in axes if axis.name.rsplit(".", 1)[-1] == last]
    return last if len(alike) == 1 else name
