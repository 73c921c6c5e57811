"""The ledger: every decision that a paper leaves open, with the setting that carries it.

A system's rows are in its folder. RopaNet's have two sides, as published and as released; of the
others no code was consulted, so that their rows have one side and no part in `as_released`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from bench.systems.packaged import packaged
from bench.systems.registry import SYSTEMS


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
        system: Title of the system whose decision it is.
        released: Dotted path -> what the released code does; empty where it does as published.
        unverified: Whether the code's side could not be checked; such a row is a level of its own
            and no part of the preset `as_released`.
    """

    row: int
    decision: str
    paper: str
    code: str
    default: str
    settings: tuple[str, ...]
    system: str
    released: dict[str, Any] = field(default_factory=dict)
    unverified: bool = False

    @property
    def name(self) -> str:
        """Number and decision, as an arm is named."""
        return f"row {self.row}: {self.decision}"


@cache
def ledger() -> tuple[LedgerRow, ...]:
    """The paper's own rows, RopaNet's, in order; each with the released code's side."""
    return decisions()["ropanet"]


def decisions() -> dict[str, tuple[LedgerRow, ...]]:
    """What the descriptions of every system leave open, in order, by system."""
    found = {kind: _rows(kind, plain) for kind, plain in packaged("ledger.yaml").items()}
    return dict(sorted(found.items(), key=lambda item: item[0] != "ropanet"))


def _rows(kind: str, plain: list[dict[str, Any]]) -> tuple[LedgerRow, ...]:
    title = SYSTEMS[kind].title
    return tuple(
        LedgerRow(**{"code": "–", "system": title} | row | {"settings": tuple(row["settings"])})
        for row in plain
    )


def as_released() -> dict[str, Any]:
    """The released code's side of every verified row: dotted path -> value."""
    return {
        path: value
        for row in ledger()
        if not row.unverified
        for path, value in row.released.items()
    }
