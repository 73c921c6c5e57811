"""A study's arms as measured, and each against the control; all from stored predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.intervals import (
    Estimate,
    holm,
    over_results,
    over_seeds,
    over_seeds_and_other_images,
)
from bench.analysis.power import MOST_SEEDS, beyond_seeds, seeds_for_equivalence, seeds_wanted
from bench.analysis.sequential import Looks
from bench.metrics.catalogue import METRICS, lower_is_better
from bench.metrics.outcomes import Outcomes
from bench.store.phone import FormName, PhoneRecord
from bench.store.record import TrialRecord
from bench.store.searches import Search
from bench.study.study import FEWEST_SEEDS

ALPHA = 0.05
EQUIVALENT = "equivalent"
MORE_IMAGES = "more test images are needed, not more seeds"


@dataclass(frozen=True)
class Trial:
    """What the analysis keeps of a finished trial; a store of thousands of them fits in memory.

    Args:
        about: Its `trial.json`: spec, data, metrics, timings, environment.
        images: The test images that its evaluation protocol scores; one tuple for all trials that
            were tested on the same.
        outcomes: What every metric is computed from.
        metrics: Metric -> value, recomputed from the predictions wherever it can be.
        history: Columns `epoch`, `split`, `metric`, `value`, a row a measurement.
        gated: Whether it has a record of what its gate let through.
        read: Reads it whole from the store, every prediction and map.
        phone: Form of LiteRT -> what was measured of it.
    """

    about: dict[str, Any]
    images: tuple[str, ...]
    outcomes: Outcomes
    metrics: dict[str, float]
    history: dict[str, np.ndarray]
    gated: bool
    read: Callable[[], TrialRecord]
    phone: dict[FormName, PhoneRecord] = field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any]:
        """Its spec as plain data."""
        return dict(self.about["spec"])

    @property
    def data(self) -> dict[str, Any]:
        """What it was trained and tested on (`bench.store.record.TrialRecord`)."""
        return dict(self.about["data"])

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by phase."""
        return dict(self.about["timings"])

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, hardware and the profile it ran under."""
        return dict(self.about["environment"])


class Failure(NamedTuple):
    """How a trial without a result ended.

    Args:
        kind: How it failed (`bench.store.trials.FailureKind`).
        error: The error, in a line.
    """

    kind: str
    error: str


@dataclass(frozen=True)
class Looked:
    """How far an arm of a study that goes on until it is settled was looked at.

    Args:
        looks: The study's looks.
        seeds: Seeds at the last look at this arm; what it has beyond them is not compared yet.
        verdicts: Metric -> the verdict that it stopped with.
    """

    looks: Looks
    seeds: int
    verdicts: dict[str, str]


@dataclass(frozen=True)
class Arm:
    """An arm as measured.

    Args:
        name: Its name in the study.
        levels: Axis -> level.
        against: Name of the arm it is compared with; None for the study's control.
        trials: Seed -> finished trial.
        planned: Trials planned.
        failed: How the trials that have no result ended, by seed.
        search: How it was tuned; None where it was not, or no proposal was made yet.
        looked: How far it was looked at; None in a study of fixed seeds.
    """

    name: str
    levels: dict[str, str]
    against: str | None
    trials: dict[int, Trial]
    planned: int
    failed: dict[int, Failure]
    search: Search | None = None
    looked: Looked | None = None
    _known: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What was estimated before: tables and figures ask for the same again and again."""

    def estimate(self, metric: str) -> Estimate:
        """A metric's mean and interval; over seeds and images where it is a mean over images."""
        found: Estimate = self._once(metric, lambda: self._estimated(metric))
        return found

    def against_control(self, control: Arm, metric: str) -> Estimate | None:
        """The difference from another arm in a metric, paired by seed.

        Args:
            control: The other arm.
            metric: Metric name.

        Returns:
            None where they share no finished seed.
        """
        found: Estimate | None = self._once(
            (control.name, metric), lambda: _paired(self, control, metric)
        )
        return found

    def _once(self, key: Any, find: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]

    def _estimated(self, metric: str) -> Estimate:
        results = self.by_seed(metric)
        if results is not None:
            return over_results(results, [t.images for t in self.trials.values()])
        return over_seeds([t.metrics.get(metric, float("nan")) for t in self.trials.values()])

    def matrix(self, metric: str, seeds: list[int] | None = None) -> np.ndarray | None:
        """A metric by seed and test image, `(seeds, images)`.

        Args:
            metric: Metric name.
            seeds: Which finished seeds; None for all.

        Returns:
            None where the metric is not a mean over images, or the seeds do not share them.
        """
        results = self.by_seed(metric, seeds)
        trials = [self.trials[s] for s in (seeds if seeds is not None else self.trials)]
        if results is None or any(t.images != trials[0].images for t in trials):
            return None
        return np.stack(results)

    def by_seed(self, metric: str, seeds: list[int] | None = None) -> list[np.ndarray] | None:
        """A metric by test image, `(images,)` of each seed, which need not share them.

        Args:
            metric: Metric name.
            seeds: Which finished seeds; None for all.

        Returns:
            None where the metric is not a mean over images.
        """
        trials = [self.trials[s] for s in (seeds if seeds is not None else self.trials)]
        found = METRICS.get(metric)
        if not trials or found is None or found.per_image is None:
            return None
        if found.requires is not None and any(metric not in t.metrics for t in trials):
            return None
        rows = [values for t in trials if (values := found.per_image(t.outcomes)) is not None]
        if len(rows) < len(trials):
            return None
        return [row if row.dtype.kind == "f" else row.astype(np.float64) for row in rows]

    @property
    def has_landmarks(self) -> bool:
        """Whether any of its trials predicted landmarks."""
        return any(t.outcomes.landmark_errors is not None for t in self.trials.values())

    @property
    def sizes(self) -> dict[str, int]:
        """Images by split, of any of its trials."""
        for trial in self.trials.values():
            return dict(trial.data["images"])
        return {}

    @property
    def own_images(self) -> bool:
        """Whether its seeds were tested on other images than one another."""
        first, *others = [trial.images for trial in self.trials.values()] or [()]
        # Equal ones are one object where they were read from a store: that is asked first.
        return any(images is not first and images != first for images in others)

    @property
    def mean_position_error(self) -> float | None:
        """NE of always predicting the mean position, the mean over its seeds; None without it."""
        found = [trial.data.get("mean_position_error") for trial in self.trials.values()]
        known = [error for error in found if error is not None]
        if len(set(known)) < 2:
            return known[0] if known else None
        return float(np.mean(known))

    def history(self) -> pd.DataFrame:
        """All seeds' histories: columns arm, seed, epoch, split, metric, value."""
        parts = [pd.DataFrame(t.history).assign(seed=seed) for seed, t in self.trials.items()]
        columns = ["arm", "seed", "epoch", "split", "metric", "value"]
        if not parts:
            return pd.DataFrame(columns=columns)
        return pd.concat(parts, ignore_index=True).assign(arm=self.name)[columns]


