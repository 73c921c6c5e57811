"""DeepFashion2's 13 categories, with how many landmarks each has."""

from __future__ import annotations

from typing import NamedTuple


class Category(NamedTuple):
    """A category.

    Args:
        name: Its name in the annotation files.
        landmarks: How many landmarks it has, in an order of its own.
    """

    name: str
    landmarks: int


CATEGORIES = (
    Category("short sleeve top", 25),
    Category("long sleeve top", 33),
    Category("short sleeve outwear", 31),
    Category("long sleeve outwear", 39),
    Category("vest", 15),
    Category("sling", 15),
    Category("shorts", 10),
    Category("trousers", 14),
    Category("skirt", 8),
    Category("short sleeve dress", 29),
    Category("long sleeve dress", 37),
    Category("vest dress", 19),
    Category("sling dress", 19),
)
"""In the order of `category_id`, which counts from 1; 294 landmarks in all (Ge et al. 2019)."""

NAMES = tuple(category.name for category in CATEGORIES)
