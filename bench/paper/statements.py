"""What a paper's text says of its tables, and whether it agrees with them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isfinite
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictStr, model_validator

from bench.paper.rounding import Figure, fault, printed
from bench.systems.settings import Settings

Verdict = Literal["impossible", "suspicious", "possible", "consistent", "cannot tell"]
Reference = Annotated[list[StrictStr], Field(min_length=3, max_length=3)]


def _number(value: int | float | str) -> int | float | str:
    if isinstance(value, str):
        return printed(value)
    if not isfinite(value):
        raise fault(f"a number; found {value}")
    return value


class Statement(Settings):
    """What the text says of the tables.

    A value is named by table, row and column, `[table_1, RopaNet-10000, top_3]`; for the column,
    `test_size` and `train_size` stand for the row's sizes. Exactly one of the four relations:

    Args:
        statement: In words.
        source: Where it is stated.
        value: A value that the text repeats.
        ratio: Two values, the first divided by the second.
        difference: Two values, the first less the second, in the tables' unit.
        repeats: Tables whose figures the text was read to repeat, where its own are not at hand.
        says: What the text says the relation comes to: a number is taken as exact, a text as
            rounded to the digits it has.
    """

    statement: StrictStr
    source: StrictStr
    value: Reference | None = None
    ratio: Annotated[list[Reference], Field(min_length=2, max_length=2)] | None = None
    difference: Annotated[list[Reference], Field(min_length=2, max_length=2)] | None = None
    repeats: Annotated[list[StrictStr], Field(min_length=1)] | None = None
    says: Annotated[int | float | StrictStr, AfterValidator(_number)] | None = None

    @model_validator(mode="after")
    def _one_relation(self) -> Statement:
        relations = (self.value, self.ratio, self.difference, self.repeats)
        if sum(relation is not None for relation in relations) != 1:
            raise fault("needs exactly one of `value`, `ratio`, `difference` and `repeats`")
        if (self.says is None) == (self.repeats is None):
            raise fault("needs `says`, and `repeats` goes without")
        return self

    @property
    def relation(self) -> Literal["value", "ratio", "difference", "repeats"]:
        """Which of the four it is."""
        if self.repeats is not None:
            return "repeats"
        if self.value is not None:
            return "value"
        return "ratio" if self.ratio is not None else "difference"

    @property
    def operands(self) -> list[list[str]]:
        """The values it names, in order."""
        return [self.value] if self.value is not None else self.ratio or self.difference or []


def agreement(statement: Statement, operands: Sequence[Figure | int]) -> tuple[Verdict, str]:
    """Whether a statement agrees with the values it names.

    Args:
        statement: One of `value`, `ratio` and `difference`.
        operands: Its values, in order: figures, or sizes.

    Returns:
        The verdict, and the calculation in words: `possible` where only digits that rounding took
        away can make it so.
    """
    centre, low, high = _outcome(statement, operands)
    if centre is None:
        return "cannot tell", "the second value may be 0 or less, and nothing is divided by that"
    stated = Figure(statement.says, "fraction") if isinstance(statement.says, str) else None
    exact = Fraction(str(statement.says))
    # Texts round down ("1.6 times" for 1.68) as often as to the nearest.
    least, most = stated.hull if stated else (exact, exact)
    verdict: Verdict = "impossible"
    note = ""
    if centre == exact or least <= centre < most:
        verdict = "consistent"
    elif least < high and low < most:
        verdict, note = "possible", "; only the digits that rounding took away could make it so"
    sign = {"value": "", "ratio": " / ", "difference": " − "}[statement.relation]
    shown = sign.join(f"{o:,}" if isinstance(o, int) else str(o) for o in operands)
    result = f"{shown} = {float(centre):.6g}" if sign else f"the table has {shown}"
    kind = "as rounded" if stated else "exactly"
    return verdict, f"{result}; the text says {statement.says}, {kind}{note}"


def _outcome(
    statement: Statement, operands: Sequence[Figure | int]
) -> tuple[Fraction | None, Fraction, Fraction]:
    """A relation's value, and its lowest and highest before the tables were rounded."""
    spans = [_span(operand, statement.relation == "ratio") for operand in operands]
    if statement.relation == "value":
        return spans[0]
    (a, a_low, a_high), (b, b_low, b_high) = spans
    if statement.relation == "difference":
        return a - b, a_low - b_high, a_high - b_low
    if b_low <= 0:
        return None, a, a
    corners = [end / by for end in (a_low, a_high) for by in (b_low, b_high)]
    return a / b, min(corners), max(corners)


def _span(operand: Figure | int, as_share: bool) -> tuple[Fraction, Fraction, Fraction]:
    """Value, lowest and highest: of a size as it is, of a figure in its printed unit or a share."""
    if isinstance(operand, int):
        return (Fraction(operand),) * 3
    scale = 1 if as_share else operand.scale
    low, high = operand.ends
    return operand.value * scale, low * scale, high * scale
