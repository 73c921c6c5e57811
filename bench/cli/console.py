"""The console that commands print on: whatever a name holds, a terminal does not act on it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bench.errors import readable


class SafeConsole(Console):
    """A console for text from strangers: names of files and folders may hold terminal escapes.

    Rich writes its own escapes apart from any text, after this.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Segments whose text has no control characters but line breaks."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.replace("\n", "").isprintable():
                yield segment
            else:
                yield Segment(readable(segment.text), segment.style)
