"""Reads the annotation of one image: DeepFashion2's JSON, checked value by value.

What a network could not be trained on is a `Fault`, and the image is left out and counted; what is
only odd is read, and named in `Annotation.oddities`.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError, from_json

from bench.data.deepfashion2.categories import CATEGORIES
from bench.data.items import polygon_area

MOST_BYTES = 5_000_000
"""Of a file; those of the release have some thousands."""

UNORDERED = "annotation file with keys out of order"
OVERLAPPING = "item whose polygons overlap (its mask is their union)"
FLAT = "item whose polygons have no area"
SLIVER = "polygon of fewer than three points (left out)"

LEAST_AREA = 1e-3
"""Of a polygon in square pixels; below it there is none, but for rounding."""

_ITEM = re.compile(r"item(\d{1,4})")
_INT32 = 2**31 - 1
_MOST_POLYGONS = 200
_GRID = (np.arange(10) + 0.5) / 10
_COCO = {"images", "annotations", "categories"}

Coordinate = Annotated[float, Field(ge=-100_000, le=100_000)]
Grade = Annotated[int, Field(ge=1, le=3)]
Model = TypeVar("Model", bound=BaseModel)


class Fault(Exception):  # noqa: N818 - it names the file's state
    """An annotation file that cannot be used.

    Args:
        kind: What is wrong, the same words for all files of a kind.
        found: What was found, and where in the file.
    """

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(f"{kind}: {found}")
        self.kind, self.found = kind, found


class Item(BaseModel):
    """One garment as annotated; the fields are the keys of the file."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    category_id: int = Field(ge=1, le=len(CATEGORIES))
    category_name: str
    style: int = Field(ge=0, le=_INT32)
    bounding_box: list[Coordinate] = Field(min_length=4, max_length=4)
    landmarks: list[Coordinate] = []
    segmentation: list[list[Coordinate]] = Field(default=[], max_length=_MOST_POLYGONS)
    scale: Grade
    occlusion: Grade
    zoom_in: Grade
    viewpoint: Grade

    @model_validator(mode="after")
    def _fits_its_category(self) -> Item:
        name, count = CATEGORIES[self.category_id - 1]
        if self.category_name != name:
            found = f"category {self.category_id} is {name}, and the item is called"
            raise PydanticCustomError(
                "category_name", "{found} {name}", {"found": found, "name": self.category_name}
            )
        if len(self.landmarks) not in (0, 3 * count):
            found = f"{name} has {count} landmarks of 3 values, found {len(self.landmarks)} values"
            raise PydanticCustomError("landmark_count", "{found}", {"found": found})
        if any(flag not in (0, 1, 2) for flag in self.landmarks[2::3]):
            raise PydanticCustomError("visibility", "a landmark's visibility is not 0, 1 or 2")
        for number, polygon in enumerate(self.segmentation, start=1):
            if len(polygon) % 2:
                found = f"polygon {number} has {len(polygon)} values"
                raise PydanticCustomError("odd_polygon", "{found}", {"found": found})
        return self


class _Head(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    source: Literal["user", "shop"]
    pair_id: int = Field(ge=0, le=_INT32)


class Annotation(NamedTuple):
    """What the file of one image says.

    Args:
        source: `user` or `shop`.
        pair_id: Number of the pair.
        items: The items in the order of their numbers; polygons of fewer than three points are
            left out of them.
        oddities: What is odd about the file and does not forbid using it.
    """

    source: str
    pair_id: int
    items: list[Item]
    oddities: list[str]


def parse(raw: bytes) -> Annotation:
    """Read an annotation file's bytes.

    Args:
        raw: The file.

    Raises:
        Fault: It is not DeepFashion2's annotation of an image.
    """
    plain = _plain(raw)
    head = _valid(_Head, plain, "")
    keys = {key: int(match[1]) for key in plain if (match := _ITEM.fullmatch(key))}
    ordered = sorted(keys, key=keys.__getitem__)
    items = [_valid(Item, plain[key], key) for key in ordered]
    oddities = [UNORDERED] if list(keys) != ordered else []
    for item in items:
        whole = [polygon for polygon in item.segmentation if len(polygon) >= 6]
        oddities += [SLIVER] * (len(item.segmentation) - len(whole))
        item.segmentation = whole
        polygons = [np.reshape(polygon, (-1, 2)) for polygon in whole]
        if polygons and max(map(polygon_area, polygons)) < LEAST_AREA:
            oddities.append(FLAT)
        if len(polygons) > 1 and _overlap(polygons):
            oddities.append(OVERLAPPING)
    return Annotation(head.source, head.pair_id, items, oddities)


def _plain(raw: bytes) -> dict[str, Any]:
    if len(raw) > MOST_BYTES:
        raise Fault("not the annotation of one image", f"{len(raw):,} bytes")
    try:
        plain = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise Fault("not JSON, or cut", str(error)) from error
    if not isinstance(plain, dict):
        raise Fault("of another schema", f"expected an object, found a {type(plain).__name__}")
    if plain.keys() >= _COCO:
        raise Fault("of another schema", "COCO's: one file for many images")
    return plain


def _valid(model: type[Model], plain: Any, key: str) -> Model:
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in (key, *first["loc"]) if part != "")
        found = f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}"
        raise Fault(_kind(first["type"], key), found) from error


def _kind(reason: str, key: str) -> str:
    if not key:
        return "of another schema"
    return {
        "landmark_count": "landmarks of the wrong number for the category",
        "odd_polygon": "polygon with an odd number of values",
        "category_name": "category number and name that differ",
    }.get(reason, "item with a value that is missing or not what it should be")


def _overlap(polygons: list[np.ndarray]) -> bool:
    """Whether any two share area, by a grid of points where their bounding boxes meet."""
    low = np.array([polygon.min(axis=0) for polygon in polygons])
    high = np.array([polygon.max(axis=0) for polygon in polygons])
    for one, other in combinations(range(len(polygons)), 2):
        corner, end = np.maximum(low[one], low[other]), np.minimum(high[one], high[other])
        if (corner >= end).any():
            continue
        x, y = np.meshgrid(*(corner + (end - corner) * _GRID[:, None]).T)
        if (_inside(polygons[one], x, y) & _inside(polygons[other], x, y)).any():
            return True
    return False


def _inside(polygon: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether each point is inside, by how often a ray to the right crosses the outline."""
    (x1, y1), (x2, y2) = polygon.T[..., None, None], np.roll(polygon, -1, axis=0).T[..., None, None]
    straddles = (y1 > y) != (y2 > y)
    rise = np.where(y2 == y1, 1, y2 - y1)
    return (straddles & (x < x1 + (y - y1) * (x2 - x1) / rise)).sum(axis=0) % 2 == 1
