"""How COCO and DeepFashion2 judge detections: average precision.

Of boxes and masks over 13 categories, overlaps .50:.05:.95 and 101 recall points, at most 100
detections an image; of landmarks by their similarity (`bench.metrics.oks`), at most 20. The rules
are pycocotools' own; an item's area is that of its box, as in DeepFashion2's conversion.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from bench.errors import BenchError
from bench.metrics.detection import Detections, pasted
from bench.metrics.oks import LANDMARK_COUNTS, SIGMAS

Kind = Literal["box", "mask", "landmark", "landmark_all"]
"""What is compared; landmarks that are visible, or the occluded ones as well."""

VISIBLE = 2

_IOU_TYPE = {"box": "bbox", "mask": "segm", "landmark": "keypoints", "landmark_all": "keypoints"}
_MOST = {"bbox": 100, "segm": 100, "keypoints": 20}
_STARTS = np.concatenate([[0], np.cumsum(LANDMARK_COUNTS)])
RECALLS = np.linspace(0, 1, 101)
AT = {"ap": slice(None), "ap50": slice(0, 1), "ap75": slice(5, 6)}
"""Which of the ten overlaps a score is the mean over."""


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
    return judged(detections, kind, only).scores


@dataclass(frozen=True)
class Judged:
    """Detections as COCO judges them.

    Args:
        precision: `(10, 101, categories)` by overlap, recall and category; -1 for a category
            without a garment, and for all of them without a detection.
        categories: Of each, the detections that count, the most probable first: `(d,)` their
            images, `(10, d)` whether right, `(10, d)` whether wrong; and `(images,)` garments.
        images: How many images there are.
        empty: Whether there is no garment in any.
    """

    precision: np.ndarray
    categories: tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...]
    images: int
    empty: bool

    @property
    def scores(self) -> dict[str, float]:
        """AP, AP50 and AP75, each the mean over the categories that there are."""
        return {name: self._mean(self.precision[chosen]) for name, chosen in AT.items()}

    @property
    def curve(self) -> np.ndarray:
        """`(101,)` precision at an overlap of a half by recall, the mean over the categories."""
        return np.array([self._mean(self.precision[0, at]) for at in range(len(RECALLS))])

    def _mean(self, precision: np.ndarray) -> float:
        there = precision[precision > -1]
        return float(there.mean()) if there.size else float("nan") if self.empty else 0.0

    def deviations(self) -> dict[str, np.ndarray]:
        """What each image adds to AP, AP50 and AP75 beside the others: `(images,)`, 0 on average.

        By the infinitesimal jackknife (Jaeckel 1972): n times the derivative by the image's weight.
        Their standard deviation, by the root of n, is the score's standard error over images. The
        derivative is that of the area below the curve; the mean over 101 recalls moves in steps of
        a hundredth, which are larger than what an image adds.
        """
        if not self.categories:
            return {name: np.zeros(self.images) for name in AT}
        by_overlap = np.mean([_derivatives(*one) for one in self.categories], axis=0)
        return {name: self.images * by_overlap[chosen].mean(axis=0) for name, chosen in AT.items()}


def _derivatives(
    image: np.ndarray, right: np.ndarray, wrong: np.ndarray, garments: np.ndarray
) -> np.ndarray:
    """`(10, images)` derivative of the area below a category's curve by each image's weight."""
    return np.stack([_derivative(image, *one, garments) for one in zip(right, wrong, strict=True)])


def _derivative(
    image: np.ndarray, right: np.ndarray, wrong: np.ndarray, garments: np.ndarray
) -> np.ndarray:
    """At one overlap. The area is the sum of the best later precision over the right ones."""
    asked, ranks = garments.sum(), np.arange(len(right))
    hits = right.cumsum()
    seen = np.maximum(hits + wrong.cumsum(), 1)
    precision = hits / seen
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # The place that gives each its best precision, and for how many right ones it does.
    peaks = np.where(precision == best, ranks, len(right))
    giver = np.minimum.accumulate(peaks[::-1])[::-1]
    given = np.bincount(giver[right], minlength=len(right)) / seen
    gain = np.cumsum((given * (1 - precision))[::-1])[::-1]
    loss = np.cumsum((given * precision)[::-1])[::-1]
    each = np.where(right, best + gain, 0.0) - np.where(wrong, loss, 0.0)
    area = best[right].sum() / asked
    return np.asarray((np.bincount(image, each, len(garments)) - area * garments) / asked)


def judged(detections: Detections, kind: Kind, only: tuple[str, int] | None = None) -> Judged:
    """Detections as COCO judges them; arguments and errors as of `average_precision`."""
    coco, evaluation = _pycocotools()
    iou_type = _IOU_TYPE[kind]
    found = list(_results(detections, kind))
    count, empty = len(detections.truth), not any(detections.truth)
    if not found:
        return Judged(np.full((10, len(RECALLS), 1), -1.0), (), count, empty)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = _dataset(detections, kind, only)
        truth.createIndex()
        run = evaluation(truth, truth.loadRes(found), iou_type)
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.params.maxDets = [_MOST[iou_type]]
        run.params.recThrs = RECALLS
        if iou_type == "keypoints":
            run.params.kpt_oks_sigmas = np.concatenate(SIGMAS)
        run.evaluate()
        run.accumulate()
    by_category = np.array(run.evalImgs, dtype=object).reshape(-1, count)
    categories = (_of_category([one for one in row if one], count) for row in by_category)
    known = tuple(category for category in categories if category[-1].any())
    return Judged(run.eval["precision"][..., 0, -1], known, count, empty)


def _of_category(
    evaluated: list[dict[str, Any]], images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    garments = np.zeros(images, int)
    for one in evaluated:
        garments[one["image_id"]] = np.sum(one["gtIgnore"] == 0)
    scores = np.concatenate([[], *(one["dtScores"] for one in evaluated)])
    # COCO's own order among detections that are as probable.
    order = np.argsort(-scores, kind="mergesort")
    image = np.repeat(
        np.array([one["image_id"] for one in evaluated], int),
        [len(one["dtScores"]) for one in evaluated],
    )
    none = np.zeros((10, 0), bool)
    matched = np.concatenate([none, *(one["dtMatches"] > 0 for one in evaluated)], axis=1)
    counts = np.concatenate([none, *(one["dtIgnore"] == 0 for one in evaluated)], axis=1)
    return image[order], (matched & counts)[:, order], (~matched & counts)[:, order], garments


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


def encoded(mask: np.ndarray, box: np.ndarray, width: int, height: int) -> Any:
    """A box's mask in its image, in COCO's run-length form."""
    from pycocotools import mask as rle

    return rle.encode(np.asfortranarray(pasted(mask, box, width, height)))
