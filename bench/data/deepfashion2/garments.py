"""Garments of four of DeepFashion2's categories, cut from DeepFashion's patterns.

A garment's landmarks lie along its edges, in the order in which DeepFashion2's annotators place
them: tops from the back of the neck over the neckline, down the image's left side, along the hem
and up its right; what is worn below from the waist, likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bench.data.categories import categories
from bench.data.deepfashion2.categories import NAMES
from bench.data.garment import SIDES, Cloth, Drawing, Point, cut, sample_cloth

Place = tuple[str, float]
"""An edge by its name, and how far along it."""


def _both_sides(places: tuple[Place, ...], middle: Place) -> tuple[Place, ...]:
    """Places down the left side, one in the middle, and up the right side."""
    left = tuple((f"left {edge}", share) for edge, share in places)
    right = tuple((f"right {edge}", share) for edge, share in reversed(places))
    return (*left, middle, *right)


_NECK = (("back", 0.5), *(("neckline", share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)))
_WAIST = tuple(("waistline", share) for share in (0.0, 0.5, 1.0))
_SLEEVE = tuple(("upper sleeve", share) for share in (0.0, 0.5, 1.0)) + tuple(
    ("lower sleeve", share) for share in (0.0, 0.5, 1.0)
)

ORDER: dict[str, tuple[Place, ...]] = {
    "short sleeve top": (
        *_NECK,
        *_both_sides((*_SLEEVE, ("side", 1 / 3), ("side", 2 / 3), ("side", 1.0)), ("hem", 0.5)),
    ),
    "vest": (
        *_NECK,
        *_both_sides(
            (("armhole", 0.0), ("armhole", 1.0), ("side", 0.5), ("side", 1.0)), ("hem", 0.5)
        ),
    ),
    "trousers": (
        *_WAIST,
        *_both_sides(
            (("outseam", 1 / 3), ("outseam", 2 / 3), ("outseam", 1.0), ("inseam", 0.0),
             ("inseam", 0.5)),
            ("left inseam", 1.0),
        ),
    ),
    "skirt": (*_WAIST, *_both_sides((("outseam", 0.5), ("outseam", 1.0)), ("hem", 0.5))),
}  # fmt: skip
"""Where the landmarks of each drawn category are, in the annotated order."""

FRONT_NECK = range(2, 5)
"""Landmarks of a top that are hidden from behind; from the front, worn, the first one is."""

_CUT_FROM = {
    "short sleeve top": ("Tee",),
    "vest": ("Tank",),
    "trousers": ("Jeans", "Chinos", "Sweatpants", "Joggers"),
    "skirt": ("Skirt",),
}
UPPER, LOWER = ("short sleeve top", "vest"), ("trousers", "skirt")


@dataclass(frozen=True)
class Garment:
    """A product.

    Args:
        category: Its name, one of `ORDER`.
        cloth: Pattern, texture and colours.
    """

    category: str
    cloth: Cloth

    @property
    def is_upper(self) -> bool:
        """Whether it is worn above the waist."""
        return self.category in UPPER

    @property
    def number(self) -> int:
        """Its `category_id`."""
        return NAMES.index(self.category) + 1


def sample_garment(category: str, rng: np.random.Generator) -> Garment:
    """Sample a product of a category.

    Args:
        category: One of `ORDER`.
        rng: The product's generator.
    """
    kinds = [kind.name for kind in categories()]
    name = _CUT_FROM[category][int(rng.integers(len(_CUT_FROM[category])))]
    cloth = sample_cloth(kinds.index(name), rng)
    # A vest has shoulders; what hangs from straps is a sling. A slit would divide a skirt's hem.
    pattern = replace(cloth.pattern, straps=0.0, open=0.0, pockets=0.0)
    return Garment(category, replace(cloth, pattern=pattern))


def recoloured(garment: Garment, rng: np.random.Generator) -> Garment:
    """The same garment in another colour or print: another style of the same pair."""
    other = sample_cloth(garment.cloth.category, rng)
    return replace(garment, cloth=replace(other, pattern=garment.cloth.pattern))


def cut_garment(garment: Garment, *, back: bool, rng: np.random.Generator) -> Drawing:
    """A garment's outlines.

    Args:
        garment: The product.
        back: As it is seen from behind.
        rng: The photograph's generator.
    """
    pattern = garment.cloth.pattern
    if back:
        flat = {"neck_depth": 0.04, "v_neck": 0.0, "buttons": 0.0, "lapel": 0.0}
        pattern = replace(pattern, **flat)
    drawing = cut(replace(garment.cloth, pattern=pattern), rng)
    if garment.is_upper:
        neckline = drawing.lines["neckline"]
        drawing.lines["back"] = [neckline[0], neckline[-1]]
    for side in SIDES.values():
        if f"{side} lower sleeve" in drawing.lines:
            drawing.lines[f"{side} lower sleeve"][0] = _inner_cuff(drawing, side)
    return drawing


def _inner_cuff(drawing: Drawing, side: str) -> Point:
    """The end of the cuff that is nearest to the body; of an arm that hangs down, not behind it."""
    edge = np.array(drawing.lines[f"{side} armhole"] + drawing.lines[f"{side} side"])
    outer, inner = (np.array(drawing.lines[f"{side} {line} sleeve"][at])
                    for line, at in (("upper", 1), ("lower", 0)))  # fmt: skip
    cuff = np.linspace(inner, outer, 50)
    behind = np.abs(cuff[:, 0]) < np.interp(cuff[:, 1], edge[:, 1], np.abs(edge[:, 0]))
    x, y = cuff[int(np.argmin(behind))]
    return float(x), float(y)


def landmark_places(garment: Garment, drawing: Drawing) -> np.ndarray:
    """The garment's landmarks in the frame of its drawing, `(landmarks of its category, 2)`."""
    return np.array([_along(drawing.lines[edge], share) for edge, share in ORDER[garment.category]])


def _along(line: list[Point], share: float) -> np.ndarray:
    points = np.array(line)
    reached = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = share * reached[-1]
    return np.array([np.interp(at, reached, axis) for axis in points.T])
