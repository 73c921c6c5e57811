"""Counts the items of a source whose images hold several, beside DeepFashion2's printed counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.data.deepfashion2 import release
from bench.data.items import HIDDEN, NO_IDENTITY, SEEN, SHOP, UNLABELLED, USER, Items
from bench.data.manifest import PARTITIONS, Manifest

Counts = dict[str, dict[str, float | None]]
"""Rows by name, each a value by column; None where nobody says."""

Table = tuple[str, list[str], list[list[str]]]
"""A title, the column headers and the rows of a table to print."""

_GRADES: dict[str, dict[str, float]] = {
    "scale": {"small": 26, "moderate": 50, "large": 24},
    "occlusion": {"slight": 47, "medium": 47, "heavy": 6},
    "zoom_in": {"none": 67, "medium": 21, "large": 12},
    "viewpoint": {"not worn": 7, "frontal": 78, "side or back": 15},
}
"""Names of the grades, from 1, and the percentage of the published set's items that has each."""


@dataclass(frozen=True)
class ItemCounts:
    """What there is of items.

    Args:
        sizes: By quantity, train, val and test: here, as released, and as the paper has it.
        categories: Items by category, then by part.
        grades: Items by scale, occlusion, zoom-in and viewpoint; by part, their percentage, and
            that of the published set.
        landmarks: Landmarks by visibility, then by part.
    """

    sizes: Counts
    categories: Counts
    grades: Counts
    landmarks: Counts

    def tables(self) -> list[Table]:
        """Title, headers and rows of each table, as text ready to print."""
        return [
            _table("Sizes", "what", self.sizes),
            _table("Items by category", "category", self.categories),
            _table("Items by scale, occlusion, zoom-in and viewpoint", "items", self.grades),
            _table("Landmarks", "landmarks", self.landmarks),
        ]


def count_items(manifest: Manifest) -> ItemCounts | None:
    """Count the items of a source; None where it has one garment an image."""
    items = manifest.items
    if items is None:
        return None
    part = manifest.partition[items.image]

    def rows(values: np.ndarray, names: Mapping[str, int], of: np.ndarray = part) -> Counts:
        return {
            name: _totalled([int(((values == value) & (of == p)).sum()) for p in _PARTS])
            for name, value in names.items()
        }

    grades: Counts = {}
    for kind, names in _GRADES.items():
        counted = rows(getattr(items, kind), {name: 1 + i for i, name in enumerate(names)})
        for name, row in counted.items():
            share = 100 * (row["total"] or 0) / max(len(items), 1)
            published: dict[str, float | None] = {
                "here, %": round(share, 1),
                "published, %": names[name],
            }
            grades[f"{kind.replace('_', '-')}: {name}"] = row | published
    owner = np.repeat(part, np.diff(items.point_starts))
    seen = {"visible": SEEN, "occluded": HIDDEN, "not labelled": UNLABELLED}
    return ItemCounts(
        sizes=_sizes(manifest, items, part),
        categories=rows(items.category, {name: i for i, name in enumerate(manifest.class_names)}),
        grades=grades,
        landmarks=rows(items.points[:, 2], seen, owner),
    )


_PARTS = range(len(PARTITIONS))


def _sizes(manifest: Manifest, items: Items, part: np.ndarray) -> Counts:
    domain = items.domain[items.image]
    pairs = items.positive_pairs()
    images = np.unique(items.image[pairs], axis=0)
    named = items.identity != NO_IDENTITY
    by_image, by_item = manifest.partition, part
    here: dict[str, np.ndarray] = {
        "images": by_image,
        "images of users": by_image[items.domain == USER],
        "images of shops": by_image[items.domain == SHOP],
        "items": by_item,
        "items with a style": by_item[named],
        "queries (a user's items with a style)": by_item[named & (domain == USER)],
        "gallery (a shop's items)": by_item[domain == SHOP],
        "pairs of items (user, shop)": by_item[pairs[:, 0]],
        "pairs of images (user, shop)": by_image[images[:, 0]],
    }
    said: dict[str, tuple[tuple[str, dict[str, int]], ...]] = {
        "images": (("released", release.RELEASED), ("paper", release.PAPER)),
        "items": (("paper", release.PAPER_ITEMS),),
        "queries (a user's items with a style)": (("paper", release.PAPER_QUERIES),),
        "gallery (a shop's items)": (("paper", release.PAPER_GALLERY),),
        "pairs of items (user, shop)": (("released", release.RELEASED_ITEM_PAIRS),),
        "pairs of images (user, shop)": (
            ("released", release.RELEASED_IMAGE_PAIRS),
            ("pairs of the paper", release.PAPER_PAIRS),
        ),
    }
    table: Counts = {}
    for what, where in here.items():
        counts = np.bincount(where, minlength=len(PARTITIONS)).tolist()
        table[what] = dict(zip(PARTITIONS, counts, strict=True))
        for whose, printed in said.get(what, ()):
            table[f"{what}: {whose}"] = {name: printed.get(name) for name in PARTITIONS}
    return table


def _totalled(counts: list[int]) -> dict[str, float | None]:
    return {**dict(zip(PARTITIONS, counts, strict=True)), "total": sum(counts)}


def _table(title: str, what: str, counts: Counts) -> Table:
    columns = list(next(iter(counts.values())))
    rows = [[name, *map(_cell, row.values())] for name, row in counts.items()]
    return title, [what, *columns], rows


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:,}"
