"""A sheet of photographs with their items, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from bench.data.deepfashion2.load import load_deepfashion2
from bench.data.items import HIDDEN, SEEN, SHOP, UNKNOWN, Items

_COLOURS = ("deepskyblue", "magenta", "gold")
_FLAGS = {SEEN: "lime", HIDDEN: "orange"}


def items_sheet(root: Path, out: Path, rows: int = 6, columns: int = 6) -> Path:
    """A sheet of annotated images: outlines, boxes, and landmarks with their numbers.

    Landmarks are green where visible, orange where occluded.

    Args:
        root: A folder in DeepFashion2's layout.
        out: PNG to write.
        rows: Rows of the sheet.
        columns: Columns of the sheet.
    """
    manifest = load_deepfashion2(root)
    items = manifest.items
    assert items is not None
    side, head = 300, 14
    sheet = Image.new("RGB", (columns * side, rows * (side + head)), "white")
    pen = ImageDraw.Draw(sheet)
    annotated = np.flatnonzero(items.domain != UNKNOWN)[: rows * columns].tolist()
    for place, row in enumerate(annotated):
        with Image.open(manifest.root / manifest.paths[row]) as file:
            picture = file.convert("RGB")
        ratio = (side - 6) / max(picture.size)
        picture = picture.resize([round(edge * ratio) for edge in picture.size])
        own = np.flatnonzero(items.image == row).tolist()
        for number, item in enumerate(own):
            _draw(picture, items, item, ratio, _COLOURS[number % len(_COLOURS)])
        corner = (place % columns * side, place // columns * (side + head))
        names = ", ".join(
            f"{manifest.class_names[items.category[i]]} {items.style[i]}" for i in own
        )
        whose = "shop" if items.domain[row] == SHOP else "user"
        pen.text((corner[0] + 4, corner[1]), f"{items.pair_id[row]} {whose}: {names}", "black")
        sheet.paste(picture, (corner[0] + 3, corner[1] + head))
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)
    return out


def _draw(picture: Image.Image, items: Items, item: int, ratio: float, colour: str) -> None:
    pen = ImageDraw.Draw(picture)
    pen.rectangle((items.box[item] * ratio).tolist(), outline=colour)
    for polygon in items.polygons_of(item):
        pen.polygon([(x, y) for x, y in (polygon * ratio).tolist()], outline=colour, width=2)
    for number, mark in enumerate(items.landmarks_of(item).tolist(), start=1):
        if mark[2] in _FLAGS:
            x, y = mark[0] * ratio, mark[1] * ratio
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=_FLAGS[mark[2]])
            pen.text((x + 3, y - 5), str(number), "white", stroke_width=1, stroke_fill="black")
