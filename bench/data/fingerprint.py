"""Names the content of a source by a hash that does not depend on where or when it was stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np


def fingerprint(
    *,
    class_names: Sequence[str],
    paths: Iterable[str],
    category: np.ndarray,
    clothes_type: np.ndarray,
    landmarks: np.ndarray,
    visibility: np.ndarray,
    partition: np.ndarray,
    file_sizes: np.ndarray,
    more: Sequence[np.ndarray] = (),
) -> str:
    """Hash everything that can change a result.

    Args:
        class_names: Names of the categories.
        paths: Image paths, relative to the folder that holds the images, with `/` between parts.
        category: `(n,)` category indices.
        clothes_type: `(n,)` clothes types.
        landmarks: `(n, 8, 2)` coordinates, NaN where absent.
        visibility: `(n, 8)` visibility flags.
        partition: `(n,)` partition indices.
        file_sizes: `(n,)` sizes of the image files in bytes.
        more: What else a source knows of its images, in an order of its own.

    Returns:
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()

    def feed(part: bytes) -> None:
        # Lengths keep neighbours apart: ("ab", "c") and ("a", "bc") must not hash alike.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)

    feed("\0".join(class_names).encode("utf-8", "surrogateescape"))
    feed("\0".join(paths).encode("utf-8", "surrogateescape"))
    # Fixed little-endian types, and one bit pattern for NaN, make the bytes the same anywhere.
    points = np.where(np.isnan(landmarks), np.float32(np.nan), landmarks)
    feed(np.ascontiguousarray(points, dtype="<f4").tobytes())
    feed(np.ascontiguousarray(category, dtype="<i2").tobytes())
    feed(np.ascontiguousarray(file_sizes, dtype="<i8").tobytes())
    for flags in (clothes_type, visibility, partition):
        feed(np.ascontiguousarray(flags, dtype="<i1").tobytes())
    for array in more:
        feed(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
