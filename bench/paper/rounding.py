"""What a printed figure can stand for: the exact numbers that round to its digits.

Everything is a fraction of whole numbers, so that no verdict hangs on binary floating point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Annotated, Literal

from pydantic import AfterValidator, StrictStr
from pydantic_core import PydanticCustomError

RULES = ("half up", "half even", "half down", "truncation")
"""Ways to print a number. Half down is what binary floating point may make of a tie."""

Unit = Literal["percent", "fraction"]
MOST_SIZES = 100_000


def fault(message: str, *at: str | int) -> PydanticCustomError:
    """A fault in claims, `at` keys further down than the value that is validated."""
    return PydanticCustomError("claims", "{message}", {"message": message, "at": at})


def printed(text: str) -> str:
    """A figure's text, if it is one."""
    if not re.fullmatch(r"-?([0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,9})", text):
        raise fault(f'a figure is digits with a point at most, such as "94.60"; found {text!r:.40}')
    return text


Printed = Annotated[StrictStr, AfterValidator(printed)]
"""A figure as text, digit for digit: a YAML number would lose its last zeros."""


@dataclass(frozen=True)
class Figure:
    """A figure of a table, digit for digit.

    Args:
        text: As printed, such as `94.6` or `.93`.
        unit: `percent` or `fraction`.
    """

    text: str
    unit: Unit

    @property
    def scale(self) -> int:
        """What a share is multiplied with to be in the printed unit."""
        return 100 if self.unit == "percent" else 1

    @property
    def digits(self) -> int:
        """Digits behind the point."""
        return len(self.text.partition(".")[2])

    @property
    def value(self) -> Fraction:
        """The figure as a share, 0.946 for `94.6` percent."""
        return Fraction(self.text) / self.scale

    @property
    def step(self) -> Fraction:
        """One unit of the last digit, as a share."""
        return Fraction(1, 10**self.digits * self.scale)

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The lowest share that is printed so rounded half up, and the first that no longer is."""
        return self.value - self.step / 2, self.value + self.step / 2

    @property
    def hull(self) -> tuple[Fraction, Fraction]:
        """The lowest and the highest share that any of the rules can print so."""
        nearest, cut = self.step / 2, self.step
        negative = self.value < 0
        return self.value - (cut if negative else nearest), self.value + (
            nearest if negative else cut
        )

    def counts(self, size: int, rule: str = "half up") -> range:
        """The whole numbers k, 0 to `size`, for which k/size is printed so.

        Args:
            size: Images, n.
            rule: One of `RULES`.
        """
        half, value = self.step / 2, self.value
        even = int(self.text.replace(".", "")) % 2 == 0
        low, high, low_in, high_in = {
            "half up": (value - half, value + half, True, False),
            "half even": (value - half, value + half, even, even),
            "half down": (value - half, value + half, False, True),
            "truncation": (value, value + self.step, True, False),
        }[rule]
        first, last = ceil(low * size), floor(high * size)
        first += not low_in and first == low * size
        last -= not high_in and last == high * size
        return range(max(first, 0), max(min(last, size), -1) + 1)

    def rules(self, size: int) -> list[str]:
        """The rules by which some k/size is printed so."""
        return [rule for rule in RULES if self.counts(size, rule)]

    def sizes(self, few: int = 3) -> list[tuple[int, int]]:
        """The smallest sizes n for which some k/n, rounded half up, is printed so.

        Returns:
            At most `few` pairs (k, n), n rising; none above 100,000.
        """
        low, high = self.ends
        found: list[tuple[int, int]] = []
        for n in range(1, MOST_SIZES + 1):
            k = max(-(-low.numerator * n // low.denominator), 0)
            if k <= n and k * high.denominator < high.numerator * n:
                found.append((k, n))
                if len(found) == few:
                    break
        return found

    def show(self, share: Fraction | int) -> str:
        """A share in the figure's unit, with up to two digits more than it has."""
        text = f"{float(share * self.scale):.{self.digits + 2}f}"
        for _ in range(2):
            text = text.removesuffix("0")
        text = text.removesuffix(".")
        return f"{text} %" if self.unit == "percent" else text

    def __str__(self) -> str:
        return f"{self.text} %" if self.unit == "percent" else self.text


def percent(share: Fraction | float) -> str:
    """A share in percent, with two digits."""
    return f"{float(share) * 100:.2f} %"
