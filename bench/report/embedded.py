"""Figures as a page holds them: the picture and its interactive form inside, its files beside."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.report.drawing import DPI, Figure

CSS_DPI = 96
"""CSS pixels to the inch."""

STATIC_FILES = ("png", "svg", "csv")
CHART_FILE = "vl.json"
"""Endings of a figure's files; the last is that of an interactive one, for any Vega-Lite editor."""


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure as the page shows it.

    Args:
        name: File name without ending.
        title: Heading.
        caption: What it shows.
        png: The picture, base64.
        chart: Its interactive form, a Vega-Lite specification; None without one.
    """

    name: str
    title: str
    caption: str
    png: str
    chart: dict[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, title: str, caption: str, png: Path) -> EmbeddedFigure:
        """A figure whose picture is in a file, and its interactive form in another beside it."""
        chart = png.with_name(f"{name}.{CHART_FILE}")
        return cls(
            name,
            title,
            caption,
            base64.b64encode(png.read_bytes()).decode(),
            json.loads(chart.read_text(encoding="utf-8")) if chart.is_file() else None,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at which its lettering is as large as the page's, in CSS pixels."""
        width, height = struct.unpack(">II", base64.b64decode(self.png[:32])[16:24])
        return round(width * CSS_DPI / DPI), round(height * CSS_DPI / DPI)

    @property
    def endings(self) -> tuple[str, ...]:
        """Of its files."""
        return STATIC_FILES if self.chart is None else (*STATIC_FILES, CHART_FILE)


def embedded(figure: Figure, folder: Path) -> EmbeddedFigure:
    """Write a figure's files into a folder, and give it as a page shows it."""
    return EmbeddedFigure.of(figure.name, figure.title, figure.caption, figure.write(folder))
