"""The ledger: every decision that the paper leaves open, with the setting that carries it.

FashionNet, the paper's rival, has a list of its own: no code of it is gone by here, so that its
rows have one side and no part in the preset `as_released`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from bench.files.yaml import parse_yaml


@dataclass(frozen=True)
class LedgerRow:
    """A decision.

    Args:
        row: Its number, from 1.
        decision: What is decided.
        paper: What the paper says.
        code: What the released code does; a dash where there is none.
        default: What the bench does where the paper is silent.
        settings: Dotted paths of the settings that carry it; empty for one that is fixed.
        released: Dotted path -> what the released code does; empty where it does as published.
        unverified: Whether the code's side could not be checked; such a row is a level of its own
            and no part of the preset `as_released`.
        system: Whose decision it is.
    """

    row: int
    decision: str
    paper: str
    code: str
    default: str
    settings: tuple[str, ...]
    released: dict[str, Any] = field(default_factory=dict)
    unverified: bool = False
    system: str = "RopaNet"

    @property
    def name(self) -> str:
        """Number and decision, as an arm is named."""
        return f"row {self.row}: {self.decision}"


@cache
def ledger() -> tuple[LedgerRow, ...]:
    """All rows, in order."""
    return _rows("ropanet")


@cache
def fashionnet_decisions() -> tuple[LedgerRow, ...]:
    """What the descriptions of FashionNet leave open (Liu et al. 2016, §4), in order."""
    return tuple(replace(row, system="FashionNet") for row in _rows("fashionnet"))


def _rows(system: str) -> tuple[LedgerRow, ...]:
    file = resources.files("bench.systems") / system / "ledger.yaml"
    plain = parse_yaml(
        file.read_text(encoding="utf-8"), f"bench/systems/{system}/ledger.yaml"
    ).value
    return tuple(
        LedgerRow(**{"code": "–"} | row | {"settings": tuple(row["settings"])}) for row in plain
    )


def as_released() -> dict[str, Any]:
    """The released code's side of every verified row: dotted path -> value."""
    return {
        path: value
        for row in ledger()
        if not row.unverified
        for path, value in row.released.items()
    }
