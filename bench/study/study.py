"""What a study is, as its YAML says it: base, axes, control, seeds, and what profiles change."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bench.errors import BenchError
from bench.files.yaml import Located, did_you_mean, load_yaml, nearest
from bench.metrics.catalogue import ACCURACY, COMPARED
from bench.study.shipped import find_study
from bench.study.tuning import Choice, FloatRange, IntRange, Tuning, TuningOverlay
from bench.systems.registry import load_plugins
from bench.systems.settings import Settings

Levels = list[Any] | dict[str, Any]


def _slug(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise PydanticCustomError(
            "slug", "must be letters, digits, `_`, `-` and `.` only, at most 64"
        )
    return value


def _printable(value: str) -> str:
    if not value.replace("\n", " ").isprintable():
        raise PydanticCustomError("printable", "must have no control characters but line breaks")
    return value


Prose = Annotated[StrictStr, AfterValidator(_printable), Field(max_length=5000)]
Outcome = Literal["better", "worse", "equivalent"]
KeepModels = Literal["best", "last", "none"]
MOST_SEEDS, FEWEST_SEEDS = 10_000, 3
"""Most seeds of a study; fewest that a verdict is given at."""
FIRST_LOOK, LAST_LOOK = 5, 60
"""Seeds of a study that goes on, where it does not say."""


class UntilSettled(Settings):
    """Seeds that go on until the comparisons with the control are settled.

    Each arm is looked at with growing numbers of seeds, and stops once it is better, worse or
    equivalent; the control goes on while any arm does.

    Args:
        first: Seeds at the first look.
        most: Seeds at the last one; what is open then is said to be open.
        metric: The metric that decides.
    """

    first: int = Field(default=FIRST_LOOK, ge=FEWEST_SEEDS, le=MOST_SEEDS)
    most: int = Field(default=LAST_LOOK, ge=FEWEST_SEEDS, le=MOST_SEEDS)
    metric: StrictStr = ACCURACY.name

    @model_validator(mode="after")
    def _can_end(self) -> UntilSettled:
        if self.most < self.first:
            raise PydanticCustomError(
                "looks",
                "`most` is below `first`: a study cannot end before its first look",
            )
        if self.metric not in COMPARED:
            raise PydanticCustomError(
                "metric",
                "arms are not compared in {name}; the metrics are {known}",
                {"name": self.metric, "known": ", ".join(COMPARED)},
            )
        return self


UNTIL, LIST, NUMBER = "seeds until settled", "list of seeds", "number of seeds"
"""Names of the forms of seeds in the validator's places; no key of a study."""


def _form_of_seeds(value: Any) -> str:
    if isinstance(value, dict | UntilSettled):
        return UNTIL
    return LIST if isinstance(value, list) else NUMBER


Seeds = Annotated[
    Annotated[int, Field(ge=1, le=MOST_SEEDS), Tag(NUMBER)]
    | Annotated[list[StrictInt], Field(min_length=1, max_length=MOST_SEEDS), Tag(LIST)]
    | Annotated[UntilSettled, Tag(UNTIL)],
    Discriminator(_form_of_seeds),
]


class DesignKind(StrEnum):
    """How a design takes its arms from the grid of its axes."""

    FACTORIAL = "factorial"
    ONE_FACTOR = "one_factor"
    LEAVE_ONE_OUT = "leave_one_out"
    LEDGER = "ledger"
    FRACTIONAL = "fractional"
    RANDOM = "random"

    @property
    def crossed(self) -> bool:
        """Whether axes are crossed, so that factors have effects apart from the arms'."""
        return self in (DesignKind.FACTORIAL, DesignKind.FRACTIONAL, DesignKind.RANDOM)


class Fractional(Settings):
    """A two-level fractional factorial design (Box, Hunter and Hunter 2005, ch. 6).

    Args:
        runs: Arms, a power of two, fewer than all cells; the generators are chosen for the
            highest resolution, which `bench plan` shows.
    """

    kind: Literal["fractional"]
    runs: int = Field(ge=4, le=4096)


class RandomCells(Settings):
    """Cells of the grid sampled at random without replacement, the control always among them.

    Args:
        arms: How many.
        seed: Seed of the sample.
    """

    kind: Literal["random"]
    arms: int = Field(ge=2, le=100_000)
    seed: int = Field(default=0, ge=0)


