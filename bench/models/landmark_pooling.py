"""From landmark maps to places, and from a feature map to what lies around them.

Places are (x, y) as shares of the image's width and height. Both steps are differentiable, so that
a loss above the pooled features can reach the places, and the places what predicts them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def soft_arg_max(logits: Any, side: int) -> Any:
    """The expected place of each landmark under its map's softmax (Nibali et al. 2018).

    Args:
        logits: `(n, landmarks, side * side)`; pixel (row, column) has index `row * side + column`.
        side: Side of the maps in pixels.

    Returns:
        `(n, landmarks, 2)` (x, y), from half a pixel to 1 less half a pixel.
    """
    share = ops.reshape(ops.softmax(logits, axis=-1), (-1, logits.shape[1], side, side))
    centres = (ops.arange(side, dtype=share.dtype) + 0.5) / side
    x = ops.sum(ops.sum(share, axis=2) * centres, axis=-1)
    y = ops.sum(ops.sum(share, axis=3) * centres, axis=-1)
    return ops.stack([x, y], axis=-1)


@keras.saving.register_keras_serializable("ropanet_bench")
class LandmarkPooling(keras.layers.Layer):
    """The largest features in a window around each landmark.

    RoIAlign (He et al. 2017, §3) with one bin a landmark: `window` x `window` bilinear samples
    (Jaderberg et al. 2015, eq. 5), one cell of the map apart and centred on the landmark, and
    their maximum. Samples beyond the map's edge take the value at the edge.

    Args:
        window: Samples on a side.

    Input shape:
        maps: `(n, h, w, c)`. points: `(n, landmarks, 2)` (x, y) as shares of the map's sides.

    Output shape: `(n, landmarks, c)`.

    Example:

        pooled = LandmarkPooling(3)(maps, points)
    """

    def __init__(self, window: int, **of_every_layer: Any) -> None:
        # A place needs more than bfloat16's 8 bits.
        super().__init__(**of_every_layer | {"dtype": "float32"})
        self._window = window

    def call(self, maps: Any, points: Any) -> Any:
        """Pool a batch of maps."""
        height, width = maps.shape[1:3]
        across, down = self._shares(points[..., 0], width), self._shares(points[..., 1], height)
        # The sample of a row and a column of the window: n image, l landmark, i, j its place.
        rows = ops.einsum("nlih,nhwc->nliwc", down, maps)
        samples = ops.einsum("nljw,nliwc->nlijc", across, rows)
        return ops.max(samples, axis=(2, 3))

    def _shares(self, places: Any, cells: int) -> Any:
        """What each cell gives to each sample along one side, `(n, landmarks, window, cells)`."""
        offsets = ops.arange(self._window, dtype=places.dtype) - (self._window - 1) / 2
        at = ops.clip(places[..., None] * cells - 0.5 + offsets, 0.0, cells - 1.0)
        distance = ops.abs(at[..., None] - ops.arange(cells, dtype=places.dtype))
        return ops.maximum(1.0 - distance, 0.0)

    def compute_output_shape(
        self, maps_shape: tuple[int | None, ...], points_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`(n, landmarks, c)`."""
        return maps_shape[0], points_shape[1], maps_shape[-1]
