"""The one error a user is meant to read: what is wrong, where, and what to do about it."""

from __future__ import annotations

RUN_AGAIN = "run the same command again: what is finished is stored, the rest goes on"
"""What to do where a run was ended from outside."""

KEPT = "What is finished is in the store; the same command goes on from there."
"""What to say where a signal asked to end."""

LONGEST = 2000
"""Characters of a message; what was found may be a whole file."""


class BenchError(Exception):
    """A fault in what the user gave or has: a study, a data folder, a weights file, a store.

    The command line prints it as one message and exits non-zero; code below the command line
    raises it where the fault is known and never prints. What it quotes is made safe to print.

    Args:
        what: What was expected and what was found, in one or two sentences.
        where: File, line, trial or folder that the fault is in, as the user would name it.
        fix: What to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = _short(what)
        self.where = None if where is None else _short(where)
        self.fix = None if fix is None else _short(fix)
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  -> {self.fix}" if self.fix else head


class Stopped(Exception):  # noqa: N818 (no fault)
    """The user, or the system, asked the process to end; its text says what is kept."""


def readable(text: str) -> str:
    """Text with those characters escaped that a terminal would act on, line breaks aside."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _short(text: str) -> str:
    return readable(text if len(text) <= LONGEST else f"{text[:LONGEST]} …")