class LedgerRows(Settings):
    """The ledger from as published to as released, some rows left out.

    Args:
        without: Numbers of rows that stay as published in every arm: such as row 20, by which the
            released code is scored on one batch, so that no difference from it can be told.
    """

    kind: Literal["ledger"]
    without: Annotated[tuple[StrictInt, ...], Field(min_length=1, strict=False)]


DesignChoice = (
    Literal["factorial", "one_factor", "leave_one_out", "ledger"]
    | Annotated[Fractional | RandomCells | LedgerRows, Field(discriminator="kind")]
)


class ProfileOverlay(Settings):
    """What a profile changes in a study.

    Args:
        base: Overrides on the base, by dotted path or nested.
        axes: Axes to take instead, each whole.
        design: Design to take instead.
        seeds: Seeds to take instead.
        tuning: What to change of the tuning.
    """

    base: dict[str, Any] = {}
    axes: dict[str, Levels] = {}
    design: DesignChoice | None = None
    seeds: Seeds | None = None
    tuning: TuningOverlay | None = None


def _margin(value: float | dict[str, float]) -> float | dict[str, float]:
    """A margin that is a size, of metrics that arms are compared in."""
    for name in value if isinstance(value, dict) else ():
        if name not in COMPARED:
            raise PydanticCustomError(
                "margin",
                "arms are not compared in {name}; the metrics are {known}",
                {"name": name, "known": ", ".join(COMPARED)},
            )
    for size in value.values() if isinstance(value, dict) else (value,):
        if not 0 < size <= MOST_MARGIN:
            raise PydanticCustomError(
                "margin",
                "a margin is a finite number above 0 and at most {most}",
                {"most": MOST_MARGIN},
            )
    return value


USUAL_MARGIN, MOST_MARGIN = 2.0, 50.0
"""Points of a metric that is shown in percent."""


class Study(Settings):
    """A base model and a declarative grid around it.

    Args:
        name: Short name, the file's where left out; the report and the store file it under this.
        title: One line for the report.
        description: What the study is, in a few sentences.
        question: What it asks, in one sentence; a run answers it at its end.
        answers: Arm -> what it would mean if that arm were `better`, `worse` or `equivalent`.
        base: A preset's name, or a mapping with `preset` and overrides on it.
        axes: Dotted path -> list of levels; or a name -> mapping of level names to overrides,
            where `base` in a level takes another preset; or a mapping of `when`, a condition on
            the axes before it, and `levels`.
        design: `factorial` crosses all axes; `one_factor` changes one at a time from the control;
            `leave_one_out` takes one component at a time out of the complete model, each axis
            having two levels, with and without; `ledger` goes from as published to as released
            one row at a time, in both directions, and has no axes of its own; `{kind: ledger,
            without: [20]}` leaves rows out; `{kind: fractional, runs: N}` and `{kind: random, arms:
            N}` take a part of a grid too large to run.
        where: Conditions that a cell must fulfil to be an arm, such as `{model.gate: [sigmoid,
            residual]}` or `model.gate != 'none' or model.gate_bias == 0`.
        control: Axis -> level of the arm that the others are compared with; the first level of
            every axis that it leaves out.
        seeds: How many (0, 1, ...), or a list; `{first: 5, most: 60}` for as many as it takes
            until each arm is better, worse or equivalent.
        reproduces: Published tables whose rows the arms of the same names are to be held against.
        margin: Largest difference that does not matter, between arms and from a published figure:
            a number of points, for every metric that is shown in percent, or metric -> difference
            as the metric is shown, such as `{accuracy: 1.5, landmark_ne: 0.01}`. Left out: 2
            points, and 0.005 of the landmark error.
        tuning: How each arm is tuned before it is compared; left out, arms are taken as they are.
        keep_models: Whose trained weights are kept with each trial: of the `best` epoch by
            validation loss, of the `last` one, or of `none`. A tuning's proposals keep none.
        profiles: Profile -> what it changes.
    """

    name: Annotated[StrictStr, AfterValidator(_slug)]
    title: Prose = ""
    description: Prose = ""
    question: Prose = ""
    answers: dict[StrictStr, dict[Outcome, Prose]] = {}
    base: StrictStr | dict[str, Any] = "ropanet"
    axes: dict[str, Levels] = {}
    design: DesignChoice = "factorial"
    where: list[StrictStr | dict[str, Any]] = []
    control: dict[str, Any] = {}
    seeds: Seeds
    reproduces: list[Literal["table_1", "table_2"]] = []
    margin: Annotated[float | dict[str, float], AfterValidator(_margin)] = USUAL_MARGIN
    tuning: Tuning | None = None
    keep_models: KeepModels = "none"
    profiles: dict[Literal["smoke", "laptop", "paper"], ProfileOverlay] = {}


