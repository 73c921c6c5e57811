"""DeepFashion's 50 categories, with their clothes type and how many images each has."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Category:
    """A category of DeepFashion's Category and Attribute Prediction Benchmark.

    Args:
        name: Its name.
        clothes_type: 1 upper, 2 lower, 3 full body.
        images: Images of it among the 289,222; 0 for the four names that never occur.
    """

    name: str
    clothes_type: int
    images: int


@cache
def categories() -> tuple[Category, ...]:
    """All 50, in DeepFashion's order."""
    text = (resources.files("bench.data") / "categories.csv").read_text(encoding="utf-8")
    return tuple(
        Category(row["name"], int(row["clothes_type"]), int(row["images"]))
        for row in csv.DictReader(text.splitlines())
    )
