"""In-shop retrieval as DeepFashion2's evaluation computes it, on detected boxes.

A query is a garment of a user's image that has an identity. Each detection of its image belongs to
the garment that it overlaps most, with no minimum; the query's is the most probable of its category
among those that belong to it. Without one, the query is missed. The gallery is every detection in
every shop's image; one is right where it overlaps a garment of the query's identity by a half, of
whatever category.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb

import numpy as np

from bench.metrics.detection import Detections, overlaps

DEPTHS = (1, 5, 10, 15, 20)
RIGHT_OVERLAP = 0.5


def assigned(detections: Detections, image: int) -> tuple[np.ndarray, np.ndarray]:
    """The detections of an image, and the garment that each overlaps most.

    Returns:
        `(k,)` places of its detections; `(k,)` positions of their garments.
    """
    places = np.flatnonzero(detections.scores[image] > 0)
    items = detections.truth[image]
    if not len(places) or not items:
        return places[:0], places[:0]
    boxes = np.array([item.box for item in items], float)
    return places, overlaps(detections.boxes[image, places].astype(float), boxes).argmax(axis=1)


def ranks(detections: Detections) -> np.ndarray:
    """How many gallery detections are ranked before the first right one, by garment.

    Returns:
        `(garments,)` float32 in the order of the images and their garments: NaN for a garment that
        is no query, infinite for a query that is missed or has nothing right in the gallery.
    """
    gallery = _Gallery(detections)
    found: list[float] = []
    for image, items in enumerate(detections.truth):
        for index, item in enumerate(items):
            if not detections.users[image] or item.identity < 0:
                found.append(float("nan"))
                continue
            asked = _query(detections, image, index)
            found.append(float("inf") if asked is None else gallery.rank(asked, item.identity))
    return np.array(found, np.float32)


def nearest(
    detections: Detections, garments: Sequence[tuple[int, int]], count: int
) -> Iterator[list[tuple[int, int, bool]]]:
    """The first of the gallery for some users' garments: image, place, and whether right.

    Args:
        detections: What was found, and what is there.
        garments: The image of each, and its place among the image's garments.
        count: How many; fewer where the gallery has fewer, none where the garment is missed.
    """
    gallery = _Gallery(detections)
    for image, index in garments:
        asked = _query(detections, image, index)
        scores = np.zeros(0) if asked is None else gallery.scores(asked)
        right = set(gallery.right(detections.truth[image][index].identity))
        order = np.argsort(-scores, kind="stable")[:count].tolist()
        yield [(*gallery.places[one], one in right) for one in order]


def _query(detections: Detections, image: int, index: int) -> np.ndarray | None:
    """The vector of the most probable detection of a garment, of its category; None without one."""
    places, owner = assigned(detections, image)
    category = detections.truth[image][index].category
    own = places[(owner == index) & (detections.category[image, places] == category)]
    if not len(own):
        return None
    return np.asarray(detections.vectors[image, own[detections.scores[image, own].argmax()]])


def top(found: np.ndarray, depth: int) -> np.ndarray:
    """Of ranks, `(garments,)` 1 where a query is answered right within a depth, NaN for none."""
    return np.where(np.isnan(found), np.nan, found < depth)


def chance(detections: Detections, found: np.ndarray, depth: int) -> float:
    """What a random order of the gallery scores, of queries with a detection of their own.

    The mean over all queries of 1 - C(g - r, k) / C(g, k), for r right of g gallery detections; a
    query that is missed counts as wrong.

    Args:
        detections: What was found, and what is there.
        found: Its `ranks`.
        depth: k.
    """
    gallery = _Gallery(detections)
    identities = np.array(
        [item.identity for items in detections.truth for item in items], dtype=int
    )
    answered, queries = np.isfinite(found), ~np.isnan(found)
    if not queries.any():
        return float("nan")
    depth = min(depth, gallery.size)
    hits = sum(
        1 - comb(gallery.size - len(gallery.right(identity)), depth) / comb(gallery.size, depth)
        for identity in identities[answered].tolist()
    )
    return hits / int(queries.sum())


class _Gallery:
    """Every detection in a shop's image, with the identities of the garments that it overlaps."""

    def __init__(self, detections: Detections) -> None:
        self._weights = detections.rank_weights.astype(np.float64)
        self._right: dict[int, list[int]] = {}
        self.places: list[tuple[int, int]] = []
        vectors: list[np.ndarray] = []
        for image in np.flatnonzero(~detections.users).tolist():
            places = np.flatnonzero(detections.scores[image] > 0)
            items = detections.truth[image]
            boxes = np.array([item.box for item in items], float).reshape(-1, 4)
            over = overlaps(detections.boxes[image, places].astype(float), boxes) >= RIGHT_OVERLAP
            for row, item in np.argwhere(over).tolist():
                found = self._right.setdefault(items[item].identity, [])
                if found[-1:] != [len(vectors) + row]:
                    found.append(len(vectors) + row)
            self.places += [(image, place) for place in places.tolist()]
            vectors += list(detections.vectors[image, places].astype(np.float64))
        self.size = len(vectors)
        self._vectors = np.array(vectors).reshape(self.size, len(self._weights))

    def right(self, identity: int) -> list[int]:
        """Which of them are right for an identity, ascending."""
        return self._right.get(identity, [])

    def scores(self, vector: np.ndarray) -> np.ndarray:
        """How well each of them matches, `(gallery,)`."""
        away = self._vectors - vector.astype(np.float64)
        return np.asarray((self._weights * away**2).sum(axis=1))

    def rank(self, vector: np.ndarray, identity: int) -> float:
        """How many score above the best right one, or as high and come before it."""
        right = self.right(identity)
        if not right:
            return float("inf")
        scores = self.scores(vector)
        first = right[int(scores[right].argmax())]
        best = scores[first]
        return float((scores > best).sum() + (scores[:first] == best).sum())
