"""Match R-CNN (§4.2, Fig. 2b; Ge et al. 2019): feature, perception and match network.

In training the network's outputs are its losses, since what its streams are trained on depends on
what it proposes. What it is tested with is made of the same layers: from an image to detections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from bench.metrics.precision import check_pycocotools
from bench.models.network import BuiltModel, ModelInputs
from bench.models.normalization import BatchNormalization
from bench.models.pyramids import unpacked
from bench.systems.match_rcnn.boxes import anchors as all_anchors
from bench.systems.match_rcnn.landmarks import Channels
from bench.systems.match_rcnn.layers import (
    Detect,
    NearEnough,
    OwnLandmarks,
    OwnMasks,
    Propose,
    RoIAlign,
    Rows,
    SampleAnchors,
    SampleRegions,
)
from bench.systems.match_rcnn.losses import (
    BoxLosses,
    LandmarkLoss,
    MaskLoss,
    PairLoss,
    ProposalLosses,
)
from bench.systems.match_rcnn.match import MatchScore
from bench.systems.match_rcnn.settings import RATIOS, REGION, SMALL_REGION, MatchRCNN
from bench.systems.match_rcnn.supervision import DetectionSupervision
from bench.systems.match_rcnn.targets import MASK_STRIDE
from bench.systems.registry import BACKBONES

Apply = Callable[[Any], Any]

MOMENTUM = 0.9
"""Of the match network's batch normalisation (PyTorch's default)."""


def build(settings: MatchRCNN, supervision: None, inputs: ModelInputs) -> BuiltModel:
    """The network as it is trained, and what it is tested with.

    Args:
        settings: The system's settings.
        supervision: None: its own settings say how it is supervised.
        inputs: What to build on: the packed maps of a pyramid, and 13 categories.
    """
    del supervision
    check_pycocotools()
    channels = Channels(settings.landmark_counts)
    maps, strides = _pyramid(inputs.features, settings)
    objectness, deltas, anchors, counts = _proposals(maps, strides, settings)
    proposals, proposed = Propose(anchors, counts, settings)(objectness, deltas)
    # The coarsest level is the proposals' alone.
    streams = _Streams(settings, maps[:-1], strides[:-1], inputs.classes, channels)
    truth = _truth(settings, channels)
    losses = _losses(
        settings, streams, truth, (objectness, deltas, anchors), (proposals, proposed), channels
    )
    detections = streams.detections(proposals, proposed)
    model = keras.Model({inputs.input.name: inputs.input, **truth}, losses, name="match_rcnn")
    return BuiltModel(
        model,
        inputs.features,
        DetectionSupervision(settings, inputs.input.name, detections, streams.score),
        image_input=inputs.input,
    )


def _truth(settings: MatchRCNN, channels: Channels) -> dict[str, Any]:
    """What is known of an image's garments, as inputs; their category is -1 where there is none."""
    items, mask = settings.items, settings.backbone.side // MASK_STRIDE
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "boxes": ((items, 4), "float32"),
        "category": ((items,), "int32"),
        "masks": ((items, mask, mask), "float32"),
        "points": ((items, channels.most, 3), "float32"),
        "identity": ((items,), "int32"),
        "domain": ((), "int32"),
    }
    return {
        name: keras.Input(shape, dtype=kind, name=name) for name, (shape, kind) in shapes.items()
    }


def _pyramid(features: Any, settings: MatchRCNN) -> tuple[list[Any], list[int]]:
    """The feature pyramid (Lin et al. 2017) and a level of twice its largest stride."""
    levels = BACKBONES[settings.backbone.name].levels
    strides = [stride for stride, _ in levels]
    found: list[Any] = []
    for values, stride in reversed(list(zip(unpacked(features, levels), strides, strict=True))):
        lateral = layers.Conv2D(settings.channels, 1, name=f"lateral_{stride}")(values)
        if found:
            above = layers.UpSampling2D(2, name=f"above_{stride}")(found[0])
            lateral = layers.Add(name=f"merged_{stride}")([lateral, above])
        found.insert(0, lateral)
    maps = [
        layers.Conv2D(settings.channels, 3, padding="same", name=f"level_{stride}")(values)
        for values, stride in zip(found, strides, strict=True)
    ]
    last = layers.MaxPooling2D(1, 2, padding="same", name=f"level_{2 * strides[-1]}")(maps[-1])
    return [*maps, last], [*strides, 2 * strides[-1]]


