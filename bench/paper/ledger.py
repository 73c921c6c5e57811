"""The ledger: every decision that the paper leaves open, with the setting that carries it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from bench.yaml_source import parse_yaml


@dataclass(frozen=True)
class LedgerRow:
    """A decision.

    Args:
        row: Its number, from 1.
        decision: What is decided.
        paper: What the paper says.
        code: What the released code does.
        default: What the bench does where the paper is silent.
        settings: Dotted paths of the settings that carry it.
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
    released: dict[str, Any] = field(default_factory=dict)
    unverified: bool = False

    @property
    def name(self) -> str:
        """Number and decision, as an arm is named."""
        return f"row {self.row}: {self.decision}"


@cache
def ledger() -> tuple[LedgerRow, ...]:
    """All rows, in order."""
    file = resources.files("bench") / "paper" / "ledger.yaml"
    plain = parse_yaml(file.read_text(encoding="utf-8"), "bench/paper/ledger.yaml").value
    return tuple(LedgerRow(**row | {"settings": tuple(row["settings"])}) for row in plain)


def as_released() -> dict[str, Any]:
    """The released code's side of every verified row: dotted path -> value."""
    return {
        path: value
        for row in ledger()
        if not row.unverified
        for path, value in row.released.items()
    }
