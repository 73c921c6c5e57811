"""Resolves a study: its axes, seeds and conditions under a profile and a data source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.files.yaml import Located
from bench.study import cells
from bench.study.axes import Axis, check_preset, ledger_axes, parse_axis, parse_control
from bench.study.check_question import check_question
from bench.study.check_tuning import check_tuning
from bench.study.conditions import parse_condition
from bench.study.config_errors import known_settings
from bench.study.design import Design
from bench.study.overlays import Overlay, flatten
from bench.study.settings.training import Backend
from bench.study.study import (
    FEWEST_SEEDS,
    FIRST_LOOK,
    LAST_LOOK,
    DesignChoice,
    Fractional,
    KeepModels,
    LedgerRows,
    Study,
    UntilSettled,
    seed_list,
)
from bench.study.tuning import Tuning, overlaid
from bench.systems.ledger import ledger


def resolve_study(
    study: Study,
    source: Located,
    *,
    profile: str,
    data_source: dict[str, Any] | None = None,
    there: dict[str, int] | None = None,
    settings: Mapping[str, Any] | None = None,
    until_settled: bool = False,
    backend: Backend | None = None,
    keep_models: KeepModels | None = None,
) -> Design:
    """Resolve a study under a profile and a data source.

    Args:
        study: The study.
        source: Its file, for the positions of what is wrong.
        profile: `smoke`, `laptop` or `paper`.
        data_source: Settings of the source that `--data` points to; None for the study's own.
        there: Setting of a size -> images that the data has for it (`Design`).
        settings: Dotted path -> value, above everything else (the command line's `--set`).
        until_settled: Go on after the study's fixed seeds until it is settled.
        backend: Backend of every arm that is trained; None for each arm's own.
        keep_models: Whose weights are kept with each trial; None for what the study says.

    Raises:
        BenchError: With file, line and column.
    """
    overlay = study.profiles.get(profile)  # type: ignore[call-overload]
    preset, base = _base(study.base, source)
    overlays, choice = [base], study.design
    axes_from: tuple[str | int, ...] = ("axes",)
    axes, seeds = study.axes, study.seeds
    if overlay is not None:
        at: tuple[str | int, ...] = ("profiles", profile)
        overlays.append(Overlay(flatten(overlay.base), source, (*at, "base")))
        if overlay.axes:
            axes, axes_from = overlay.axes, (*at, "axes")
        seeds = overlay.seeds if overlay.seeds is not None else seeds
        choice = overlay.design or choice
    if until_settled:
        seeds = _going_on(seeds, source)
    known = known_settings()
    parsed = tuple(parse_axis(name, axes[name], source, (*axes_from, name), known) for name in axes)
    if choice == "ledger" or isinstance(choice, LedgerRows):
        own = overlay is not None and overlay.design is not None
        at_design = ("profiles", profile, "design") if own else ("design",)
        parsed = _ledger(study, parsed, preset, choice, source, at_design)
    _check_choice(choice, parsed, source)
    design = Design(
        study=study,
        profile=profile,
        choice=choice,
        axes=parsed,
        seeds=tuple(_checked_seeds(seed_list(seeds), source)),
        source=source,
        preset=preset,
        overlays=tuple(overlays),
        last=Overlay(dict(settings or {}), None, ()),
        conditions=tuple(
            parse_condition(text, str(source.where(("where", index))), known)
            for index, text in enumerate(study.where)
        ),
        data_source=data_source,
        there=there,
        tuning=_tuning(study, profile, source),
        until=seeds if isinstance(seeds, UntilSettled) else None,
        backend=backend,
        keep_models=study.keep_models if keep_models is None else keep_models,
        _control=parse_control(study, parsed, source),
    )
    design.check()
    check_tuning(design)
    check_question(design)
    return design


def _going_on(seeds: int | list[int] | UntilSettled, source: Located) -> UntilSettled:
    """Fixed seeds as the first look of a study that goes on."""
    if isinstance(seeds, UntilSettled):
        return seeds
    if isinstance(seeds, list) or seeds < FEWEST_SEEDS:
        raise BenchError(
            f"`--until-settled` goes on from a number of seeds, at least {FEWEST_SEEDS}; found "
            f"{seeds!s:.80}",
            where=str(source.where(("seeds",))),
            fix=f"seeds: {{first: {FIRST_LOOK}, most: {LAST_LOOK}}}",
        )
    return UntilSettled(first=seeds, most=max(seeds, LAST_LOOK))


def _tuning(study: Study, profile: str, source: Located) -> Tuning | None:
    overlay = study.profiles.get(profile)  # type: ignore[call-overload]
    if overlay is None or overlay.tuning is None:
        return study.tuning
    at = ("profiles", profile, "tuning")
    if study.tuning is None:
        raise BenchError(
            "changes a tuning that the study does not have",
            where=str(source.where(at)),
            fix="write `tuning:` at the top of the study",
        )
    try:
        return overlaid(study.tuning, overlay.tuning)
    except ValidationError as error:
        raise BenchError(str(error.errors()[0]["msg"]), where=str(source.where(at))) from None


def _ledger(
    study: Study,
    axes: tuple[Axis, ...],
    preset: str,
    choice: DesignChoice,
    source: Located,
    at: tuple[str | int, ...],
) -> tuple[Axis, ...]:
    """The axes of a ledger design, which is written at a place of the study."""
    for key, given in (("axes", axes), ("control", study.control), ("where", study.where)):
        if given:
            raise BenchError(
                f"a ledger design takes the ledger's rows and has no `{key}` of its own",
                where=str(source.where((key,))),
                fix="see the rows with `bench ledger`",
            )
    if preset != "as_published":
        raise BenchError(
            f"a ledger design starts from as_published; found {preset}",
            where=str(source.where(("base",))),
            fix="base: as_published",
        )
    left_out = choice.without if isinstance(choice, LedgerRows) else ()
    found = ledger_axes(left_out)
    known = [row.row for row in ledger() if row.released]
    for index, row in enumerate(left_out):
        if row not in known or row in left_out[:index]:
            raise BenchError(
                f"expected rows that differ between the paper and its code, each once; found {row}",
                where=str(source.where((*at, "without", index))),
                fix=f"those that differ are {', '.join(map(str, known))} (`bench ledger`)",
            )
    if not found:
        raise BenchError(
            "leaves out every row", where=str(source.where((*at, "without"))), fix="leave some in"
        )
    return found


def _check_choice(choice: DesignChoice, axes: tuple[Axis, ...], source: Located) -> None:
    where = str(source.where(("design",)))
    if choice == "leave_one_out":
        cells.two_levels(axes, "leave_one_out", where)
    if isinstance(choice, Fractional):
        cells.two_levels(axes, "fractional", where)
        most = 2 ** len(axes)
        if choice.runs & (choice.runs - 1) or choice.runs >= most:
            raise BenchError(
                f"runs of a fractional design must be a power of two below the {most} cells of "
                f"the grid; found {choice.runs}",
                where=where,
            )
        try:
            cells.fraction(len(axes), choice.runs)
        except ValueError as error:
            raise BenchError(str(error), where=where, fix="give it more runs") from None


def _base(base: Any, source: Located) -> tuple[str, Overlay]:
    overrides = dict(base) if isinstance(base, dict) else {"preset": base}
    name = check_preset(overrides.pop("preset", None), source, ("base", "preset"))
    return name, Overlay(flatten(overrides), source, ("base",))


def _checked_seeds(seeds: list[int], source: Located) -> list[int]:
    if len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**31:
        raise BenchError(
            f"seeds must be distinct, from 0 to {2**31 - 1}; found {seeds!s:.80}",
            where=str(source.where(("seeds",))),
        )
    return seeds
