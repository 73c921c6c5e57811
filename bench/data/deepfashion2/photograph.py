"""Renders a photograph of one to three garments with the annotation that DeepFashion2 would have.

A shop's picture is plain; a user's has another pose, light, crop and something in front. Grades
follow from what is drawn: scale from the box as in DeepFashion2, occlusion and zoom-in, whose
thresholds it does not give, from the shares of landmarks hidden and cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from bench.data.deepfashion2.garments import FRONT_NECK, Garment, cut_garment, landmark_places
from bench.data.deepfashion2.oddities import SCALE_EDGES
from bench.data.deepfashion2.outline import outlines
from bench.data.garment import LONGEST, Affine, Drawing, background, body, light, paint
from bench.data.items import HIDDEN, SEEN, UNLABELLED

OCCLUSION_EDGES = (0.1, 0.5)
"""Shares of the landmarks in the picture that are hidden: medium and heavy occlusion."""

ZOOM_EDGES = (1e-6, 0.4)
"""Shares of the landmarks that the picture cuts off: medium and large zoom-in."""

NOT_WORN, FRONTAL, BEHIND = 1, 2, 3

SCALES = (0.16, 0.46, 0.38)
ZOOMS = {True: (0.93, 0.07, 0.0), False: (0.54, 0.33, 0.13)}
OCCLUSIONS = {True: (0.78, 0.22, 0.0), False: (0.26, 0.70, 0.04)}
VIEWPOINTS = {True: (0.12, 0.72, 0.16), False: (0.0, 0.80, 0.20)}
"""How often the main garment has each grade in a shop's picture (True) and in a user's: such that
those of all items, which follow from the picture, are about as published."""

WHOLE_OUTFIT = 0.7
"""How often what the main garment is worn with is all in the picture, too, if that one is."""

_SHARES = ((0.03, 0.1), (0.1, 0.4), (0.4, 0.75))
"""Shares of the picture for a box of each scale."""

_LEAST_AREA = 60
_MOST_CUT_OFF = 0.75
_PROPOSALS = 40
_Proposal = TypeVar("_Proposal")


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
        return _grade(float((inside == HIDDEN).mean()) if len(inside) else 1.0, OCCLUSION_EDGES)

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
    place = _placed(wardrobe[0].garment, outfit, size, shop, rng)

    colour = wardrobe[0].garment.cloth.colour
    scene = (_wall if shop else background)(colour, width, height, rng)
    if view != NOT_WORN:
        body(scene, place, rng)
    pixels = np.asarray(scene, np.float32)
    layers: dict[int, _Layer] = {}
    tucked_in = bool(rng.random() < 0.4)
    for number in sorted(range(len(wardrobe)), key=lambda n: _depth(wardrobe[n], tucked_in)):
        worn, drawing = wardrobe[number], drawings[number]
        where = _hung(drawing, place, width, height, rng) if worn.beside else place
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


_INSIDE = 110
"""Shade of the inside of a top's back, which a neck hides where it is worn."""


def _depth(worn: Worn, tucked_in: bool) -> tuple[bool, bool]:
    """What is painted first: what hangs beside, then what the rest is worn over."""
    return not worn.beside, worn.garment.is_upper != tucked_in


def _turned_away(garment: Garment, view: int) -> range:
    if not garment.is_upper or view == NOT_WORN:
        return range(0)
    return FRONT_NECK if view == BEHIND else range(1)


def _grade(share: float, edges: tuple[float, float]) -> int:
    return 1 + int(np.digitize(share, edges))


def _best(proposals: Iterable[tuple[int, _Proposal]]) -> _Proposal:
    """The first that is as wanted, else the first that is least otherwise."""
    found: list[tuple[int, _Proposal]] = []
    for proposal in proposals:
        found.append(proposal)
        if proposal[0] == 0:
            break
    return min(found, key=lambda one: one[0])[1]


