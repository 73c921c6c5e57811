"""Renders a photograph of one to three garments with the annotation that DeepFashion2 would have.

A shop's picture is plain; a user's has another pose, light, crop and something in front. Grades
follow from what is drawn: scale from the box as in DeepFashion2, occlusion and zoom-in, whose
thresholds it does not give, from the shares of landmarks hidden and cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from bench.data.deepfashion2.garments import FRONT_NECK, Garment, cut_garment, landmark_places
from bench.data.deepfashion2.oddities import SCALE_EDGES
from bench.data.deepfashion2.outline import outlines
from bench.data.deepfashion2.placing import (
    PROPOSALS,
    ZOOM_EDGES,
    best,
    grade,
    hang_beside,
    place_outfit,
)
from bench.data.garment import LONGEST, background, body, light, paint
from bench.data.items import HIDDEN, SEEN, UNLABELLED

OCCLUSION_EDGES = (0.1, 0.5)
"""Shares of the landmarks in the picture that are hidden: medium and heavy occlusion."""

NOT_WORN, FRONTAL, BEHIND = 1, 2, 3

OCCLUSIONS = {True: (0.78, 0.22, 0.0), False: (0.26, 0.70, 0.04)}
VIEWPOINTS = {True: (0.12, 0.72, 0.16), False: (0.0, 0.80, 0.20)}
"""How often the main garment has each grade in a shop's picture (True) and in a user's."""

_LEAST_AREA = 60
_INSIDE = 110
"""Shade of the inside of a top's back, which a neck hides where it is worn."""


@dataclass(frozen=True)
class Worn:
    """A garment in a picture.

    Args:
        garment: The product.
        style: Its style in the pair; 0 for one without.
        beside: Whether it hangs beside what is worn.
    """

    garment: Garment
    style: int
    beside: bool = False


@dataclass(frozen=True)
class Picture:
    """A rendered photograph.

    Args:
        pixels: `(height, width, 3)` uint8.
        items: The keys of each item, as its annotation has them.
    """

    pixels: np.ndarray
    items: list[dict[str, object]]


@dataclass
class _Layer:
    """A painted garment: its landmarks in pixels, which of them its pose hides, its coverage, and
    the coverage of what lies above it."""

    worn: Worn
    landmarks: np.ndarray
    turned_away: np.ndarray
    cover: np.ndarray
    above: np.ndarray

    @property
    def visibility(self) -> np.ndarray:
        """`SEEN`, `HIDDEN` or, outside the picture, `UNLABELLED`."""
        height, width = self.cover.shape
        x, y = np.rint(self.landmarks).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        covered = self.above[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] > 0.5
        seen = np.where(covered | self.turned_away, HIDDEN, SEEN)
        return np.where(inside, seen, UNLABELLED)

    @property
    def occlusion(self) -> int:
        """Grade of the share of the landmarks in the picture that are hidden."""
        inside = self.visibility[self.visibility != UNLABELLED]
        return grade(float((inside == HIDDEN).mean()) if len(inside) else 1.0, OCCLUSION_EDGES)

    @property
    def seen(self) -> np.ndarray:
        """How much of each pixel shows the garment."""
        return self.cover * (1 - self.above)


def render(wardrobe: list[Worn], *, shop: bool, rng: np.random.Generator) -> Picture:
    """Render a photograph.

    Args:
        wardrobe: What is in it, the main garment first.
        shop: Whether it is a shop's or a user's.
        rng: The photograph's generator.

    Returns:
        The photograph, with one item for each garment that can be seen in it.
    """
    width, height = round(LONGEST * rng.uniform(0.62, 1.0)), LONGEST
    view = 1 + int(rng.choice(3, p=VIEWPOINTS[shop]))
    drawings = [cut_garment(worn.garment, back=view == BEHIND, rng=rng) for worn in wardrobe]
    outfit = [d for d, worn in zip(drawings, wardrobe, strict=True) if not worn.beside]
    size = np.array([width, height])
    place = place_outfit(wardrobe[0].garment, outfit, size, shop, rng)

    colour = wardrobe[0].garment.cloth.colour
    scene = (_wall if shop else background)(colour, width, height, rng)
    if view != NOT_WORN:
        body(scene, place, rng)
    pixels = np.asarray(scene, np.float32)
    layers: dict[int, _Layer] = {}
    tucked_in = bool(rng.random() < 0.4)
    for number in sorted(range(len(wardrobe)), key=lambda n: _depth(wardrobe[n], tucked_in)):
        worn, drawing = wardrobe[number], drawings[number]
        where = hang_beside(drawing, place, width, height, rng) if worn.beside else place
        if view == NOT_WORN and worn.garment.is_upper:
            drawing.parts.insert(0, (drawing.lines["neckline"], _INSIDE, False))
        pixels, cover = paint(pixels, worn.garment.cloth, drawing, where)
        for layer in layers.values():
            layer.above = np.maximum(layer.above, cover)
        landmarks = where(landmark_places(worn.garment, drawing))
        away = np.isin(np.arange(len(landmarks)), _turned_away(worn.garment, view))
        layers[number] = _Layer(worn, landmarks, away, cover, np.zeros_like(cover))
    pixels = _even(pixels, rng) if shop else light(pixels, rng)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    _cover_up(picture, layers[0], list(layers.values()), shop, rng)
    items = [_annotated(layers[number], view) for number in range(len(wardrobe))]
    return Picture(np.asarray(picture), [item for item in items if item is not None])


