"""Counts the issues of a source while it is read, with a few examples of each kind.

Reading prints nothing and drops nothing quietly: whatever it skips is counted here.
"""

from __future__ import annotations

from dataclasses import replace

from bench.data.manifest import DataIssue

EXAMPLES = 5
"""How many examples of each kind are kept."""

_LONGEST = 300


class IssueLog:
    """Issues of one source, in the order in which each kind was first found."""

    def __init__(self) -> None:
        self._issues: dict[str, DataIssue] = {}

    def add(
        self,
        kind: str,
        example: str = "",
        *,
        blocking: bool = False,
        count: int = 1,
        fix: str = "",
    ) -> None:
        """Count an issue.

        Args:
            kind: Short name, the same for all of a kind.
            example: What was found, with file and line where there is one; kept for the first few.
            blocking: True where training on the source as it stands would be wrong.
            count: How many this call stands for; 0 is ignored.
            fix: What to do, where no run may begin on the source as it stands.
        """
        if count < 1:
            return
        found = self._issues.get(kind, DataIssue(kind, 0))
        examples = found.examples
        if example and len(examples) < EXAMPLES:
            examples += (printable(example),)
        self._issues[kind] = DataIssue(
            kind, found.count + count, examples, found.blocking or blocking, found.fix or fix
        )

    def make_blocking(self, kind: str) -> None:
        """Let a kind that was counted forbid training, where its number is what does."""
        self._issues[kind] = replace(self._issues[kind], blocking=True)

    def issues(self) -> tuple[DataIssue, ...]:
        """All kinds found, blocking ones first."""
        return tuple(sorted(self._issues.values(), key=lambda issue: not issue.blocking))


def printable(text: str) -> str:
    """Make a string from a file or a file name safe to print.

    Args:
        text: Anything, control characters and undecodable bytes included.

    Returns:
        The text with unprintable characters escaped, cut where it is very long.
    """
    # A file name may hold terminal escapes; an example must not act on the reader's terminal.
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:_LONGEST])
    return safe + " …" if len(text) > _LONGEST else safe
