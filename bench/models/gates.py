"""What the local branch sees: the multiplier that each kind of mask gate makes of the mask.

Every gate takes the feature map and the landmark branch's mask, both `(n, h, w, c)`, and returns
what the feature map is multiplied with, `(n, h, w, c)` or `(n, h, w, 1)`, or None for nothing. The
landmark branch itself is the same under every gate, so that arms differ in the gate alone.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def sigmoid(features: Any, mask: Any) -> Any:
    """The paper's gate (§4.4): the mask itself, in (0, 1)."""
    del features
    return mask


def none(features: Any, mask: Any) -> None:
    """No gate: the local branch sees the plain feature map."""
    del features, mask


def residual(features: Any, mask: Any) -> Any:
    """1 + mask: the gate can stress a feature but not remove it (Wang et al. 2017, eq. 1)."""
    del features
    return 1.0 + mask


def spatial(features: Any, mask: Any) -> Any:
    """One mask for all channels: the mean of the mask over its channels, `(n, h, w, 1)`."""
    del features
    return ops.mean(mask, axis=-1, keepdims=True)


def detached(features: Any, mask: Any) -> Any:
    """The mask, trained by the landmark loss alone: no classification gradient passes into it."""
    del features
    return ops.stop_gradient(mask)


def random(features: Any, mask: Any) -> Any:
    """A frozen random mask of the same form: does learning the gate matter at all?"""
    del mask
    return keras.layers.Conv2D(
        features.shape[-1], 1, activation="sigmoid", trainable=False, name="random_mask"
    )(features)
