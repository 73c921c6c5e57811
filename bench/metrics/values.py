"""What a trial scores, from its stored predictions alone: NumPy in, plain numbers out.

Metrics of the paper (§4.6), over a whole split: accuracy, top-3, top-5, precision and recall both
ways (ledger rows 20 and 21), landmark error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.data.manifest import VISIBLE


def ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are ranked before the true one, per image.

    A class as probable as the true one but earlier in the list counts as before it, so that a
    model that answers all classes alike gains nothing from ties.

    Args:
        probabilities: `(n, classes)`.
        labels: `(n,)` true classes.

    Returns:
        `(n,)` integers; 0 where the model is right.
    """
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)
    before = (probabilities > true).sum(axis=1)
    equal = probabilities == true
    tied = np.flatnonzero(equal.sum(axis=1) > 1)
    earlier = np.arange(probabilities.shape[1])[None, :] < labels[tied, None]
    before[tied] += (equal[tied] & earlier).sum(axis=1)
    return before


def scored(
    probabilities: np.ndarray, labels: np.ndarray, evaluation: dict[str, str], batch_size: int
) -> dict[str, float]:
    """Classification metrics under a trial's evaluation settings (ledger rows 20 and 21).

    Args:
        probabilities: `(n, classes)`.
        labels: `(n,)` true classes.
        evaluation: `protocol` and `precision_recall`, as `EvalSpec` has them.
        batch_size: Images a batch, for the protocol `last_batch`.
    """
    rows = scored_rows(len(labels), evaluation.get("protocol", "whole_split"), batch_size)
    return asked_for(classification(probabilities[rows], labels[rows]), evaluation)


def asked_for(metrics: dict[str, float], evaluation: dict[str, str]) -> dict[str, float]:
    """Those of `classification`'s metrics that a trial's evaluation settings ask for."""
    if evaluation.get("precision_recall") == "pooled":
        return {name: value for name, value in metrics.items() if not name.endswith("_macro")}
    return metrics


def scored_rows(n: int, protocol: str, batch_size: int) -> slice:
    """Which of n test images a protocol scores: all, or those of the last batch."""
    if protocol == "whole_split":
        return slice(0, n)
    return slice((n - 1) // batch_size * batch_size, n)


def classification(
    probabilities: np.ndarray, labels: np.ndarray, before: np.ndarray | None = None
) -> dict[str, float]:
    """Accuracy, top-3, top-5, cross-entropy, and precision and recall both ways.

    `precision_pooled` and `recall_pooled` count every (image, class) pair with a probability above
    0.5 as an answer, all classes pooled, as Keras' `Precision` and `Recall` do on softmax outputs;
    the precision is NaN where no class of any image gets above 0.5. `precision_macro` and
    `recall_macro` take the most probable class and average over the classes that occur in `labels`,
    a class never answered counting as precision 0.

    Args:
        probabilities: `(n, classes)`, rows summing to 1.
        labels: `(n,)` true classes.
        before: Their `ranks`, where they are known already.

    Returns:
        Metric name -> value in [0, 1] (`loss` in nats).
    """
    n = len(labels)
    before = ranks(probabilities, labels) if before is None else before
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0].astype(np.float64)
    answered = probabilities > 0.5
    hits = int((true > 0.5).sum())
    answers = int(answered.sum())

    predicted = probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    support = np.bincount(labels, minlength=classes)
    asked = np.bincount(predicted, minlength=classes)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    occurs = support > 0
    return {
        "accuracy": float((before < 1).mean()),
        "top_3": float((before < 3).mean()),
        "top_5": float((before < 5).mean()),
        "loss": float(-np.log(np.maximum(true, 1e-12)).mean()),
        "precision_pooled": hits / answers if answers else float("nan"),
        "recall_pooled": hits / n,
        "precision_macro": float((right[occurs] / np.maximum(asked[occurs], 1)).mean()),
        "recall_macro": float((right[occurs] / support[occurs]).mean()),
    }