def _depth(worn: Worn, tucked_in: bool) -> tuple[bool, bool]:
    """What is painted first: what hangs beside, then what the rest is worn over."""
    return not worn.beside, worn.garment.is_upper != tucked_in


def _turned_away(garment: Garment, view: int) -> range:
    if not garment.is_upper or view == NOT_WORN:
        return range(0)
    return FRONT_NECK if view == BEHIND else range(1)


def _wall(colour: np.ndarray, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """The plain backdrop of a shop's picture: light, unless the cloth is."""
    level = rng.uniform(222, 252) if colour.mean() < 185 else rng.uniform(120, 165)
    tint = np.clip(level + rng.normal(0, 3, 3), 0, 255).astype(np.uint8)
    return Image.new("RGB", (width, height), tuple(tint.tolist()))


def _even(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A studio's light."""
    grain = rng.standard_normal((*pixels.shape[:2], 1), np.float32)
    return pixels * np.float32(rng.uniform(0.95, 1.05)) + grain


def _cover_up(
    picture: Image.Image,
    main: _Layer,
    layers: list[_Layer],
    shop: bool,
    rng: np.random.Generator,
) -> None:
    """Put a bag, an arm or a post in front of the main garment, where its occlusion asks for it."""
    wanted = 1 + int(rng.choice(3, p=OCCLUSIONS[shop]))

    def proposals() -> Iterator[tuple[int, Image.Image]]:
        yield max(wanted - main.occlusion, 0), Image.new("L", picture.size)
        for _ in range(PROPOSALS):
            front = _front(main, picture.size, wanted, rng)
            covered = replace(main, above=np.maximum(main.above, _share(front)))
            lost = bool((covered.seen > 0.5).sum() < 2 * _LEAST_AREA)
            yield 3 * lost + abs(covered.occlusion - wanted), front

    front = best(proposals())
    for layer in layers:
        layer.above = np.maximum(layer.above, _share(front))
    picture.paste(tuple(int(c) for c in rng.uniform(10, 245, 3)), mask=front)


def _front(
    main: _Layer, size: tuple[int, int], wanted: int, rng: np.random.Generator
) -> Image.Image:
    """Something in front of a garment, as a mask."""
    box = Image.fromarray(main.cover > 0.5).getbbox() or (0, 0, *size)
    low, high = np.array(box[:2]), np.array(box[2:])
    x, y = rng.uniform(low, high)
    w, h = rng.uniform(0.08, 0.25 * wanted, 2) * (high - low)
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    match int(rng.integers(3)):
        case 0:
            pen.ellipse((x - w, y - h, x + w, y + h), fill=255)
        case 1:
            pen.rectangle((x - w, y - h, x + w, y + h), fill=255)
        case _:
            thick = max(int(0.6 * min(w, h)), 3)
            pen.line((x - 2 * w, y + 2 * h, x + 2 * w, y - 2 * h), fill=255, width=thick)
    return mask


def _share(mask: Image.Image) -> np.ndarray:
    return np.asarray(mask, np.float32) / 255


def _annotated(layer: _Layer, view: int) -> dict[str, object] | None:
    """What an annotator would write; None where next to nothing can be seen."""
    seen = layer.seen
    polygons = outlines(seen)
    if np.count_nonzero(seen > 0.5) < _LEAST_AREA or not polygons:
        return None
    corners = np.concatenate(polygons)
    box = [*map(int, np.floor(corners.min(axis=0))), *map(int, np.ceil(corners.max(axis=0)))]
    share = (box[2] - box[0]) * (box[3] - box[1]) / seen.size
    visibility = layer.visibility
    labelled = np.column_stack([np.rint(layer.landmarks), visibility])
    labelled[visibility == UNLABELLED] = 0
    return {
        "segmentation": [np.round(polygon, 1).ravel().tolist() for polygon in polygons],
        "scale": grade(share, SCALE_EDGES),
        "viewpoint": view,
        "zoom_in": grade(float((visibility == UNLABELLED).mean()), ZOOM_EDGES),
        "landmarks": labelled.astype(int).ravel().tolist(),
        "style": layer.worn.style,
        "bounding_box": box,
        "category_id": layer.worn.garment.number,
        "occlusion": layer.occlusion,
        "category_name": layer.worn.garment.category,
    }
