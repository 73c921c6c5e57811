"""Where commands print: whatever a name contains, a terminal does not act on it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bench.errors import readable


class SafeConsole(Console):
    """A console for untrusted text: names of files and folders may contain terminal escapes.

    Rich writes its own escapes separately, after this.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does, but never break a word: a path over two lines could not be copied."""
        if all(isinstance(item, str) for item in objects):
            options = {"overflow": "ignore", "crop": False} | options
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string, in which what the terminal has no letters for is escaped.

        Before it is laid out: an escape is longer than what it stands for.
        """
        known = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return super().render_str(known, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Segments whose text has no control characters except line breaks."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.replace("\n", "").isprintable():
                yield segment
            else:
                yield Segment(readable(segment.text), segment.style)


# Bound to today's stream: while Ray runs, whatever it prints goes to the log.
out = SafeConsole(highlight=False, file=sys.stdout)
err = SafeConsole(stderr=True, highlight=False)


def escape_what_is_lacking() -> None:
    """Print what the terminal's encoding lacks as an escape: a container often knows ASCII alone.

    Python would end with a traceback in the middle of a table.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(plain: Any) -> None:
    """Print plain values as JSON; a path, or whatever else JSON lacks, as text."""
    typer.echo(json.dumps(plain, indent=1, default=str))
