"""Every metric, each as one entry: what it is called, which way is better, and how it is computed.

Tables, effects, figures and a tuning's choices follow from the entries. A plug-in adds one:

    METRICS["reciprocal_rank"] = Metric(
        "reciprocal_rank", label="reciprocal rank %", short="MRR", direction="max", unit="share",
        group="classification", compared=True, for_tuning=True,
        per_image=lambda outcomes: 1 / (outcomes.ranks + 1),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from bench.metrics import classification as whole
from bench.metrics import ratios, retrieval
from bench.metrics.classification import scored_rows
from bench.metrics.detection import Detections
from bench.metrics.landmarks import normalised_error
from bench.metrics.outcomes import LandmarkPlaces, Outcomes, outcomes_of
from bench.metrics.precision import AT, Kind


@dataclass(frozen=True)
class Metric:
    """A metric of a trial.

    A metric with neither `per_image` nor `value` is measured while the trial is tested, and only
    read from its record afterwards.

    Args:
        name: What records, studies and this catalogue know it by.
        label: Its head in a table, such as `top-1 %`.
        short: Its name beside others, such as `top-1`.
        direction: Which way is better.
        unit: `share` for one that is shown in percent, its differences in points; or the unit's
            name, such as `nats`.
        group: The table that it is a column of.
        quantity: Its name in a sentence, such as `top-1 accuracy`; `short` where left out.
        compared: Whether arms are compared in it.
        for_tuning: Whether the proposals of a tuning can be judged by it.
        requires: What a trial must have for it: a landmark branch, detections, or an evaluation
            that averages over classes (`eval.precision_recall: both`).
        matters: Smallest difference of interest in a metric that is not shown in percent, where a
            study does not say another; None where none is known.
        depth: k, for the share of images whose true class is among the first k.
        per_image: Gives `(images,)` values whose mean is the metric (a ratio: `ratios`), which
            makes intervals count the test images; None where the outcomes lack what it takes.
        value: Gives the metric itself where the mean of `per_image` is not what is stored; None
            where the outcomes lack what it takes.
    """

    name: str
    label: str
    short: str
    direction: Literal["max", "min"]
    unit: str
    group: Literal["classification", "landmarks", "detection", "retrieval", "gate"] | None = None
    quantity: str = ""
    compared: bool = False
    for_tuning: bool = False
    requires: Literal["landmarks", "macro averages", "detections"] | None = None
    matters: float | None = None
    depth: int | None = None
    per_image: Callable[[Outcomes], np.ndarray | None] | None = None
    value: Callable[[Outcomes], float | None] | None = None

    @property
    def percent(self) -> bool:
        """Whether it is shown in percent."""
        return self.unit == "share"

    @property
    def scale(self) -> float:
        """What a value is multiplied with to be shown."""
        return 100.0 if self.percent else 1.0

    @property
    def in_words(self) -> str:
        """Its name in a sentence."""
        return self.quantity or self.short

    @property
    def difference(self) -> str:
        """Its name as the head of a column of differences."""
        return f"{self.short} (points)" if self.percent else self.short

    def score(self, outcomes: Outcomes) -> float | None:
        """Its value for a trial's test outcomes; None where they lack what it takes."""
        if self.value is not None:
            return self.value(outcomes)
        values = None if self.per_image is None else self.per_image(outcomes)
        return None if values is None else float(np.mean(values))


def _top(depth: int, name: str) -> Metric:
    def among_first(outcomes: Outcomes) -> np.ndarray:
        return outcomes.ranks < depth

    return Metric(
        name,
        label=f"top-{depth} %",
        short=f"top-{depth}",
        direction="max",
        unit="share",
        group="classification",
        quantity=f"top-{depth} accuracy",
        compared=True,
        for_tuning=True,
        depth=depth,
        per_image=among_first,
    )


def _linearised_precision(outcomes: Outcomes) -> np.ndarray | None:
    if not outcomes.any_above_half.any():
        return None
    return ratios.pooled_precision(outcomes.true_above_half, outcomes.any_above_half)


def _landmark_error(outcomes: Outcomes) -> float | None:
    places = outcomes.places()
    return None if places is None else normalised_error(*places)


