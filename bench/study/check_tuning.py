"""Whether a study can be tuned as it says, before anything runs: every fault with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from bench.errors import BenchError
from bench.files.yaml import did_you_mean
from bench.metrics.catalogue import FOR_TUNING
from bench.study.budget import budget_of, epochs_of
from bench.study.config_errors import explain, known_settings
from bench.study.overlays import Overlay
from bench.study.space import corners, grid_size, plain_with, space_of
from bench.study.trial import TrialSpec
from bench.study.tuning import EPOCHS, Choice, Space, Tuning

if TYPE_CHECKING:
    from bench.study.design import Arm, Design

MOST_ARMS = 1000
"""Nobody tunes more arms than this; a larger design is a slip."""

SAME_FOR_ALL = "so that all arms are tuned on the same validation images"
FORBIDDEN = {
    "seed": "the search is judged at `tuning.seeds`",
    "vary": "what a seed varies is the same for every proposal",
    "data": f"the data are the same for every proposal, {SAME_FOR_ALL}",
    "eval": "proposals are judged alike, by `tuning.metric` on the validation images",
    "model.kind": "models are compared as arms: name them in an axis",
}


def check_tuning(design: Design) -> None:
    """Validate a study's tuning, arm by arm.

    Raises:
        BenchError: With file, line and column.
    """
    tuning = design.tuning
    if tuning is None:
        return
    _check_paths(tuning, design)
    common = sorted(set(tuning.seed_list) & set(design.seeds))
    if len(set(tuning.seed_list)) < len(tuning.seed_list) or min(tuning.seed_list) < 0:
        raise _fault(design, "seeds", f"tuning seeds must be distinct and not negative; found "
                     f"{tuning.seed_list}")  # fmt: skip
    if common:
        raise _fault(
            design,
            "seeds",
            f"seed {common[0]} is one of the study's own, at which the winners are tested",
            "take other seeds for the tuning",
        )
    if design.arm_count > MOST_ARMS:
        raise _fault(design, "space", f"tunes {design.arm_count:,} arms; at most {MOST_ARMS:,} are")
    arms = list(design.arms())
    _check_alike(tuning, arms, design)
    for arm in arms:
        _check_arm(tuning, arm, design)


def _fault(design: Design, key: str, what: str, fix: str | None = None) -> BenchError:
    return BenchError(what, where=str(design.source.where((*_at(design, key), key))), fix=fix)


def _at(design: Design, key: str) -> tuple[str, ...]:
    """Where the tuning's keys stand: under the profile, where it has this one, or at the top."""
    above = ("profiles", design.profile, "tuning")
    return above if (*above, key) in design.source.positions else ("tuning",)


def _check_paths(tuning: Tuning, design: Design) -> None:
    known = known_settings()
    at = (*_at(design, "space"), "space")
    before: list[str] = []
    for path, parameter in tuning.parameters.items():
        where = str(design.source.where((*at, path)))
        if path not in known:
            raise BenchError(
                f"`{path}` is no setting",
                where=where,
                fix=did_you_mean(path, known, "see `bench schema`"),
            )
        for prefix, why in FORBIDDEN.items():
            if f"{path}.".startswith(f"{prefix}."):
                raise BenchError(f"`{path}` cannot be tuned: {why}", where=where)
        if path.startswith("model.backbone.") and not isinstance(parameter, Choice):
            raise BenchError(
                f"`{path}` decides which features are extracted, all of them beforehand",
                where=where,
                fix="give it a list of values",
            )
        _check_free(path, where, design)
        for name in parameter.when:
            _check_condition(tuning, path, name, before, design, known)
        before.append(path)


def _check_free(path: str, where: str, design: Design) -> None:
    """Nothing else may set what is tuned: it would have no effect."""
    if any(_overlap(path, name) for name in design.last.settings):
        raise BenchError(
            f"`{path}` is tuned, which would ignore the value given", where="--set",
            fix=f"leave it out, or take it out of the space at {where}",
        )  # fmt: skip
    for axis in design.axes:
        if any(_overlap(path, name) for level in axis.levels for name in level.overlay.settings):
            raise BenchError(
                f"`{path}` is tuned, which would ignore the levels of the axis `{axis.name}`",
                where=where,
                fix="take it out of the space, or out of the axis",
            )


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _check_condition(
    tuning: Tuning, path: str, name: str, before: list[str], design: Design, known: frozenset[str]
) -> None:
    where = str(design.source.where((*_at(design, "space"), "space", path, "when", name)))
    if name in tuning.space and name not in before:
        raise BenchError(
            f"`{path}` depends on `{name}`, which stands after it", where=where, fix="put it first"
        )
    if name not in tuning.space and name not in known:
        raise BenchError(
            f"`{name}` is no setting",
            where=where,
            fix=did_you_mean(name, known, None),
        )
    points = tuning.parameters[name].points() if name in tuning.space else None
    for value in tuning.parameters[path].wanted(name):
        if name in tuning.space and (points is None or value not in points):
            raise BenchError(
                f"`{name}` is never {value!r}" if points else f"`{name}` has no single values",
                where=where,
                fix=f"its values: {', '.join(map(str, points[:20]))}" if points else None,
            )


