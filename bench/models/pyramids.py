"""Maps of several strides as one: what a backbone gives to systems that detect at several scales.

Everything between a backbone and a system is one map an image. A finer map is packed into the
coarsest one's places, each of which has its own square of the finer map as channels; nothing is
lost, added or rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers


def packed(maps: Sequence[Any]) -> Any:
    """Maps as one, at the place of the last.

    Args:
        maps: `(n, h, w, c)` each, symbolic, the finest first; each side a multiple of the last's.

    Returns:
        `(n, h, w, channels)`, with h and w of the last.
    """
    height, width = maps[-1].shape[1:3]
    parts = []
    for index, values in enumerate(maps):
        down, across, channels = (
            values.shape[1] // height,
            values.shape[2] // width,
            values.shape[3],
        )
        name = f"pack_{index}"
        squares = layers.Reshape((height, down, width, across, channels), name=f"{name}_squares")
        together = layers.Permute((1, 3, 2, 4, 5), name=f"{name}_together")(squares(values))
        flat = (height, width, down * across * channels)
        parts.append(layers.Reshape(flat, name=name)(together))
    return layers.Concatenate(name="packed")(parts)


def unpacked(values: Any, levels: Sequence[tuple[int, int]]) -> list[Any]:
    """The maps that were packed into one.

    Args:
        values: `(n, h, w, channels)`, symbolic.
        levels: Stride and channels of each, the finest first.

    Returns:
        `(n, h, w, c)` each.
    """
    height, width = values.shape[1:3]
    maps, begin = [], 0
    for index, (stride, channels) in enumerate(levels):
        factor = levels[-1][0] // stride
        end = begin + factor**2 * channels
        name = f"unpack_{index}"
        squares = layers.Reshape((height, width, factor, factor, channels), name=f"{name}_squares")(
            values[..., begin:end]
        )
        apart = layers.Permute((1, 3, 2, 4, 5), name=f"{name}_apart")(squares)
        whole = (height * factor, width * factor, channels)
        maps.append(layers.Reshape(whole, name=name)(apart))
        begin = end
    return maps
