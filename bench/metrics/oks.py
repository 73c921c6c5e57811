"""Object keypoint similarity of DeepFashion2: the published sigmas of its 294 landmarks.

From `cocoeval.py` of the authors' repository (switchablenorms/DeepFashion2); how they were measured
is not printed.
"""

from __future__ import annotations

import numpy as np

_TEN_THOUSANDTHS = (
    "120 158 169 165 169 158 298 329 321 323 340 388 452 574 492 352 492 574 452 388 340 "
    "323 321 329 298",
    "194 170 185 193 185 170 286 471 547 526 430 392 513 566 509 564 542 604 599 520 599 "
    "604 542 564 509 566 513 392 430 526 547 471 286",
    "74 85 165 248 165 85 156 231 296 137 195 250 347 380 257 370 257 380 347 250 195 137 "
    "296 231 156 248 469 632 370 469 632",
    "137 153 243 377 243 153 203 366 467 433 393 329 418 477 399 331 420 492 436 478 436 "
    "492 420 331 399 477 418 329 393 433 467 366 203 377 645 573 478 645 573",
    "352 158 210 214 210 158 196 500 489 404 401 404 489 500 196",
    "276 548 283 204 283 548 369 726 677 640 251 640 677 726 369",
    "308 216 308 506 494 463 477 463 494 506",
    "275 202 275 651 451 350 280 392 362 392 280 350 451 651",
    "253 195 253 513 543 415 543 513",
    "153 230 167 145 167 230 332 391 391 396 440 452 498 514 585 655 635 602 635 655 585 "
    "514 498 452 440 396 391 391 332",
    "121 134 158 162 158 134 246 406 470 404 463 466 435 499 455 440 411 490 576 685 618 "
    "483 618 685 576 490 411 440 486 499 435 466 463 404 470 406 246",
    "116 167 160 180 160 167 196 385 421 497 562 528 428 528 562 497 421 385 196",
    "244 297 244 208 244 297 173 616 659 712 707 685 339 685 707 712 659 616 173",
)

SIGMAS = tuple(np.array(list(map(int, line.split()))) / 1e4 for line in _TEN_THOUSANDTHS)
"""Sigma of each landmark, by category in the order of `category_id`."""

LANDMARK_COUNTS = tuple(map(len, SIGMAS))
"""Landmarks of each category."""


def oks(predicted: np.ndarray, true: np.ndarray, area: float, sigmas: np.ndarray) -> float:
    """Object keypoint similarity: mean of exp(-d^2 / (2 A (2 sigma)^2)) over labelled landmarks.

    Args:
        predicted: `(l, 2)` x and y in pixels.
        true: `(l, 3)` x, y and visibility, 0 for one that is not labelled.
        area: A, the area of the garment's box in square pixels (DeepFashion2's rule).
        sigmas: `(l,)`.

    Returns:
        In [0, 1]; NaN where no landmark is labelled.
    """
    labelled = true[:, 2] > 0
    if not labelled.any():
        return float("nan")
    squared = ((predicted - true[:, :2]) ** 2).sum(axis=1)[labelled]
    return float(np.mean(np.exp(-squared / (2 * area * (2 * sigmas[labelled]) ** 2))))