def trained_landmarks(visibility: np.ndarray) -> np.ndarray:
    """Which landmarks are trained and scored: the visible ones (ledger rows 12 and 13)."""
    return visibility == VISIBLE


def normalised_error(predicted: np.ndarray, true: np.ndarray, visibility: np.ndarray) -> float:
    """Mean distance of predicted from true landmarks, visible ones only, over image size.

    Args:
        predicted: `(n, 8, 2)` (x, y) as a share of the image's width and height.
        true: The same, for the annotated landmarks; NaN where absent.
        visibility: `(n, 8)`.

    Returns:
        Mean Euclidean distance in image units, NaN where no landmark is visible.
    """
    scored = trained_landmarks(visibility)
    if not scored.any():
        return float("nan")
    return float(np.linalg.norm(predicted - true, axis=-1)[scored].mean())


def mean_position_error(
    train: np.ndarray,
    train_visibility: np.ndarray,
    true: np.ndarray,
    visibility: np.ndarray,
) -> float:
    """Normalised error of always answering each landmark's mean training position.

    Args:
        train: `(m, 8, 2)` training landmarks.
        train_visibility: `(m, 8)`.
        true: `(n, 8, 2)` landmarks to be scored on.
        visibility: `(n, 8)`.
    """
    seen = trained_landmarks(train_visibility)[..., None]
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, train, 0.0).sum(axis=0) / count
    return normalised_error(np.broadcast_to(mean, true.shape), true, visibility)


class PassedByImage(NamedTuple):
    """What a gate lets through, image by image.

    Args:
        mean: `(n,)` float32, mean of the gate.
        energy: `(n,)` float32, share of the feature map's sum of squares that passes.
        maps: `(n, h, w)` float16, mean of the gate over channels.
    """

    mean: np.ndarray
    energy: np.ndarray
    maps: np.ndarray


def passed_by_image(mask: np.ndarray, features: np.ndarray) -> PassedByImage:
    """What a gate lets through of each image of a batch.

    Args:
        mask: `(n, h, w, c)` or `(n, h, w, 1)`, what the feature map is multiplied with.
        features: `(n, h, w, c)`, the feature map.
    """
    places = (1, 2, 3)
    energy = np.square(features, dtype=np.float64).sum(axis=places)
    passed = np.square(features * mask, dtype=np.float64).sum(axis=places)
    share = np.divide(passed, energy, out=np.full_like(energy, np.nan), where=energy > 0)
    return PassedByImage(
        mask.mean(axis=places, dtype=np.float64).astype(np.float32),
        share.astype(np.float32),
        mask.mean(axis=-1).astype(np.float16),
    )


class GateStatistics:
    """How far a gate is open, gathered batch by batch.

    Example:

        statistics = GateStatistics()
        statistics.add(mask, features)
        statistics.result()["gate_mean"]
    """

    def __init__(self) -> None:
        self._values = self._below = self._above = 0
        self._sum = self._energy = self._passed = 0.0

    def add(self, mask: np.ndarray, features: np.ndarray) -> None:
        """Count in a batch.

        Args:
            mask: `(n, h, w, c)` or `(n, h, w, 1)`, what the feature map is multiplied with.
            features: `(n, h, w, c)`, the feature map.
        """
        self._values += mask.size
        self._sum += float(mask.sum(dtype=np.float64))
        self._below += int((mask < 0.1).sum())
        self._above += int((mask > 0.9).sum())
        self._energy += float(np.square(features, dtype=np.float64).sum())
        self._passed += float(np.square(features * mask, dtype=np.float64).sum())

    def result(self) -> dict[str, float]:
        """`gate_mean`; `gate_below_0.1` and `gate_above_0.9`, shares of the mask's values;
        `gate_energy`, the share of the map's energy (sum of squares) that passes, which is above
        1 for a gate that amplifies.
        """
        return {
            "gate_mean": self._sum / self._values,
            "gate_below_0.1": self._below / self._values,
            "gate_above_0.9": self._above / self._values,
            "gate_energy": self._passed / self._energy if self._energy else float("nan"),
        }
