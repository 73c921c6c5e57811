"""From a study to arms to trials: lazily, so that a million-cell grid costs nothing to plan.

A trial's settings are layered, later ones winning: preset, profile, data source, the study's base,
its overlay for the profile, the arm's levels, and what the command line sets.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.files.yaml import Located
from bench.study import cells
from bench.study.axes import Axis, Level
from bench.study.conditions import Condition, Lookup
from bench.study.config_errors import explain
from bench.study.overlays import Overlay, base_overlays, put, stacked
from bench.study.scale import PARTS, Scale
from bench.study.settings.training import Backend
from bench.study.study import (
    DesignChoice,
    DesignKind,
    Fractional,
    KeepModels,
    RandomCells,
    Study,
    UntilSettled,
)
from bench.study.trial import TrialSpec
from bench.study.tuning import Tuning
from bench.systems.ledger import ledger

COMPARED_ARMS = 20_000
"""Up to this many arms, every one is validated before anything runs, and every pair is checked
for being the same trial under two names."""

AS_PUBLISHED, AS_RELEASED = "as published", "as released"


@dataclass(frozen=True)
class Arm:
    """A cell of the design.

    Args:
        name: Unique in the study.
        levels: Axis -> label of its level; a conditional axis that is not there is left out.
        spec: Its trial at seed 0.
        against: Name of the arm it is compared with; the control where None.
    """

    name: str
    levels: dict[str, str]
    spec: TrialSpec
    against: str | None = None

    def trial(self, seed: int) -> TrialSpec:
        """The arm's trial at a seed."""
        return self.spec.model_copy(update={"seed": seed})


@dataclass(frozen=True)
class _Cell:
    """A cell, its conditional axes settled: None where an axis is not there."""

    levels: tuple[Level | None, ...]
    against: str | None = None


