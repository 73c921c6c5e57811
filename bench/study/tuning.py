"""The `tuning:` block as its YAML says it: the space, the algorithm, the budget, the seeds.

Light, as the rest of the design: KerasTuner is asked only once there is something to search
(`bench.tuning.oracle`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictInt, Tag, model_validator
from pydantic_core import PydanticCustomError

from bench.metrics.catalogue import ACCURACY, FOR_TUNING
from bench.systems.settings import Settings, one_of

FIRST_TUNING_SEED = 1000
"""Where a number of tuning seeds starts to count, far from a study's own 0, 1, 2."""

EPOCHS = "train.epochs"


def _fault(message: str) -> PydanticCustomError:
    return PydanticCustomError("tuning", "{message}", {"message": message})


class _Parameter(Settings):
    """What every dimension of a space has.

    Args:
        when: Setting -> value, or list of values, under which the dimension exists: a dimension
            before it, or a setting of the arm's own.
    """

    when: dict[str, Any] = {}

    def wanted(self, path: str) -> list[Any]:
        """Values of a setting under which this dimension exists."""
        values = self.when[path]
        return list(values) if isinstance(values, list) else [values]


class _Range(_Parameter):
    @model_validator(mode="after")
    def _ordered(self) -> _Range:
        low, high, step = self.low, self.high, self.step  # type: ignore[attr-defined]
        scale = self.scale  # type: ignore[attr-defined]
        if low >= high:
            raise _fault(f"low must be below high; found {low} and {high}")
        if scale == "log" and low <= 0:
            raise _fault(f"a log scale needs a low above 0; found {low}")
        if step is not None and step <= (1 if scale == "log" else 0):
            raise _fault("a log scale's step multiplies and is above 1; a linear one's is above 0")
        return self

    @property
    def default(self) -> Any:
        """Where KerasTuner starts."""
        return self.low  # type: ignore[attr-defined]

    def ends(self) -> list[Any]:
        """The values between which all others lie."""
        return [self.low, self.high]  # type: ignore[attr-defined]

    def points(self) -> list[Any] | None:
        """Every value, ascending; None for a continuum."""
        low, high, step = self.low, self.high, self.step  # type: ignore[attr-defined]
        if self.scale == "log":  # type: ignore[attr-defined]
            if step is None:
                return None
            count = int(math.log(high / low, step) + 1e-8) + 1
            return [type(low)(low * math.pow(step, index)) for index in range(count)]
        if step is None:
            if isinstance(low, float):
                return None
            step = 1
        return [low + index * step for index in range(int((high - low) // step) + 1)]


class FloatRange(_Range):
    """A real number between two ends.

    Args:
        low: Lower end, included.
        high: Upper end, included.
        scale: `linear`, or `log` for equal chances of equal ratios.
        step: Distance of neighbours (their ratio on a log scale); left out for a continuum.
    """

    kind: Literal["float"]
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    scale: Literal["linear", "log"] = "linear"
    step: float | None = Field(default=None, allow_inf_nan=False)


class IntRange(_Range):
    """A whole number between two ends.

    Args:
        low: Lower end, included.
        high: Upper end, included.
        scale: `linear`, or `log` for equal chances of equal ratios.
        step: Distance of neighbours (their ratio on a log scale).
    """

    kind: Literal["int"]
    low: int
    high: int
    scale: Literal["linear", "log"] = "linear"
    step: int | None = None


class Choice(_Parameter):
    """One of some values.

    Args:
        values: The values, of any kind; the first is where a grid starts.
    """

    kind: Literal["choice"]
    values: list[Any] = Field(min_length=2)

    @property
    def default(self) -> Any:
        """The first value."""
        return self.values[0]

    def ends(self) -> list[Any]:
        """Every value."""
        return list(self.values)

    def points(self) -> list[Any] | None:
        """Every value."""
        return list(self.values)


Parameter = FloatRange | IntRange | Choice
Space = dict[str, Parameter]
Dimension = Annotated[
    Annotated[list[Any], Field(min_length=2), Tag("values")]
    | Annotated[Parameter, Field(discriminator="kind"), Tag("dimension")],
    Discriminator(lambda given: "values" if isinstance(given, list) else "dimension"),
]
"""A dimension as it is written: a mapping of its kind, or a list of values for short."""
Seeds = Annotated[int, Field(ge=1, le=100)] | Annotated[list[StrictInt], Field(min_length=1)]
Algorithm = Literal["random", "grid", "bayesian", "hyperband"]


class TuningOverlay(Settings):
    """What a profile changes of the tuning; what is left out stays.

    Args:
        space: Dimensions to take instead, all of them.
        algorithm: Algorithm to take instead.
        trials: Budget to take instead.
        epochs: Budget to take instead.
        seeds: Tuning seeds to take instead.
        factor: Hyperband's factor to take instead.
    """

    space: dict[str, Dimension] | None = None
    algorithm: Algorithm | None = None
    trials: int | None = Field(default=None, ge=1, le=100_000)
    epochs: int | None = Field(default=None, ge=1, le=10_000_000)
    seeds: Seeds | None = None
    factor: int | None = Field(default=None, ge=2, le=10)


class Tuning(Settings):
    """Every arm is tuned first: the same space, algorithm, budget, seeds and validation images.

    Proposals are judged by the validation images alone. Once every arm has its best setting, each
    is trained anew at the study's own seeds, which no proposal has seen, and tested.

    Args:
        space: Setting by dotted path -> `{kind: float | int, low, high, scale, step}`,
            `{kind: choice, values}`, or a list of values; each with an optional `when`.
        algorithm: Which of KerasTuner's oracles proposes: `random`, `grid` (every point of a
            finite space), `bayesian` (a Gaussian process), or `hyperband`, which stops the worse
            proposals after few epochs.
        trials: Budget of each arm in proposals.
        epochs: Budget of each arm in epochs of training, every proposal counted once whatever the
            number of seeds. A grid may go without either: it takes as many as it has points.
        metric: What a proposal is judged by, the mean over the tuning seeds; which way is better
            follows from it.
        seeds: Seeds that each proposal is trained at: how many (1000, 1001, ...), or a list; none
            of the study's own.
        seed: Seed of the search, the same for every arm.
        factor: By how much hyperband raises the epochs, and lowers the number of proposals, from
            rung to rung.
    """

    space: dict[str, Dimension] = Field(min_length=1)
    algorithm: Algorithm = "random"
    trials: int | None = Field(default=None, ge=1, le=100_000)
    epochs: int | None = Field(default=None, ge=1, le=10_000_000)
    metric: one_of(FOR_TUNING) = ACCURACY.name  # type: ignore[valid-type]
    seeds: Seeds = 1
    seed: int = Field(default=0, ge=0, lt=2**31)
    factor: int | None = Field(default=None, ge=2, le=10)

    @model_validator(mode="after")
    def _one_budget(self) -> Tuning:
        if self.trials is not None and self.epochs is not None:
            raise _fault("a budget is `trials` or `epochs`, not both")
        if self.trials is None and self.epochs is None and self.algorithm != "grid":
            raise _fault("a search needs a budget: `trials` or `epochs`")
        if self.factor is not None and self.algorithm != "hyperband":
            raise _fault(f"{self.algorithm} has no rungs and would ignore `factor`")
        return self

    @property
    def direction(self) -> str:
        """`max` or `min`."""
        return FOR_TUNING[self.metric].direction

    @property
    def rung_factor(self) -> int:
        """Hyperband's factor, 3 where left out (Li et al. 2018)."""
        return self.factor or 3

    @property
    def seed_list(self) -> list[int]:
        """Tuning seeds as a list."""
        if isinstance(self.seeds, int):
            return list(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.seeds))
        return list(self.seeds)

    @property
    def parameters(self) -> Space:
        """Dimensions by dotted path, a list of values as the choice that it stands for."""
        return {
            path: Choice(kind="choice", values=given) if isinstance(given, list) else given
            for path, given in self.space.items()
        }


def overlaid(tuning: Tuning, overlay: TuningOverlay) -> Tuning:
    """A tuning with what a profile changes of it.

    Raises:
        pydantic.ValidationError: The two do not go together.
    """
    changed = overlay.model_dump(exclude_none=True)
    kept = tuning.model_dump(exclude_unset=True)
    if {"trials", "epochs"} & changed.keys():
        kept = {name: value for name, value in kept.items() if name not in ("trials", "epochs")}
    return Tuning.model_validate(kept | changed)