def _average_precision(kind: Kind, of: str, name: str) -> Iterator[Metric]:
    """AP, AP50 and AP75 of a kind of detection; arms are compared in AP."""

    def of_garments(at: str, outcomes: Outcomes) -> np.ndarray | None:
        found = outcomes.precision(kind)
        return None if found is None else found.by_garment[at]

    def value(at: str, outcomes: Outcomes) -> float | None:
        found = outcomes.precision(kind)
        return None if found is None else found.scores[at]

    for at in AT:
        yield _detected(
            f"{name}_{at}",
            label=f"{of} {at.upper()} %",
            short=f"{of} {at.upper()}",
            group="detection",
            compared=at == "ap" and kind != "landmark_all",
            for_tuning=True,
            per_image=partial(of_garments, at),
            value=partial(value, at),
        )


def _retrieved(depth: int) -> Metric:
    def share(outcomes: Outcomes) -> float | None:
        found = outcomes.retrieval_ranks
        if found is None or np.isnan(found).all():
            return None
        return float(np.nanmean(retrieval.top(found, depth)))

    def of_garments(outcomes: Outcomes) -> np.ndarray | None:
        if outcomes.retrieval_ranks is None or outcomes.garments is None:
            return None
        right = retrieval.top(outcomes.retrieval_ranks, depth)
        return ratios.mean_in_clusters(right, outcomes.garments)

    return _detected(
        f"retrieval_top_{depth}",
        label=f"retrieval top-{depth} %",
        short=f"retrieval top-{depth}",
        group="retrieval",
        compared=depth in (1, 20),
        for_tuning=True,
        per_image=of_garments,
        value=share,
    )


def _chance(depth: int) -> Metric:
    def value(outcomes: Outcomes) -> float | None:
        found, ranks = outcomes.detections(), outcomes.retrieval_ranks
        if found is None or ranks is None:
            return None
        return retrieval.chance(found, ranks, depth)

    return _detected(
        f"retrieval_chance_{depth}",
        label=f"chance of top-{depth} %",
        short=f"chance of top-{depth}",
        group="retrieval",
        value=value,
    )


_share = partial(Metric, direction="max", unit="share", group="classification")
_macro = partial(_share, for_tuning=True, requires="macro averages")
_detected = partial(Metric, direction="max", unit="share", requires="detections")
_gate = partial(Metric, direction="max", unit="fraction", group="gate")

ACCURACY = _top(1, "accuracy")

LANDMARK_ERROR = Metric(
    "landmark_ne",
    label="landmark error (NE)",
    short="NE",
    direction="min",
    unit="image sides",
    group="landmarks",
    quantity="landmark error (NE)",
    compared=True,
    for_tuning=True,
    requires="landmarks",
    matters=0.005,
    # By image, each weighing the same; the stored value weighs each landmark the same.
    per_image=lambda outcomes: outcomes.landmark_errors,
    value=_landmark_error,
)

GATE_MEAN = _gate("gate_mean", label="gate: mean", short="mean of the gate")
GATE_ENERGY = _gate("gate_energy", label="gate: energy passed", short="energy passed")

_ENTRIES = (
    ACCURACY,
    _top(3, "top_3"),
    _top(5, "top_5"),
    _share(
        "precision_pooled",
        label="precision % (p > 0.5)",
        short="precision (p > 0.5)",
        per_image=_linearised_precision,
        value=lambda outcomes: whole.pooled_precision(outcomes.probabilities(), outcomes.labels),
    ),
    _share(
        "recall_pooled",
        label="recall % (p > 0.5)",
        short="recall (p > 0.5)",
        per_image=lambda outcomes: outcomes.true_above_half,
    ),
    _macro(
        "precision_macro",
        label="precision % (macro)",
        short="precision (macro)",
        per_image=lambda outcomes: ratios.macro_precision(
            outcomes.predicted == outcomes.labels, outcomes.predicted, outcomes.labels
        ),
        value=lambda outcomes: whole.macro_precision(outcomes.predicted, outcomes.labels),
    ),
    _macro(
        "recall_macro",
        label="recall % (macro)",
        short="recall (macro)",
        per_image=lambda outcomes: ratios.macro_matrix(outcomes.ranks[None] < 1, outcomes.labels)[
            0
        ],
        value=lambda outcomes: whole.macro_recall(outcomes.predicted, outcomes.labels),
    ),
    Metric(
        "loss",
        label="cross-entropy (nats)",
        short="cross-entropy",
        direction="min",
        unit="nats",
        for_tuning=True,
        value=lambda outcomes: whole.cross_entropy(outcomes.probabilities(), outcomes.labels),
    ),
    LANDMARK_ERROR,
    Metric(
        "landmark_loss",
        label="landmark loss (nats)",
        short="landmark loss",
        direction="min",
        unit="nats",
        group="landmarks",
        for_tuning=True,
        requires="landmarks",
    ),
    Metric(
        "visibility_accuracy",
        label="visibility accuracy %",
        short="visibility accuracy",
        direction="max",
        unit="share",
    ),
    *_average_precision("box", "box", "box"),
    *_average_precision("mask", "mask", "mask"),
    *_average_precision("landmark", "landmark (visible)", "landmark"),
    *_average_precision("landmark_all", "landmark (all)", "landmark_all"),
    *map(_retrieved, retrieval.DEPTHS),
    _chance(1),
    _chance(20),
    GATE_MEAN,
    _gate("gate_below_0.1", label="gate: share < 0.1", short="share below 0.1"),
    _gate("gate_above_0.9", label="gate: share > 0.9", short="share above 0.9"),
    GATE_ENERGY,
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}
"""Every metric by name, in the order of a table's columns."""