def load_study(path: Path) -> tuple[Study, Located]:
    """Read a study's YAML.

    Args:
        path: The file, or the name of a shipped study (`bench.study.shipped`).

    Returns:
        The study, and the file with the positions of everything in it.

    Raises:
        BenchError: With file, line and column.
    """
    source = load_yaml(find_study(path))
    return read_study(source), source


def read_study(source: Located) -> Study:
    """A study from parsed YAML.

    Raises:
        BenchError: With file, line and column.
    """
    load_plugins()  # a study may name their metrics, as the measure of a tuning
    if not isinstance(source.value, dict):
        raise BenchError(
            f"a study is a mapping; found {type(source.value).__name__}", where=f"{source.file}:1:1"
        )
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", Path(source.file).stem)
    try:
        return Study.model_validate({"name": name, "seeds": 3} | source.value)
    except ValidationError as error:
        raise study_error(error, source) from None


def study_error(error: ValidationError, source: Located) -> BenchError:
    """A fault in the study's own keys as one message."""
    faults = error.errors()
    # A slip in a key says more than the key that is then missing.
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    until = UNTIL in first["loc"]
    path = tuple(key for key in first["loc"] if key not in (UNTIL, LIST, NUMBER))
    known = (*Study.model_fields, *ProfileOverlay.model_fields)
    if first["type"] == "extra_forbidden":
        word = str(path[-1])
        choices = ProfileOverlay.model_fields if path[0] == "profiles" else Study.model_fields
        if "tuning" in path:
            return _tuning_key(path, source)
        if until:
            return _seeds_key(path, source)
        meant = nearest(word, choices) or nearest(word, known)
        return BenchError(
            f"a study has no key `{word}`",
            where=str(source.where(path)),
            fix=f"did you mean `{meant}`?" if meant else f"its keys: {', '.join(choices)}",
        )
    if first["type"] == "missing" and ("tuning" in path or until):
        return BenchError(f"needs `{path[-1]}`", where=str(source.where(path)))
    shown = ".".join(str(key) for key in path if source.where(path) and key in _keys(source.value))
    return BenchError(
        f"`{shown or path[0]}`: {first['msg']}; found {first['input']!r:.80}",
        where=str(source.where(path)),
    )


def _tuning_key(path: tuple[str | int, ...], source: Located) -> BenchError:
    """A key that a tuning, or a dimension of its space, does not have."""
    word, within = str(path[-1]), path[-2]
    kinds: dict[str, type[Settings]] = {"float": FloatRange, "int": IntRange, "choice": Choice}
    choices = kinds.get(str(within), Tuning).model_fields
    what = f"a dimension of kind {within}" if within in kinds else "a tuning"
    return BenchError(
        f"{what} has no key `{word}`",
        where=str(source.where([key for key in path if key not in (*kinds, "dimension")])),
        fix=did_you_mean(word, choices, f"its keys: {', '.join(choices)}"),
    )


def _seeds_key(path: tuple[str | int, ...], source: Located) -> BenchError:
    """A key that seeds until settled do not have."""
    choices = UntilSettled.model_fields
    return BenchError(
        f"seeds that go on until it is settled have no key `{path[-1]}`",
        where=str(source.where(path)),
        fix=did_you_mean(str(path[-1]), choices, f"their keys: {', '.join(choices)}"),
    )


def _keys(value: Any) -> set[Any]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in _keys(inner)}
    return set()


def seed_list(seeds: int | list[int] | UntilSettled) -> list[int]:
    """Seeds as a list: `3` stands for 0, 1, 2; of seeds until settled, those of the first look."""
    if isinstance(seeds, UntilSettled):
        seeds = seeds.first
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)
