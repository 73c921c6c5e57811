"""The factors of a study and their levels, as its YAML gives them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.files.yaml import Located, did_you_mean, nearest
from bench.study.conditions import Condition, parse_condition
from bench.study.overlays import Overlay, flatten
from bench.study.presets import presets
from bench.study.study import Study
from bench.systems.ledger import ledger

At = tuple[str | int, ...]

LONGEST_NAME = 200
"""Characters of an axis' or a level's name."""


@dataclass(frozen=True)
class Level:
    """One value of an axis.

    Args:
        label: As reports name it.
        preset: Another base, for a level that names one.
        overlay: What it overrides, with the positions it was read from.
    """

    label: str
    preset: str | None
    overlay: Overlay


@dataclass(frozen=True)
class Axis:
    """A factor of the design: a setting, or a name for several settings.

    Args:
        name: Its dotted path, or its name.
        levels: Its levels.
        named: Whether its levels are names for several settings each.
        when: Condition on the axes before it under which it exists at all; None for always.
    """

    name: str
    levels: tuple[Level, ...]
    named: bool
    when: Condition | None = None


def parse_axis(name: str, plain: Any, source: Located, at: At, known: frozenset[str]) -> Axis:
    """An axis from its YAML.

    Args:
        name: Its key.
        plain: A list of levels, a mapping of names to settings, or one of `when` and `levels`.
        source: The study's file.
        at: Where the axis stands in it.
        known: Dotted paths of the settings that there are, for the condition.

    Raises:
        BenchError: With file, line and column.
    """
    _check_name(name, source, at)
    when = None
    if isinstance(plain, dict) and set(plain) == {"when", "levels"}:
        given = plain["when"] if isinstance(plain["when"], dict) else str(plain["when"])
        when = parse_condition(given, str(source.where((*at, "when"))), known)
        plain, at = plain["levels"], (*at, "levels")
    if not plain:
        raise BenchError(
            f"the axis `{name}` has no levels",
            where=str(source.where(at)),
            fix="give it at least one level, or take it out",
        )
    if isinstance(plain, dict):
        named = (_named_level(key, inner, source, (*at, key)) for key, inner in plain.items())
        return Axis(name, tuple(named), named=True, when=when)
    levels: list[Level] = []
    for index, value in enumerate(plain):
        label = _check_name(label_of(value), source, (*at, index))
        if label in [level.label for level in levels]:
            raise BenchError(
                f"the axis `{name}` has the level `{label}` twice: two arms would be the same",
                where=str(source.where((*at, index))),
                fix="take one of them out",
            )
        levels.append(Level(label, None, Overlay({name: value}, source, (*at, index))))
    return Axis(name, tuple(levels), named=False, when=when)


def _named_level(label: str, plain: Any, source: Located, at: At) -> Level:
    if plain is not None and not isinstance(plain, dict):
        raise BenchError(
            f"the level `{label}` must be a mapping of settings; found {plain!r:.60}",
            where=str(source.where(at)),
            fix="write NAME: {PATH: VALUE}, or give the axis a list of values",
        )
    _check_name(label, source, at)
    overrides = dict(plain or {})
    preset = overrides.pop("base", None)
    if preset is not None:
        check_preset(preset, source, (*at, "base"))
    return Level(str(label), preset, Overlay(flatten(overrides), source, at))


def ledger_axes(without: Collection[int] = ()) -> tuple[Axis, ...]:
    """The ledger's rows that differ, each an axis from as published to as released.

    Args:
        without: Numbers of rows that are left out.
    """
    nothing = Overlay({}, None, ())
    return tuple(
        Axis(
            row.name,
            (
                Level("as published", None, nothing),
                Level("as released", None, Overlay(dict(row.released), None, ())),
            ),
            named=True,
        )
        for row in ledger()
        if row.released and row.row not in without
    )


def label_of(value: Any) -> str:
    """How a report names a level's value."""
    return value if isinstance(value, str) else json.dumps(value)


def _check_name(name: str, source: Located, at: At) -> str:
    """A name that tables, file names and terminals can show.

    Raises:
        BenchError: With file, line and column.
    """
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise BenchError(
            f"the name {name!r:.80} must be at most {LONGEST_NAME} printable characters on one "
            "line",
            where=str(source.where(at)),
        )
    return name


def check_preset(name: Any, source: Located, at: At) -> str:
    """A preset's name, known to exist.

    Raises:
        BenchError: With file, line and column.
    """
    if not isinstance(name, str) or name not in presets():
        choices = ", ".join(presets())
        meant = nearest(str(name), presets())
        raise BenchError(
            f"no preset `{name!s:.60}`" if name else "`base` names no preset",
            where=str(source.where(at)),
            fix=f"did you mean `{meant}`? Presets: {choices}" if meant else f"presets: {choices}",
        )
    return str(name)


def parse_control(study: Study, axes: tuple[Axis, ...], source: Located) -> dict[str, Level]:
    """Axis name -> the control's level, the first one where the study does not say.

    Raises:
        BenchError: With file, line and column.
    """
    chosen = {axis.name: axis.levels[0] for axis in axes}
    by_name = {axis.name: axis for axis in axes}
    for name, value in study.control.items():
        at = source.where(("control", name))
        if name not in by_name:
            raise BenchError(
                f"the control names the axis `{name}`, which the study does not have",
                where=str(at),
                fix=did_you_mean(name, by_name, f"axes: {', '.join(by_name)}"),
            )
        label = label_of(value)
        levels = {level.label: level for level in by_name[name].levels}
        if label not in levels:
            raise BenchError(
                f"the control is no arm: the axis `{name}` has no level `{label}`",
                where=str(at),
                fix=f"levels: {', '.join(levels)}",
            )
        chosen[name] = levels[label]
    return chosen