@dataclass(frozen=True)
class Effect:
    """An arm's difference from the control in a metric, paired by seed.

    Args:
        arm: The arm.
        metric: The metric.
        difference: Arm minus control.
        p_holm: p-value of no difference, corrected for the number of arms.
        verdict: `better`, `worse`, `equivalent`, or why it cannot be told.
        settled: Whether the verdict is one of the first three.
    """

    arm: str
    metric: str
    difference: Estimate
    p_holm: float
    verdict: str
    settled: bool

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown not to matter."""
        return self.verdict == EQUIVALENT


def controls(arms: list[Arm]) -> list[str]:
    """Names of the arms that others are compared with, the study's control first."""
    return list(dict.fromkeys(arm.against for arm in arms if arm.against is not None))


def effects(
    arms: list[Arm], control: str, metric: str, margin: float | None = None
) -> list[Effect]:
    """Each arm against its control in a metric, paired by seed, Holm-corrected over the arms.

    Whether arms differ and whether they are equivalent are two questions, and each has Holm's
    correction over the arms alone: of an arm, no difference and one beyond the margin cannot both
    be true. Each question so keeps to 5 %; where some arms truly differ by the margin and others
    not at all, one or the other answer is false in 7.5 % at the very most, as equivalence errs on
    one side only. Of a study that goes on until it is settled, p-values are those over all looks,
    so that Holm's correction gives an arm that is told to the others at once (Maurer and Bretz
    2013), and an arm that has stopped keeps the verdict that it stopped with.

    Args:
        arms: All arms of a study.
        control: Name of the study's control; only arms that are compared with it are.
        metric: Metric name.
        margin: Largest difference that does not matter; without one nothing is equivalent.

    Returns:
        One effect for each other arm that shares a finished seed with the control and has the
        metric; none where the study has no arm of the control's name.
    """
    baseline = next((arm for arm in arms if arm.name == control), None)
    if baseline is None:
        return []
    found = []
    for arm in arms:
        difference = arm.against_control(baseline, metric) if arm.against == control else None
        if difference is not None and np.isfinite(difference.mean):
            found.append((arm.name, difference))
    stopped = {arm.name: arm.looked.verdicts for arm in arms if arm.looked}
    judged = []
    family = judge(metric, [difference for _, difference in found], margin)
    for (name, difference), (p, now, settled) in zip(found, family, strict=True):
        earlier = stopped.get(name, {}).get(metric)
        verdict = now if earlier is None else earlier
        judged.append(Effect(name, metric, difference, p, verdict, settled or earlier is not None))
    return judged