def _proposals(
    maps: list[Any], strides: list[int], settings: MatchRCNN
) -> tuple[Any, Any, Any, list[int]]:
    """What the region proposal network says of each anchor; the anchors, and how many a level."""
    normal = keras.initializers.RandomNormal(stddev=0.01)
    shared = layers.Conv2D(
        settings.channels, 3, padding="same", activation="relu", kernel_initializer=normal,
        name="proposal_shared",
    )  # fmt: skip
    said = {
        name: layers.Conv2D(
            len(RATIOS) * size, 1, kernel_initializer=normal, dtype="float32", name=name
        )
        for name, size in (("proposal_objectness", 1), ("proposal_deltas", 4))
    }
    objectness, deltas, counts = [], [], []
    for values in maps:
        seen = shared(values)
        count = values.shape[1] * values.shape[2] * len(RATIOS)
        counts.append(count)
        objectness.append(ops.reshape(said["proposal_objectness"](seen), (-1, count)))
        deltas.append(ops.reshape(said["proposal_deltas"](seen), (-1, count, 4)))
    anchors = all_anchors(settings.backbone.side, strides, settings.anchor_scale)
    return ops.concatenate(objectness, axis=1), ops.concatenate(deltas, axis=1), anchors, counts


class _Streams:
    """The three streams of the perception network, and the match network: layers, applied twice."""

    def __init__(
        self,
        settings: MatchRCNN,
        maps: list[Any],
        strides: list[int],
        classes: int,
        channels: Channels,
    ) -> None:
        self._settings, self._maps, self._strides = settings, maps, strides
        self._classes, self._channels = classes, channels
        self._box = _connected("box_units", 2, settings.box_units)
        small = keras.initializers.RandomNormal(stddev=0.01)
        smaller = keras.initializers.RandomNormal(stddev=0.001)
        self._class = layers.Dense(
            classes + 1, kernel_initializer=small, dtype="float32", name="box_class"
        )
        self._deltas = layers.Dense(
            4 * classes, kernel_initializer=smaller, dtype="float32", name="box_deltas"
        )
        self._mask = _convolutions("mask_convolution", [settings.mask_filters] * 4)
        self._landmark = _convolutions("landmark_convolution", [settings.landmark_filters] * 8)
        up = layers.Conv2DTranspose(
            settings.mask_filters, 2, 2, activation="relu", kernel_initializer="he_normal",
            name="mask_up",
        )  # fmt: skip
        masks = layers.Conv2D(classes, 1, dtype="float32", name="masks_out")
        self._masks_of: Apply = lambda seen: masks(up(seen))
        self._landmarks_of: Apply = layers.Conv2DTranspose(
            channels.total, 4, 2, padding="same", dtype="float32", name="landmarks_out"
        )
        filters = [settings.match_filters] * (settings.match_convolutions - 1)
        self._match = _convolutions("match_convolution", [*filters, settings.match_last_filters])
        # No bias and no shift: they cancel in the difference of two vectors.
        self._vector = layers.Dense(settings.match_units, use_bias=False, name="match_units")
        self._norm = BatchNormalization(
            momentum=MOMENTUM, center=False, dtype="float32", name="match_norm"
        )
        self.score = MatchScore(settings.match_score)

    def regions(self, name: str, boxes: Any, bins: int) -> Any:
        """The features of boxes `(n, r, 4)`, `(n * r, bins, bins, c)`."""
        return RoIAlign(name, self._strides, self._settings, bins)(boxes, self._maps)

    def boxes(self, seen: Any, count: int) -> tuple[Any, Any]:
        """Class logits `(n, count, classes + 1)` and deltas `(n, count, classes, 4)`."""
        hidden = self._box(layers.Flatten()(seen))
        shape = (self._classes, 4)
        return (
            Rows(f"class_rows_{count}", count)(self._class(hidden)),
            Rows(f"delta_rows_{count}", count, shape)(self._deltas(hidden)),
        )

    def outlines(self, seen: Any) -> tuple[Any, Any]:
        """What the mask stream makes of 14 x 14 features, and the masks' logits."""
        inside = self._mask(seen)
        return inside, self._masks_of(inside)

    def landmarks(self, seen: Any) -> tuple[Any, Any]:
        """What the landmark stream makes of 14 x 14 features, and the landmarks' logits."""
        inside = self._landmark(seen)
        return inside, self._landmarks_of(inside)

    def vectors(self, features: dict[str, Any], there: Any = None) -> Any:
        """What each garment becomes for the match network, `(r, units)`.

        Args:
            features: Of each stream that may feed it, `(r, 7, 7, c)` or `(r, 14, 14, c)`.
            there: `(r,)` bool, which garments there are; None for all.
        """
        halve = layers.AveragePooling2D(2)
        chosen = [
            features[name] if features[name].shape[1] == SMALL_REGION else halve(features[name])
            for name in self._settings.match_features
        ]
        joined = chosen[0] if len(chosen) == 1 else layers.Concatenate()(chosen)
        pooled = layers.GlobalAveragePooling2D()(self._match(joined))
        return self._norm(self._vector(pooled), counted=there)

    def detections(self, proposals: Any, proposed: Any) -> dict[str, Any]:
        """What is found in an image: boxes, masks, landmarks and vectors."""
        settings = self._settings
        logits, deltas = self.boxes(
            self.regions("test_box_regions", proposals, SMALL_REGION), settings.proposals
        )
        found: dict[str, Any] = Detect(settings, self._classes)(logits, deltas, proposals, proposed)
        boxes, category = found["boxes"], found["category"]
        small = self.regions("test_small_regions", boxes, SMALL_REGION)
        large = self.regions("test_regions", boxes, REGION)
        mask_inside, masks = self.outlines(large)
        pose_inside, points = self.landmarks(large)
        vectors = self.vectors({"class": small, "pose": pose_inside, "mask": mask_inside})
        return found | {
            "masks": OwnMasks()(masks, category),
            "points": OwnLandmarks(self._channels)(points, category, boxes),
            "vectors": Rows("vector_rows", settings.detections)(vectors),
        }


