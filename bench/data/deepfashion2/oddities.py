"""What is odd about annotations taken together: boxes, landmarks, areas, pairs.

None of it forbids training: the release itself has items without landmarks and styles without a
partner.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.data.deepfashion2.categories import NAMES
from bench.data.issues import EXAMPLES, IssueLog
from bench.data.items import NO_IDENTITY, SHOP, UNKNOWN, UNLABELLED, USER, Items

SCALE_EDGES = (0.1, 0.4)
"""Shares of the image that a box covers at which an item is no longer small, and is large."""

SHORT_OUTWEAR = "short sleeve outwear with point 2 below point 4 (ordered as in the figure)"
"""The authors' figure has point 4 at the neck and 2 at the front; their sigmas are symmetric only
the other way round. Which it is must be known before an image is flipped."""

_Say = Callable[[str, np.ndarray], None]


def count_oddities(
    items: Items,
    columns: dict[str, np.ndarray],
    images: np.ndarray,
    pairs: np.ndarray,
    log: IssueLog,
) -> None:
    """Count them, each kind with a few examples.

    Args:
        items: The items as they are handed on.
        columns: The index: boxes and landmarks as annotated, and the sizes of the images.
        images: `(n,)` paths of the images.
        pairs: `(n,)`, the same number for images of one part and `pair_id`.
        log: Where they are counted.
    """

    def say(kind: str, rows: np.ndarray) -> None:
        for row in rows[:EXAMPLES].tolist():
            log.add(kind, str(images[row]))
        log.add(kind, count=len(rows) - EXAMPLES)

    empty = np.bincount(items.image, minlength=len(images)) == 0
    say("image without an item", np.flatnonzero(empty & (items.domain != UNKNOWN)))
    size = columns["image_size"][columns["usable"]][items.image].astype(np.float32)
    _boxes(items, columns["box"], size, say)
    _landmarks(items, columns["points"], columns["labelled"] > 0, size, say)
    say("item without a polygon", items.image[np.diff(items.polygon_starts) == 0])
    _identities(items, say)
    said = np.flatnonzero(items.domain != UNKNOWN)
    alone = said[one_sided(pairs[said], items.domain[said])]
    say(
        "pair_id with images of one side only", alone[np.unique(pairs[alone], return_index=True)[1]]
    )


def one_sided(identity: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Whether what has an identity has none of the same on the other side, `(m,)` bool."""
    sides = np.zeros((identity.max(initial=-1) + 2, 2), dtype=bool)
    sides[identity[domain == USER], USER] = True
    sides[identity[domain == SHOP], SHOP] = True
    return (identity != NO_IDENTITY) & ~sides[identity].all(axis=1)


def _boxes(items: Items, annotated: np.ndarray, size: np.ndarray, say: _Say) -> None:
    say("box beyond the image (clipped)", items.image[(items.box != annotated).any(axis=1)])
    width, height = (items.box[:, 2:] - items.box[:, :2]).T
    nothing = (width <= 0) | (height <= 0)
    say("box without area", items.image[nothing])
    share = np.where(nothing, np.nan, width * height / size.prod(axis=1))
    scale = 1 + np.digitize(share, SCALE_EDGES)
    contradicted = ~nothing & (scale != items.scale)
    say("scale that the box's share of the image contradicts", items.image[contradicted])
    key = np.column_stack([items.image, items.category, annotated])
    first = np.unique(key, axis=0, return_index=True)[1]
    say("item with the category and box of another", np.delete(items.image, first))


def _landmarks(
    items: Items, annotated: np.ndarray, given: np.ndarray, size: np.ndarray, say: _Say
) -> None:
    owner = np.repeat(np.arange(len(items)), np.diff(items.point_starts))
    labelled = items.points[:, 2] != UNLABELLED
    without = np.bincount(owner[labelled], minlength=len(items)) == 0
    say("item without landmarks", items.image[without])
    outwear = items.point_starts[:-1][items.category == NAMES.index("short sleeve outwear")]
    second, fourth = items.points[outwear + 1], items.points[outwear + 3]
    both = (second[:, 2] != UNLABELLED) & (fourth[:, 2] != UNLABELLED)
    below = outwear[both & (second[:, 1] > fourth[:, 1])]
    say(SHORT_OUTWEAR, items.image[owner[below]])
    place = items.points[:, :2]
    beyond = labelled & ((place < 0) | (place > size[owner])).any(axis=1)
    say("item with a landmark beyond the image", items.image[np.unique(owner[beyond])])
    placed = (annotated[:, 2] == UNLABELLED) & (annotated[:, :2] != 0).any(axis=1)
    found = np.unique(owner[np.repeat(given, np.diff(items.point_starts))][placed])
    say("item with a place for a landmark that is not labelled (ignored)", items.image[found])


def _identities(items: Items, say: _Say) -> None:
    domain = items.domain[items.image]
    alone = one_sided(items.identity, domain)
    say("style without a partner on the other side", items.image[alone])
    named = np.flatnonzero(items.identity != NO_IDENTITY)
    kinds = np.unique(
        np.column_stack([items.identity[named], items.category[named]]), axis=0, return_index=True
    )
    identity, first = kinds[0][:, 0], named[kinds[1]]
    again = np.flatnonzero(identity[1:] == identity[:-1]) + 1
    say("pair_id and style under two categories", items.image[first[again]])