def _check_alike(tuning: Tuning, arms: list[Arm], design: Design) -> None:
    """Arms that are compared are tuned on the same validation images, rung by rung."""
    first = arms[0]
    for arm in arms[1:]:
        for name, value in arm.spec.data:
            if name != "train_size" and value != getattr(first.spec.data, name):
                raise _fault(
                    design,
                    "space",
                    f"the arms `{first.name}` and `{arm.name}` differ in data.{name}",
                    f"let it be one, {SAME_FOR_ALL}",
                )
        if len({"sampling" in each.spec.vary for each in (first, arm)}) > 1:
            raise _fault(
                design,
                "space",
                f"of the arms `{first.name}` and `{arm.name}` only one draws images by seed (vary)",
                f"let it be one, {SAME_FOR_ALL}",
            )
        if tuning.algorithm == "hyperband" and epochs_of(arm.spec) != epochs_of(first.spec):
            raise _fault(
                design,
                "algorithm",
                f"the arms `{first.name}` and `{arm.name}` differ in {EPOCHS}",
                "let it be one, so that hyperband's rungs are the same for every arm",
            )
        sizes = [budget_of(tuning, each.spec).proposals for each in (first, arm)]
        if tuning.algorithm == "grid" and sizes[0] != sizes[1]:
            raise _fault(
                design,
                "space",
                f"the grid has {sizes[0]} points for `{first.name}` and {sizes[1]} for "
                f"`{arm.name}`: not the same budget",
                "use another algorithm, or a space that all arms share",
            )


def _check_arm(tuning: Tuning, arm: Arm, design: Design) -> None:
    if not arm.spec.data.validation_size:
        raise _fault(
            design,
            "space",
            "a search is judged on validation images, and data.validation_size is 0",
        )
    if "sampling" in arm.spec.vary and arm.spec.data.split != "official":
        raise _fault(
            design,
            "space",
            f"vary: sampling divides the images anew at each seed (data.split: "
            f"{arm.spec.data.split}), so that winners would be tested on images that they were "
            "tuned on",
            "leave out sampling, or use data.split: official",
        )
    has = {
        "landmarks": arm.spec.model.has_landmarks,
        "detections": arm.spec.model.of_items,
        "macro averages": arm.spec.eval.precision_recall == "both",
        None: True,
    }
    if not has[FOR_TUNING[tuning.metric].requires]:
        raise _fault(design, "metric", f"the arm `{arm.name}` has no {tuning.metric}")
    space = space_of(tuning, arm.spec)
    if not space:
        raise _fault(
            design,
            "space",
            f"nothing of the space exists for the arm `{arm.name}`",
            "give every arm at least one setting to tune, or take it out",
        )
    overlay = Overlay(dict.fromkeys(space), design.source, (*_at(design, "space"), "space"))
    for values in corners(space):
        plain = plain_with(arm.spec, values)
        try:
            TrialSpec.model_validate(plain)
        except ValidationError as error:
            raise explain(error, plain, [overlay]) from None
    _check_budget(tuning, arm, space, design)


def _check_budget(tuning: Tuning, arm: Arm, space: Space, design: Design) -> None:
    budget, points = budget_of(tuning, arm.spec), grid_size(space)
    key = "trials" if tuning.trials is not None else "epochs"
    if tuning.algorithm == "grid":
        _check_grid(tuning, points, space, arm, design)
    elif tuning.algorithm == "hyperband":
        if EPOCHS in space:
            raise _fault(design, "space", f"hyperband sets {EPOCHS} itself", "take it out")
        if not budget.passes:
            raise _fault(
                design,
                key,
                f"{tuning.trials or tuning.epochs} {key} are too few for one pass of hyperband "
                f"over {epochs_of(arm.spec)} epochs at factor {tuning.rung_factor}",
                f"at least {_least(tuning, arm)}",
            )
    elif tuning.epochs is not None and EPOCHS not in space:
        each = epochs_of(arm.spec)
        if tuning.epochs % each:
            raise _fault(
                design,
                key,
                f"{tuning.epochs} epochs are no whole number of proposals of {each} epochs, which "
                f"the arm `{arm.name}` trains",
                f"{max(tuning.epochs // each, 1) * each} or {(tuning.epochs // each + 1) * each}",
            )
    elif points is not None and tuning.trials is not None and tuning.trials > points:
        raise _fault(
            design,
            key,
            f"{tuning.trials} proposals are asked for, and the space has {points} points",
            f"at most {points}; `algorithm: grid` takes each of them once",
        )


def _least(tuning: Tuning, arm: Arm) -> str:
    plenty = Tuning.model_validate(tuning.model_dump() | {"trials": None, "epochs": 10_000_000})
    budget = budget_of(plenty, arm.spec)
    asked = budget.proposals if tuning.trials is not None else budget.epochs
    return f"{(asked or 0) // max(budget.passes, 1)}"


def _check_grid(tuning: Tuning, points: int | None, space: Space, arm: Arm, design: Design) -> None:
    if points is None:
        path = next(path for path, parameter in space.items() if parameter.points() is None)
        raise BenchError(
            f"`{path}` has no end of values, which a grid cannot take each",
            where=str(design.source.where((*_at(design, "space"), "space", path))),
            fix="give it a step or a list of values",
        )
    if tuning.epochs is not None:
        raise _fault(design, "epochs", "a grid is counted in `trials`", "leave the budget out")
    if tuning.trials is not None and tuning.trials != points:
        raise _fault(
            design,
            "trials",
            f"the grid has {points} points for the arm `{arm.name}`; found {tuning.trials}",
            "leave `trials` out, or use `algorithm: random` for a part of them",
        )