def _placed(
    garment: Garment,
    outfit: list[Drawing],
    size: np.ndarray,
    shop: bool,
    rng: np.random.Generator,
) -> Affine:
    """A place for the main garment, the first of an outfit, of a scale and zoom-in drawn for it."""
    scale, zoom = (1 + int(rng.choice(3, p=shares)) for shares in (SCALES, ZOOMS[shop]))
    landmarks, main = landmark_places(garment, outfit[0]), _points(outfit[0])
    whole = zoom == 1 and rng.random() < WHOLE_OUTFIT
    framed = np.concatenate([_points(d) for d in outfit]) if whole else main

    def proposals() -> Iterator[tuple[int, Affine]]:
        for _ in range(_PROPOSALS):
            place = _proposed(framed, size, scale, zoom, shop, rng)
            outline = np.clip(place(main), 0, size)
            low, high = outline.min(axis=0), outline.max(axis=0)
            share = float((high - low).prod() / size.prod())
            at = place(landmarks)
            cut_off = float(((at < 0) | (at > size - 1)).any(axis=1).mean())
            unlike = abs(_grade(share, SCALE_EDGES) - scale)
            unlike += 2 * abs(_grade(cut_off, ZOOM_EDGES) - zoom)
            yield unlike + 10 * (cut_off > _MOST_CUT_OFF), place

    return _best(proposals())


def _proposed(
    points: np.ndarray,
    size: np.ndarray,
    scale: int,
    zoom: int,
    shop: bool,
    rng: np.random.Generator,
) -> Affine:
    low, high = points.min(axis=0), points.max(axis=0)
    extent = high - low
    unit = np.sqrt(rng.uniform(*_SHARES[scale - 1]) * size.prod() / extent.prod())
    if zoom == 1:
        unit = min(unit, *(0.96 * size / extent))
        room = np.clip((size - unit * extent) / 2, 0, None)
        centre = size / 2 + room * rng.uniform(-1, 1, 2) * (0.5 if shop else 1)
    else:
        unit *= np.sqrt(rng.uniform(1.1, 1.0 + zoom))
        centre = size * rng.uniform(-0.2, 1.2, 2)
    ease = 0.5 if shop else 1.5
    turn, shear = ease * rng.normal(0, 0.06), ease * rng.normal(0, 0.05)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = unit * rotation @ np.array([[rng.uniform(0.92, 1.08), shear], [0.0, 1.0]])
    return Affine(matrix, centre - matrix @ ((low + high) / 2))


def _hung(
    drawing: Drawing, place: Affine, width: int, height: int, rng: np.random.Generator
) -> Affine:
    """Beside what is worn, smaller."""
    points = _points(drawing)
    matrix = place.matrix * rng.uniform(0.7, 1.0)
    side = rng.uniform(0.06, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 0.94)
    centre = np.array([width * side, height * rng.uniform(0.3, 0.7)])
    return Affine(matrix, centre - matrix @ points.mean(axis=0))


def _points(drawing: Drawing) -> np.ndarray:
    return np.array([point for part, _, _ in drawing.parts for point in part])


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
    before, plain = main.above, Image.new("L", picture.size)

    def proposals() -> Iterator[tuple[int, Image.Image]]:
        yield max(wanted - main.occlusion, 0), plain
        for _ in range(_PROPOSALS):
            front = _front(main, picture.size, wanted, rng)
            main.above = np.maximum(before, _share(front))
            lost = bool((main.seen > 0.5).sum() < 2 * _LEAST_AREA)
            yield 3 * lost + abs(main.occlusion - wanted), front
            main.above = before

    front = _best(proposals())
    for layer in layers:
        layer.above = np.maximum(before if layer is main else layer.above, _share(front))
    picture.paste(tuple(int(c) for c in rng.uniform(10, 245, 3)), mask=front)


def _front(
    main: _Layer, size: tuple[int, int], wanted: int, rng: np.random.Generator
) -> Image.Image:
    """Something in front of a garment, as a mask."""
    rows, columns = (np.flatnonzero((main.cover > 0.5).any(axis=axis)) for axis in (1, 0))
    low, high = (np.array([c[i], r[i]]) if len(r) else np.zeros(2) for i in (0, -1)
                 for r, c in [(rows, columns)])  # fmt: skip
    x, y = rng.uniform(low, high + 1)
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
        "scale": _grade(share, SCALE_EDGES),
        "viewpoint": view,
        "zoom_in": _grade(float((visibility == UNLABELLED).mean()), ZOOM_EDGES),
        "landmarks": labelled.astype(int).ravel().tolist(),
        "style": layer.worn.style,
        "bounding_box": box,
        "category_id": layer.worn.garment.number,
        "occlusion": layer.occlusion,
        "category_name": layer.worn.garment.category,
    }
