"""Places garments in a picture, of a size and cut off by its edges as often as is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from bench.data.deepfashion2.garments import Garment, landmark_places
from bench.data.deepfashion2.oddities import SCALE_EDGES
from bench.data.garment import Affine, Drawing

ZOOM_EDGES = (1e-6, 0.4)
"""Shares of the landmarks that the picture cuts off: medium and large zoom-in."""

SCALES = (0.16, 0.46, 0.38)
ZOOMS = {True: (0.93, 0.07, 0.0), False: (0.54, 0.33, 0.13)}
"""How often the main garment has each grade, of zoom-in in a shop's picture (True) and in a user's:
such that those of all items, which follow from the picture, are about as published."""

WHOLE_OUTFIT = 0.7
"""How often what the main garment is worn with is all in the picture, too, if that one is."""

PROPOSALS = 40
"""How many places are tried for one that is as wanted."""

_SHARES = ((0.03, 0.1), (0.1, 0.4), (0.4, 0.75))
"""Shares of the picture for a box of each scale."""

_MOST_CUT_OFF = 0.75
_Proposal = TypeVar("_Proposal")


def grade(share: float, edges: tuple[float, float]) -> int:
    """1 below two edges, 2 between them, 3 above."""
    return 1 + int(np.digitize(share, edges))


def best(proposals: Iterable[tuple[int, _Proposal]]) -> _Proposal:
    """The first that is as wanted, else the first that is least otherwise."""
    found: list[tuple[int, _Proposal]] = []
    for proposal in proposals:
        found.append(proposal)
        if proposal[0] == 0:
            break
    return min(found, key=lambda one: one[0])[1]


def place_outfit(
    garment: Garment,
    outfit: list[Drawing],
    size: np.ndarray,
    shop: bool,
    rng: np.random.Generator,
) -> Affine:
    """A place for an outfit, such that its main garment has a scale and a zoom-in drawn for it.

    Args:
        garment: The main garment.
        outfit: The drawings of what is worn, the main one first.
        size: Width and height of the picture.
        shop: Whether it is a shop's or a user's.
        rng: The photograph's generator.
    """
    scale, zoom = (1 + int(rng.choice(3, p=shares)) for shares in (SCALES, ZOOMS[shop]))
    landmarks, main = landmark_places(garment, outfit[0]), _points(outfit[0])
    whole = zoom == 1 and rng.random() < WHOLE_OUTFIT
    framed = np.concatenate([_points(d) for d in outfit]) if whole else main

    def proposals() -> Iterator[tuple[int, Affine]]:
        for _ in range(PROPOSALS):
            place = _proposed(framed, size, scale, zoom, shop, rng)
            outline = np.clip(place(main), 0, size)
            low, high = outline.min(axis=0), outline.max(axis=0)
            share = float((high - low).prod() / size.prod())
            at = place(landmarks)
            cut_off = float(((at < 0) | (at > size - 1)).any(axis=1).mean())
            unlike = abs(grade(share, SCALE_EDGES) - scale)
            unlike += 2 * abs(grade(cut_off, ZOOM_EDGES) - zoom)
            yield unlike + 10 * (cut_off > _MOST_CUT_OFF), place

    return best(proposals())


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


def hang_beside(
    drawing: Drawing, place: Affine, width: int, height: int, rng: np.random.Generator
) -> Affine:
    """A place for a garment beside what is worn at another, smaller."""
    points = _points(drawing)
    matrix = place.matrix * rng.uniform(0.7, 1.0)
    side = rng.uniform(0.06, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 0.94)
    centre = np.array([width * side, height * rng.uniform(0.3, 0.7)])
    return Affine(matrix, centre - matrix @ points.mean(axis=0))


def _points(drawing: Drawing) -> np.ndarray:
    return np.array([point for part, _, _ in drawing.parts for point in part])
