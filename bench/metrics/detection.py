"""Detections of garments and how COCO and DeepFashion2 judge them: average precision.

Of boxes and masks over 13 categories, overlaps .50:.05:.95 and 101 recall points, at most 100
detections an image; of landmarks by their similarity (`bench.metrics.oks`), at most 20. The rules
are pycocotools' own; an item's area is that of its box, as in DeepFashion2's conversion.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from bench.errors import BenchError
from bench.metrics.oks import LANDMARK_COUNTS, SIGMAS

Kind = Literal["box", "mask", "landmark", "landmark_all"]
"""What is compared; landmarks that are visible, or the occluded ones as well."""

VISIBLE = 2

_IOU_TYPE = {"box": "bbox", "mask": "segm", "landmark": "keypoints", "landmark_all": "keypoints"}
_MOST = {"bbox": 100, "segm": 100, "keypoints": 20}
_STARTS = np.concatenate([[0], np.cumsum(LANDMARK_COUNTS)])
AT = {"ap": slice(None), "ap50": slice(0, 1), "ap75": slice(5, 6)}
"""Which of the ten overlaps a score is the mean over."""


@dataclass(frozen=True)
class Item:
    """A garment as annotated.

    Args:
        category: 0-based.
        box: x1, y1, x2, y2 in pixels.
        identity: The same number for photographs of one garment; -1 for one without a partner.
        points: `(landmarks of its category, 3)`: x, y, visibility (2 visible, 1 occluded, 0 not
            labelled).
        polygons: x1, y1, x2, y2, ... each, in pixels.
        grades: `scale`, `occlusion`, `zoom_in` and `viewpoint`, 1 to 3.
    """

    category: int
    box: list[float]
    identity: int
    points: list[list[float]]
    polygons: list[list[float]]
    grades: dict[str, int]

    @property
    def area(self) -> float:
        """Of its box."""
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1)


@dataclass(frozen=True)
class Detections:
    """What was found in test images, and what is there.

    Args:
        images: `(n,)` paths.
        sizes: `(n, 2)` width and height in pixels.
        boxes: `(n, d, 4)` x1, y1, x2, y2 in pixels.
        scores: `(n, d)`; 0 where there is no detection.
        category: `(n, d)` 0-based.
        masks: `(n, d, 28, 28)` uint8, the probability in 255ths of each cell of the box.
        points: `(n, d, l, 2)` x and y in pixels of the landmarks of its category, those first.
        vectors: `(n, d, units)`, what it is matched by.
        rank_weights: `(units,)` w: two match the better, the larger the sum of w times the squared
            differences of their vectors.
        users: `(n,)` whether a user's image, and not a shop's.
        truth: The garments of each image.
    """

    images: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    category: np.ndarray
    masks: np.ndarray
    points: np.ndarray
    vectors: np.ndarray
    rank_weights: np.ndarray
    users: np.ndarray
    truth: tuple[tuple[Item, ...], ...]

    @property
    def items(self) -> list[str]:
        """`truth`, each image's as JSON."""
        return [json.dumps([vars(item) for item in items]) for items in self.truth]

    @cached_property
    def found(self) -> np.ndarray:
        """`(k, 2)` image and place of every detection."""
        return np.argwhere(self.scores > 0)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`(a, b)` intersection over union of boxes given as corners."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def average_precision(
    detections: Detections, kind: Kind, only: tuple[str, int] | None = None
) -> dict[str, float]:
    """`ap`, `ap50` and `ap75` of boxes, masks or landmarks.

    Args:
        detections: What was found, and what is there.
        kind: What is compared.
        only: A grade and its value, such as `("occlusion", 3)`: other garments are neither asked
            for nor a fault to find; None for all.

    Returns:
        Each the mean over the categories that there are; NaN without any.

    Raises:
        BenchError: pycocotools is not installed.
    """
    coco, evaluation = _pycocotools()
    iou_type = _IOU_TYPE[kind]
    found = list(_results(detections, kind))
    if not found:
        empty = any(detections.truth)
        return dict.fromkeys(AT, 0.0 if empty else float("nan"))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = _dataset(detections, kind, only)
        truth.createIndex()
        run = evaluation(truth, truth.loadRes(found), iou_type)
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.params.maxDets = [_MOST[iou_type]]
        if iou_type == "keypoints":
            run.params.kpt_oks_sigmas = np.concatenate(SIGMAS)
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., 0, -1]
    return {name: _mean(precision[chosen]) for name, chosen in AT.items()}


