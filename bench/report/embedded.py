"""Figures as a page holds them: the picture inside the page, its files beside it."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

from bench.report.drawing import DPI, Figure

CSS_DPI = 96
"""CSS pixels to the inch."""


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure as the page shows it.

    Args:
        name: File name without ending.
        title: Heading.
        caption: What it shows.
        png: The picture, base64.
    """

    name: str
    title: str
    caption: str
    png: str

    @classmethod
    def of(cls, name: str, title: str, caption: str, png: Path) -> EmbeddedFigure:
        """A figure whose picture is in a file."""
        return cls(name, title, caption, base64.b64encode(png.read_bytes()).decode())

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at which its lettering is as large as the page's, in CSS pixels."""
        width, height = struct.unpack(">II", base64.b64decode(self.png[:32])[16:24])
        return round(width * CSS_DPI / DPI), round(height * CSS_DPI / DPI)


def embedded(figure: Figure, folder: Path) -> EmbeddedFigure:
    """Write a figure's files into a folder, and give it as a page shows it."""
    return EmbeddedFigure.of(figure.name, figure.title, figure.caption, figure.write(folder))