def judge(
    metric: str, differences: Sequence[Estimate], margin: float | None
) -> list[tuple[float, str, bool]]:
    """The verdicts on a family of differences, each question Holm-corrected over all of them.

    Args:
        metric: Metric name.
        differences: One a comparison.
        margin: Largest difference that does not matter, if known.

    Returns:
        Of each, the corrected p-value of no difference, the verdict in words, and whether it is
        settled.
    """
    differs = holm([difference.p for difference in differences])
    matters = [math.nan] * len(differences)
    if margin is not None:
        matters = holm([difference.beyond(margin) for difference in differences])
    return [
        (p, *_verdict(metric, difference, p, beyond, margin, len(differences)))
        for difference, p, beyond in zip(differences, differs, matters, strict=True)
    ]


def by_size(found: Iterable[Effect]) -> list[Effect]:
    """Effects, the largest first."""
    return sorted(found, key=lambda effect: -abs(effect.difference.mean))


def shared_seeds(arm: Arm, control: Arm) -> list[int]:
    """The seeds that both arms finished, ascending, as far as they were looked at."""
    shared = sorted(arm.trials.keys() & control.trials.keys())
    return [seed for seed in shared if arm.looked is None or seed < arm.looked.seeds]


def _paired(arm: Arm, control: Arm, metric: str) -> Estimate | None:
    seeds = shared_seeds(arm, control)
    looks = arm.looked.looks if arm.looked else None
    if not seeds:
        return None
    mine, theirs = arm.by_seed(metric, seeds), control.by_seed(metric, seeds)
    if mine is not None and theirs is not None:
        images = [arm.trials[s].images for s in seeds]
        if images == [control.trials[s].images for s in seeds]:
            return over_results([a - b for a, b in zip(mine, theirs, strict=True)], images, looks)
        one, other = arm.matrix(metric, seeds), control.matrix(metric, seeds)
        if one is not None and other is not None:
            return over_seeds_and_other_images(one, other, looks)
    nan = float("nan")
    return over_seeds(
        [
            arm.trials[s].metrics.get(metric, nan) - control.trials[s].metrics.get(metric, nan)
            for s in seeds
        ],
        looks,
    )


def _verdict(
    metric: str,
    difference: Estimate,
    differs: float,
    matters: float,
    margin: float | None,
    comparisons: int,
) -> tuple[str, bool]:
    """A verdict in words, and whether it is settled.

    Args:
        metric: Metric name.
        difference: Arm minus control.
        differs: Corrected p-value of no difference.
        matters: Corrected p-value of a difference beyond the margin; NaN without a margin.
        margin: Largest difference that does not matter, if known.
        comparisons: Arms that are compared.
    """
    seeds = difference.seeds
    if seeds < FEWEST_SEEDS:
        return f"too few seeds to tell ({seeds} of at least {FEWEST_SEEDS})", False
    if matters < ALPHA:  # NaN is not
        return EQUIVALENT, True
    if differs < ALPHA:
        return direction(metric, difference.mean), True
    if difference.looks is not None:
        if beyond_seeds(difference, margin, comparisons):
            return f"cannot tell at {seeds} seeds; {MORE_IMAGES}", False
        return f"cannot tell at {seeds} seeds, of {difference.looks.most} at most", False
    return f"cannot tell at {seeds} seeds; {advice(difference, margin, comparisons)}", False


def direction(metric: str, difference: float) -> str:
    """`better` or `worse`, by a difference's sign."""
    return "worse" if (difference > 0) == lower_is_better(metric) else "better"


def advice(difference: Estimate, margin: float | None, comparisons: int) -> str:
    """What would settle a difference of the size seen, as one that is there or does not matter.

    Args:
        difference: A paired difference.
        margin: Largest difference that does not matter, if known.
        comparisons: How many comparisons the p-value is corrected for.
    """
    wanted = seeds_wanted(difference, comparisons)
    if np.isnan(wanted):
        same = difference.mean == 0
        return "no difference was seen" if same else "no spread between seeds or images to judge by"
    if margin is not None:
        wanted = min(wanted, seeds_for_equivalence(difference, margin, comparisons))
    if np.isinf(wanted):
        return MORE_IMAGES
    if wanted > MOST_SEEDS:
        return f"more than {MOST_SEEDS} would be needed"
    # Power is reckoned at the difference seen, so the seeds at hand can seem enough by luck.
    return f"about {max(wanted, difference.seeds + 1):.0f} would do"