class _Selection(Mapping[str, Metric]):
    """The metrics that a condition holds for, those registered later included."""

    def __init__(self, holds: Callable[[Metric], Any]) -> None:
        self._holds = holds

    def __getitem__(self, name: str) -> Metric:
        if not self._holds(METRICS[name]):
            raise KeyError(name)
        return METRICS[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, metric in METRICS.items() if self._holds(metric))

    def __len__(self) -> int:
        return sum(1 for _ in self)


CLASSIFICATION = _Selection(lambda metric: metric.group == "classification")
LANDMARKS = _Selection(lambda metric: metric.group == "landmarks")
DETECTION = _Selection(lambda metric: metric.group == "detection")
RETRIEVAL = _Selection(lambda metric: metric.group == "retrieval")
GATES = _Selection(lambda metric: metric.group == "gate")
TOP_K = _Selection(lambda metric: metric.depth is not None)
COMPARED = _Selection(lambda metric: metric.compared)
FOR_TUNING = _Selection(lambda metric: metric.for_tuning)


def metric_named(name: str) -> Metric:
    """A metric by name; one whose plug-in is not here is shown by its name, as it is stored."""
    return METRICS.get(name) or Metric(name, label=name, short=name, direction="max", unit="")


def lower_is_better(name: str) -> bool:
    """Whether the lower value of a metric is the better one."""
    return name in METRICS and METRICS[name].direction == "min"


def scores(outcomes: Outcomes, evaluation: Mapping[str, str]) -> dict[str, float]:
    """Every metric that can be computed from a trial's test outcomes, by name.

    Args:
        outcomes: The outcomes of the images that the trial's protocol scores.
        evaluation: The trial's `EvalSpec` as plain data.
    """
    pooled = evaluation.get("precision_recall") == "pooled"
    found = {
        name: metric.score(outcomes)
        for name, metric in METRICS.items()
        if not (pooled and metric.requires == "macro averages")
    }
    return {name: value for name, value in found.items() if value is not None}


def scored(
    probabilities: np.ndarray,
    labels: np.ndarray,
    evaluation: Mapping[str, str],
    batch_size: int,
    places: LandmarkPlaces | None = None,
    detections: Detections | None = None,
) -> dict[str, float]:
    """What a trial scores under its evaluation settings (ledger rows 20 and 21).

    Args:
        probabilities: `(n, classes)` of all test images.
        labels: `(n,)` their true classes.
        evaluation: The trial's `EvalSpec` as plain data.
        batch_size: Images a batch, for the protocol `last_batch`.
        places: Their landmarks, all of them scored; None for a model without.
        detections: What was detected in them; None for a model that detects nothing.
    """
    rows = scored_rows(len(labels), evaluation.get("protocol", "whole_split"), batch_size)
    return scores(outcomes_of(probabilities[rows], labels[rows], places, detections), evaluation)


def classification(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy, top-k, cross-entropy, precision and recall of some predictions, by name.

    Args:
        probabilities: `(n, classes)`, rows summing to 1.
        labels: `(n,)` true classes.
    """
    return scores(outcomes_of(probabilities, labels), {})