def _losses(
    settings: MatchRCNN,
    streams: _Streams,
    truth: dict[str, Any],
    said: tuple[Any, Any, np.ndarray],
    proposed: tuple[Any, Any],
    channels: Channels,
) -> dict[str, Any]:
    """The network's losses, by their names."""
    objectness, deltas, anchors = said
    boxes, valid = truth["boxes"], truth["category"] >= 0
    sampled = SampleAnchors(anchors, settings.anchors_sampled)(boxes, valid)
    losses = dict(
        zip(
            ("objectness", "proposal_boxes"),
            ProposalLosses(anchors)(objectness, deltas, *sampled),
            strict=True,
        )
    )
    regions, item, of_item, there = SampleRegions(settings)(*proposed, boxes, valid)
    seen = streams.regions("box_regions", regions, SMALL_REGION)
    logits, deltas = streams.boxes(seen, settings.regions)
    background = logits.shape[-1] - 1
    label = ops.where(of_item, _of_item(truth["category"], item), background)
    own = _of_item(boxes, item)
    both = BoxLosses()(logits, deltas, regions, label, own, of_item, there)
    losses |= dict(zip(("classes", "boxes"), both, strict=True))

    first = settings.foreground
    regions, item, of_item, own = (v[:, :first] for v in (regions, item, of_item, own))
    category = ops.maximum(_of_item(truth["category"], item), 0)
    large = streams.regions("regions", regions, REGION)
    mask_inside, masks = streams.outlines(large)
    losses["masks"] = MaskLoss(MASK_STRIDE)(
        masks, _of_item(truth["masks"], item), regions, category, of_item
    )
    pose_inside, points = streams.landmarks(large)
    losses["landmarks"] = LandmarkLoss(channels)(
        points, _of_item(truth["points"], item), regions, category, of_item
    )
    small = Rows("first_rows", settings.regions)(seen)[:, :first]
    inside = {
        "class": ops.reshape(small, (-1, *small.shape[2:])),
        "pose": pose_inside,
        "mask": mask_inside,
    }
    near = NearEnough(settings.match_overlap)(regions, boxes, item, of_item)
    vectors = streams.vectors(inside, ops.reshape(near, (-1,)))
    domain = ops.zeros_like(item) + truth["domain"][:, None]
    losses["pairs"] = PairLoss()(
        streams.score(vectors), _of_item(truth["identity"], item), domain, near
    )
    return losses


def _of_item(values: Any, item: Any) -> Any:
    """What is known of each region's garment: of `(n, items, ...)`, `(n, r, ...)`."""
    shape = (-1, item.shape[1], *([1] * (len(values.shape) - 2)))
    return ops.take_along_axis(values, ops.reshape(item, shape), axis=1)


def _connected(name: str, depth: int, units: int) -> Apply:
    """Fully connected layers with ReLU."""
    return _chain(
        [
            layers.Dense(
                units, activation="relu", kernel_initializer="he_normal", name=f"{name}_{index}"
            )
            for index in range(1, depth + 1)
        ]
    )


def _convolutions(name: str, filters: list[int]) -> Apply:
    """3 x 3 convolutions with ReLU."""
    return _chain(
        [
            layers.Conv2D(
                count, 3, padding="same", activation="relu", kernel_initializer="he_normal",
                name=f"{name}_{index}",
            )
            for index, count in enumerate(filters, start=1)
        ]
    )  # fmt: skip


def _chain(steps: list[Any]) -> Apply:
    def apply(values: Any) -> Any:
        for step in steps:
            values = step(values)
        return values

    return apply
