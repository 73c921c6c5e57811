"""Verdicts as page and figures show them: the kind of each, and its sign and colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

OPENINGS = {
    "good": ("better", "reproduced", "consistent", "possible", "agrees", "identical"),
    "bad": ("worse", "not reproduced", "differs", "different", "turned round", "impossible"),
    "same": ("equivalent", "the same", "within tolerance"),
    "odd": ("suspicious",),
}
"""Kind -> how its verdicts begin; any other is open."""

SIGNS = {"good": "✓", "bad": "✗", "same": "=", "odd": "!", "open": "?"}

SIGNS_IN_WORDS = "tick better, cross worse, equals sign equivalent, question mark cannot tell"

ON_WHITE = {
    "good": "#17693a",
    "bad": "#a3261d",
    "same": "#1d2430",
    "odd": "#7d4400",
    "open": "#7a8594",
}
"""Colours in figures; those of the page are the style sheet's, for light and dark."""


def kind_of(verdict: str) -> str:
    """`good`, `bad`, `same`, `odd` or `open`."""
    return next((kind for kind, words in OPENINGS.items() if verdict.startswith(words)), "open")


def counted(verdicts: Iterable[str]) -> dict[str, int]:
    """How many verdicts open with the same words, reasons and figures in brackets left out."""
    return dict(Counter(verdict.split(" (")[0] for verdict in verdicts))