def _mean(precision: np.ndarray) -> float:
    """Over what there is; COCO has -1 for a category without a garment."""
    there = precision[precision > -1]
    return float(there.mean()) if there.size else float("nan")


def can_judge() -> bool:
    """Whether pycocotools is installed."""
    return find_spec("pycocotools") is not None


def check_pycocotools() -> None:
    """Make sure that detections can be judged, before a network is trained for it.

    Raises:
        BenchError: pycocotools is not installed.
    """
    _pycocotools()


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise BenchError(
            "detections are judged by pycocotools, and it is not installed",
            fix="pip install 'ropanet-bench[detection]'",
        ) from None
    return COCO, COCOeval


def _dataset(detections: Detections, kind: Kind, only: tuple[str, int] | None) -> dict[str, Any]:
    from pycocotools import mask as rle

    annotations: list[dict[str, Any]] = []
    for image, (items, (width, height)) in enumerate(
        zip(detections.truth, detections.sizes.tolist(), strict=True)
    ):
        for item in items:
            x1, y1, x2, y2 = item.box
            apart = only is not None and item.grades[only[0]] != only[1]
            one: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": item.category + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": item.area,
                "iscrowd": int(apart),
            }
            if kind == "mask":
                # A polygon of fewer than three corners encloses nothing, and has no encoding.
                polygons = [polygon for polygon in item.polygons if len(polygon) >= 6]
                one["segmentation"] = rle.merge(
                    rle.frPyObjects(polygons or [[0.0] * 6], height, width)
                )
            if _IOU_TYPE[kind] == "keypoints":
                points = _in_294(np.array(item.points, float), item.category)
                if kind == "landmark":
                    points[points[:, 2] != VISIBLE] = 0
                one["keypoints"] = points.reshape(-1).tolist()
                one["num_keypoints"] = 0 if apart else int((points[:, 2] > 0).sum())
            annotations.append(one)
    return {
        "info": {},
        "images": [
            {"id": image, "width": width, "height": height}
            for image, (width, height) in enumerate(detections.sizes.tolist())
        ],
        "categories": [{"id": n} for n in range(1, len(LANDMARK_COUNTS) + 1)],
        "annotations": annotations,
    }


def _results(detections: Detections, kind: Kind) -> Iterator[dict[str, Any]]:
    for image, place in detections.found.tolist():
        box = detections.boxes[image, place].astype(float)
        category = int(detections.category[image, place])
        one: dict[str, Any] = {
            "image_id": image,
            "category_id": category + 1,
            "score": float(detections.scores[image, place]),
        }
        if kind == "box":
            one["bbox"] = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
        elif kind == "mask":
            width, height = detections.sizes[image].tolist()
            one["segmentation"] = encoded(detections.masks[image, place], box, width, height)
        else:
            points = detections.points[image, place, : LANDMARK_COUNTS[category]]
            seen = np.column_stack([points, np.full(len(points), VISIBLE)])
            one["keypoints"] = _in_294(seen, category).reshape(-1).tolist()
        yield one


def _in_294(points: np.ndarray, category: int) -> np.ndarray:
    """A category's landmarks among all; those that a network does not predict stay at zero."""
    whole = np.zeros((int(_STARTS[-1]), 3))
    whole[_STARTS[category] : _STARTS[category] + len(points)] = points
    return whole


def pasted(mask: np.ndarray, box: np.ndarray, width: int, height: int) -> np.ndarray:
    """A box's mask in its image, `(height, width)` uint8: 1 where it is more likely than not.

    Args:
        mask: `(28, 28)` uint8, 255 for certain.
        box: x1, y1, x2, y2 in pixels.
        width: Of the image.
        height: Of the image.
    """
    from PIL import Image

    left, top = np.floor(box[:2]).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(box[2:]).astype(int), (width, height))
    whole = np.zeros((height, width), np.uint8)
    if right > left and bottom > top:
        inside = Image.fromarray(mask).resize(
            (int(right - left), int(bottom - top)), Image.Resampling.BILINEAR
        )
        whole[top:bottom, left:right] = np.asarray(inside) >= 128
    return whole


def encoded(mask: np.ndarray, box: np.ndarray, width: int, height: int) -> Any:
    """The same in COCO's run-length form."""
    from pycocotools import mask as rle

    return rle.encode(np.asfortranarray(pasted(mask, box, width, height)))