@dataclass(frozen=True)
class Design:
    """A study under a profile and a data source, ready to be enumerated.

    Args:
        study: The study.
        profile: Name of the profile.
        choice: The design under the profile.
        axes: Its axes under the profile.
        seeds: Its seeds under the profile; of one that goes on, those of the first look.
        source: The study's file, for positions.
        preset: Name of the base.
        overlays: What applies to every arm below its levels, first to last.
        last: What the command line sets, above the levels.
        conditions: What a cell must fulfil.
        data_source: Settings of the data source given on the command line, None without one.
        there: Setting of a size -> images that the data has for it; None where it is not known.
        tuning: How each arm is tuned, under the profile; None where arms are taken as they are.
        until: How many more seeds there may be until it is settled; None for fixed seeds.
        backend: Backend of every arm that is trained, above all else; None for each arm's own.
        keep_models: Whose trained weights are kept with each trial.
        scale: How the sizes of every arm are made to fit the data; None for as they are.
    """

    study: Study
    profile: str
    choice: DesignChoice
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    source: Located
    preset: str
    overlays: tuple[Overlay, ...]
    last: Overlay
    conditions: tuple[Condition, ...] = ()
    data_source: dict[str, Any] | None = None
    there: dict[str, int] | None = None
    tuning: Tuning | None = None
    until: UntilSettled | None = None
    backend: Backend | None = None
    keep_models: KeepModels = "none"
    scale: Scale | None = None
    _control: dict[str, Level] = field(default_factory=dict)

    @property
    def kind(self) -> DesignKind:
        """Kind of the design."""
        return DesignKind(self.choice if isinstance(self.choice, str) else self.choice.kind)

    @property
    def grid_size(self) -> int:
        """Cells of the full grid, conditions aside."""
        return prod(len(axis.levels) for axis in self.axes)

    @cached_property
    def arm_count(self) -> int:
        """How many arms the design has."""
        if self.kind != DesignKind.FACTORIAL:
            return sum(1 for _ in self._cells())
        # Only axes that a condition depends on need be walked through; the others multiply.
        free = [axis for axis in self.axes if not self._matters(axis)]
        narrowed = [
            replace(axis, levels=axis.levels[:1]) if axis in free else axis for axis in self.axes
        ]
        walked = replace(self, axes=tuple(narrowed))
        return prod(len(axis.levels) for axis in free) * sum(1 for _ in walked._cells())

    def _matters(self, axis: Axis) -> bool:
        """Whether the answer of any condition can depend on an axis' level."""
        if axis.when is not None:
            return True
        asked = {path for condition in self.conditions for path in condition.paths}
        asked |= {path for other in self.axes if other.when for path in other.when.paths}
        return bool(asked) and any(
            level.preset
            or any(_overlap(path, name) for path in asked for name in level.overlay.settings)
            for level in axis.levels
        )

    @cached_property
    def resolution(self) -> int | None:
        """Resolution of a fractional design, None for another."""
        if isinstance(self.choice, Fractional):
            return cells.fraction(len(self.axes), self.choice.runs).resolution
        return None

    @cached_property
    def _known_below(self) -> dict[str, dict[str, Any]]:
        return {}

    @property
    def control(self) -> Arm:
        """The arm that the others are compared with."""
        return self._arm(self._settled(self._control_cell()))

    def arms(self) -> Iterator[Arm]:
        """All arms, in the design's order.

        Raises:
            BenchError: A cell's settings do not hold together, or two arms are the same.
        """
        seen: dict[str, str] = {}
        for cell in self._cells():
            arm = self._arm(cell)
            if len(seen) < COMPARED_ARMS:
                content = json.dumps(arm.spec.model_dump(mode="json"), sort_keys=True)
                other = seen.setdefault(content, arm.name)
                if other != arm.name:
                    last = next(level for level in reversed(cell.levels) if level is not None)
                    raise BenchError(
                        f"the arms `{other}` and `{arm.name}` are the same trial",
                        where=str(last.overlay.position(())),
                        fix="take one of them out, or let them differ in a setting",
                    )
            yield arm

    def trials(self) -> Iterator[tuple[Arm, int, TrialSpec]]:
        """Every arm at every seed; seeds outermost, so that a cut study is still paired."""
        for seed in self.seeds:
            for arm in self.arms():
                yield arm, seed, arm.trial(seed)

    def sampled_arms(self, most: int) -> Iterator[Arm]:
        """At most so many arms: all of a small design, else cells of it sampled at random."""
        if self.arm_count <= most:
            yield from self.arms()
            return
        sampled = cells.random_cells(self.axes, self._control_cell(), seed=0)
        settled = (self._settled(cell) for cell in sampled)
        kept = (cell for cell in settled if self._fulfils(cell))
        yield from (self._arm(cell) for cell in itertools.islice(kept, most))

    def check(self) -> None:
        """Validate every arm, or of a large grid the control and every level beside it.

        Raises:
            BenchError: With file, line and column of what is wrong.
        """
        control = self._settled(self._control_cell())
        self._arm(control)
        if not self._fulfils(control):
            raise BenchError(
                "the control is no arm: a condition of `where` excludes it",
                where=str(self.source.where(("where",))),
                fix="name another control, or loosen the condition",
            )
        for _ in self.covering_arms():
            pass

    def covering_arms(self) -> Iterator[Arm]:
        """All arms, or of a large grid the control and every level beside it."""
        if self.arm_count <= COMPARED_ARMS:
            yield from self.arms()
            return
        for cell in cells.one_at_a_time(self.axes, self._control_cell()):
            yield self._arm(self._settled(cell))

    def scaled(self, scale: Scale) -> Design:
        """The same design with sizes that fit; a level that is named by its size has another name.

        Raises:
            BenchError: Two arms are the same trial then.
        """
        levels = {
            (axis.name, level.label): scale.level(axis, level)
            for axis in self.axes
            for level in axis.levels
        }
        design = replace(
            self,
            axes=tuple(
                replace(a, levels=tuple(levels[a.name, level.label] for level in a.levels))
                for a in self.axes
            ),
            scale=scale,
            _control={name: levels[name, level.label] for name, level in self._control.items()},
        )
        design.check()
        return design

    def _control_cell(self) -> cells.Cell:
        return tuple(self._control[axis.name] for axis in self.axes)

    def _cells(self) -> Iterator[_Cell]:
        if self.kind == DesignKind.LEDGER:
            for levels, backward in cells.ledger_cells(self.axes, _unverified()):
                yield _Cell(levels, AS_RELEASED if backward else None)
            return
        kept = self._distinct(self._chosen_cells())
        if isinstance(self.choice, RandomCells):
            kept = itertools.islice(kept, self.choice.arms)
        yield from kept

    def _chosen_cells(self) -> Iterator[cells.Cell]:
        match self.choice:
            case DesignKind.ONE_FACTOR:
                return cells.one_at_a_time(self.axes, self._control_cell())
            case DesignKind.LEAVE_ONE_OUT:
                return cells.one_left_out(self.axes)
            case Fractional(runs=runs):
                return cells.fractional_cells(self.axes, cells.fraction(len(self.axes), runs))
            case RandomCells(seed=seed):
                return cells.random_cells(self.axes, self._control_cell(), seed)
        return cells.all_cells(self.axes)

    def _distinct(self, cells_of_design: Iterator[cells.Cell]) -> Iterator[_Cell]:
        """Cells that fulfil the conditions, each once."""
        for levels in cells_of_design:
            cell = self._settled(levels)
            # Where an axis is not there, its levels all give one cell: the first one stands.
            repeated = any(
                kept is None and level is not axis.levels[0]
                for kept, level, axis in zip(cell.levels, levels, self.axes, strict=True)
            )
            if not repeated and self._fulfils(cell):
                yield cell

    def _settled(self, levels: cells.Cell) -> _Cell:
        settled: list[Level | None] = []
        for axis, level in zip(self.axes, levels, strict=True):
            there = axis.when is None or axis.when.holds(self._lookup(settled))
            settled.append(level if there else None)
        return _Cell(tuple(settled))

    def _fulfils(self, cell: _Cell) -> bool:
        if not self.conditions:
            return True
        lookup = self._lookup(cell.levels)
        return all(condition.holds(lookup) for condition in self.conditions)

    def _lookup(self, levels: list[Level | None] | tuple[Level | None, ...]) -> Lookup:
        """Settings of a cell by dotted path, without building them all."""
        chosen = [level for level in levels if level is not None]
        preset = next((level.preset for level in chosen if level.preset), self.preset)
        overlays = [self.last, *(level.overlay for level in reversed(chosen))]

        def lookup(path: str) -> Any:
            for overlay in overlays:
                if path in overlay.settings:
                    return overlay.settings[path]
                for name, value in overlay.settings.items():
                    if path.startswith(f"{name}."):
                        return _dig(value, path.removeprefix(f"{name}."))
            return _dig(self._below(preset), path)

        return lookup

    @cached_property
    def _known_lower(self) -> dict[str, tuple[Overlay, ...]]:
        return {}

    def _lower(self, preset: str) -> tuple[Overlay, ...]:
        """The overlays below the levels."""
        known = self._known_lower
        if preset not in known:
            base = base_overlays(preset, self.profile, self.data_source, self.there)
            known[preset] = (*base, *self.overlays)
        return known[preset]

    def _below(self, preset: str) -> dict[str, Any]:
        """What lies below the levels, defaults included where the settings hold together."""
        known = self._known_below
        if preset not in known:
            overlays = self._lower(preset)
            plain = stacked(overlays)
            try:
                plain = TrialSpec.model_validate(plain).model_dump(mode="json")
            except ValidationError as error:
                raise explain(error, plain, [*overlays, self.last]) from None
            known[preset] = plain
        return known[preset]

    def _arm(self, cell: _Cell) -> Arm:
        chosen = [level for level in cell.levels if level is not None]
        preset = next((level.preset for level in chosen if level.preset), self.preset)
        overlays = [
            *self._lower(preset),
            *(level.overlay for level in chosen),
            self.last,
        ]
        for overlay in overlays:
            if "seed" in overlay.settings:
                raise BenchError(
                    "`seed` is set by the study's seeds, arm by arm",
                    where=str(overlay.position(("seed",))),
                    fix="write `seeds: [1, 2]` at the top of the study",
                )
        plain = stacked(overlays)
        if self.backend is not None and plain.get("train") is not None:
            put(plain, "train.backend", self.backend)
            if self.backend != "tensorflow":
                put(plain, "train.arithmetic", "native")
        if self.scale is not None:
            for path in PARTS:
                put(plain, path, self.scale.fit(path, _dig(plain, path) or "all"))
        try:
            spec = TrialSpec.model_validate(plain)
        except ValidationError as error:
            raise explain(error, plain, overlays) from None
        levels = {
            axis.name: level.label
            for axis, level in zip(self.axes, cell.levels, strict=True)
            if level is not None
        }
        return Arm(self._name(cell), levels, spec, cell.against)

    def _name(self, cell: _Cell) -> str:
        if not self.axes:
            return self.preset
        changed = [
            (axis, level)
            for axis, level in zip(self.axes, cell.levels, strict=True)
            if level is not None and level is not self._control[axis.name]
        ]
        if self.kind == DesignKind.LEDGER:
            return self._ledger_name(cell, [axis.name for axis, _ in changed])
        if self.kind == DesignKind.LEAVE_ONE_OUT:
            out = [axis.name for axis, _ in changed]
            if len(out) == len(self.axes) > 1:
                return "without all of them"
            return f"without {', '.join(out)}" if out else "complete"
        shown = changed
        if self.kind != DesignKind.ONE_FACTOR:
            pairs = zip(self.axes, cell.levels, strict=True)
            shown = [(axis, level) for axis, level in pairs if level is not None]
        parts = [
            level.label if axis.named else f"{_short(axis.name, self.axes)}={level.label}"
            for axis, level in shown
        ]
        return ", ".join(parts) or "control"

    def _ledger_name(self, cell: _Cell, changed: list[str]) -> str:
        if not changed:
            return AS_PUBLISHED
        if cell.against is None:
            return changed[0] if len(changed) == 1 else AS_RELEASED
        extra = set(changed) & _unverified()
        if extra:
            return f"{AS_RELEASED}, and {extra.pop()}"
        kept = next(
            axis.name
            for axis in self.axes
            if axis.name not in changed and axis.name not in _unverified()
        )
        return f"{AS_RELEASED}, but {kept}"


def _unverified() -> frozenset[str]:
    return frozenset(row.name for row in ledger() if row.unverified)


def _overlap(one: str, other: str) -> bool:
    """Whether two dotted paths are the same or one lies within the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _dig(plain: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(plain, dict):
            return None
        plain = plain.get(key)
    return plain


def _short(name: str, axes: tuple[Axis, ...]) -> str:
    """The last word of a dotted path, where no other axis ends in it."""
    last = name.rsplit(".", 1)[-1]
    alike = [axis for axis in axes if axis.name.rsplit(".", 1)[-1] == last]
    return last if len(alike) == 1 else name
