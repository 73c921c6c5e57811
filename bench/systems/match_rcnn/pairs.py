"""Pairs: which images stand together in a batch, and which garments of a batch are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from bench.data.items import NO_IDENTITY, SHOP, USER, Items


def image_pairs(items: Items, rows: np.ndarray) -> np.ndarray:
    """Every user's image with every shop's that shows a garment of the same identity.

    Args:
        items: Of all images.
        rows: `(k,)` the images to pair.

    Returns:
        `(pairs, 2)` positions in `rows`, the user's and the shop's; each pair once.
    """
    position = np.full(len(items.domain), -1)
    position[rows] = np.arange(len(rows))
    found = position[items.image[items.positive_pairs()]]
    found = found[(found >= 0).all(axis=1)]
    return np.unique(found, axis=0).reshape(-1, 2)


def epoch_of_pairs(pairs: np.ndarray, which: str, rng: np.random.Generator) -> np.ndarray:
    """The images of an epoch in their order: a user's, its shop's, the next user's, and so on.

    Args:
        pairs: `(pairs, 2)` positions of a user's and a shop's image.
        which: `one_a_user`: each user's image once, with one of its shop's images at random; or
            `every`: each pair once.
        rng: Source of chance.

    Returns:
        `(2 * chosen,)` positions.
    """
    shuffled = pairs[rng.permutation(len(pairs))]
    if which == "one_a_user":
        shuffled = shuffled[np.unique(shuffled[:, 0], return_index=True)[1]]
        shuffled = shuffled[rng.permutation(len(shuffled))]
    return shuffled.reshape(-1)


def pair_targets(identity: Any, domain: Any, there: Any) -> tuple[Any, Any]:
    """Which pairs of a batch's regions are a user's with a shop's, and which of these are the same.

    Args:
        identity: `(r,)` of each region's garment; `NO_IDENTITY` for one without a partner.
        domain: `(r,)` `USER` or `SHOP`, of its image.
        there: `(r,)` bool, which regions there are.

    Returns:
        `(r, r)` bool, whether a pair counts: its first region a user's, its second a shop's; and
        `(r, r)` bool, whether the two are of one garment.
    """
    counts = (there & (domain == USER))[:, None] & (there & (domain == SHOP))[None, :]
    same = (identity[:, None] == identity[None, :]) & (identity != NO_IDENTITY)[:, None]
    return counts, ops.logical_and(counts, same)
