"""A study as tidy frames: one row a trial, an epoch, a test image or a comparison.

Metrics and differences are in the unit that the store keeps them in: a share of 1, where the report
shows percent and points.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.arms import Arm, Trial, controls, effects
from bench.analysis.intervals import Estimate
from bench.analysis.load import load_arms
from bench.errors import BenchError
from bench.files.atomic import new_file
from bench.metrics.catalogue import COMPARED, METRICS
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from bench.systems.registry import load_plugins

FORMATS = (".parquet", ".csv")
"""Endings of the files that a frame is written to."""


def trials_of(store: Store, studies: Sequence[str] | None = None) -> pd.DataFrame:
    """The trials of several studies, as `trial_frame` has them; one that two have is there twice.

    Args:
        store: The store.
        studies: Names of the studies; None for all.

    Raises:
        BenchError: The store holds no such study, or a trial cannot be read.
    """
    load_plugins()  # their metrics are columns
    parts = [trial_frame(study, load_arms(store, study)) for study in store.chosen(studies)]
    return _uniform(pd.concat(parts, ignore_index=True))


def check_format(path: Path) -> None:
    """Refuse a file that no frame is written to, by its ending.

    Raises:
        BenchError: It is none of `FORMATS`.
    """
    if path.suffix not in FORMATS:
        raise BenchError(
            f"expected a file that ends in {' or '.join(FORMATS)}",
            where=str(path),
            fix=f"say, {path.with_suffix(FORMATS[0]).name}",
        )


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet or CSV, by the file's ending; whole or not at all."""
    with new_file(path) as draft:
        if path.suffix == ".csv":
            frame.to_csv(draft, index=False, lineterminator="\n")
        else:
            frame.to_parquet(draft, index=False)


def trial_frame(study: StudyRecord, arms: Sequence[Arm]) -> pd.DataFrame:
    """Every planned trial, a row each.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Returns:
        Columns `study`, `arm`, `seed`, `trial` (its identity) and `status`: `finished`, `missing`,
        or how it failed. Then, of finished trials, the metrics by their names, the settings by
        their dotted paths, `images.*` (of each split), `seconds.*` (of each phase) and
        `environment.*` (versions, hardware, profile). A setting that holds a list is JSON, and one
        that is a number in one trial and a word in another is text.
    """
    of_arms = {arm.name: arm for arm in arms}
    rows = [
        {"study": study.name, "arm": recorded.name, "seed": seed, "trial": identity}
        | _about(of_arms[recorded.name], seed)
        for recorded in study.arms
        for seed, identity in sorted(recorded.trials.items())
    ]
    return _uniform(pd.DataFrame(rows))


def _about(arm: Arm, seed: int) -> dict[str, Any]:
    trial = arm.trials.get(seed)
    if trial is None:
        failure = arm.failed.get(seed)
        return {"status": "missing" if failure is None else str(failure.kind)}
    return {
        "status": "finished",
        **trial.metrics,
        **settings_of(trial.spec),
        **flat({"images": trial.data["images"], "seconds": trial.timings}),
        **flat({"environment": trial.environment}),
    }


def settings_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's settings by their dotted paths, its seed and what its system has none of left out.

    Args:
        spec: Its spec as plain data.
    """
    return flat({k: part for k, part in spec.items() if part is not None and k != "seed"})


def flat(plain: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings by dotted paths, with lists as JSON."""
    found: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return found


def _uniform(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with one type a column, as files need: words where there are words and numbers."""
    for name, column in frame.items():
        kinds = {type(value) for value in column.dropna()}
        if not kinds:
            frame[name] = np.nan
        elif len(kinds) > 1 and str in kinds:
            frame[name] = column.map(str, na_action="ignore")
    return frame


_HISTORY = ["arm", "seed", "epoch", "split", "metric", "value"]
_PREDICTIONS = ["arm", "seed", "image", "label", "predicted", "probability", "rank"]


def history_frame(arms: Iterable[Arm]) -> pd.DataFrame:
    """Every measurement of every epoch: columns arm, seed, epoch, split, metric, value."""
    return _joined([arm.history() for arm in arms], _HISTORY)


def prediction_frame(arms: Iterable[Arm]) -> pd.DataFrame:
    """What every finished trial says of each test image that its evaluation protocol scores.

    Returns:
        Columns `arm`, `seed`, `image`, `label` and `predicted` (names of classes), `probability`
        (of the true class) and `rank` (of the true class among all, 0 for the first). Accuracy is
        the share of rows with rank 0.
    """
    parts = [
        _predictions(trial).assign(arm=arm.name, seed=seed)
        for arm in arms
        for seed, trial in arm.trials.items()
    ]
    return _joined(parts, _PREDICTIONS)


def _joined(parts: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Frames below each other; an empty one of the same columns where there are none."""
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _predictions(trial: Trial) -> pd.DataFrame:
    outcomes, names = trial.outcomes, np.array(trial.data["class_names"], dtype=object)
    probabilities = outcomes.probabilities()
    return pd.DataFrame(
        {
            "image": trial.images,
            "label": names[outcomes.labels],
            "predicted": names[outcomes.predicted],
            "probability": probabilities[np.arange(len(probabilities)), outcomes.labels],
            "rank": outcomes.ranks,
        }
    )


def arm_frame(arms: Iterable[Arm]) -> pd.DataFrame:
    """Every arm's mean of each metric, with its 95 % interval.

    Returns:
        Columns `arm`, `metric`, `mean`, `low`, `high`, `seeds` and `images` (0 where the interval
        counts seeds alone).
    """
    rows = [
        {"arm": arm.name, "metric": metric, "mean": found.mean, **_interval(found)}
        for arm in arms
        for metric in METRICS
        if any(metric in trial.metrics for trial in arm.trials.values())
        for found in (arm.estimate(metric),)
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", "mean", *_INTERVAL])


def effect_frame(study: StudyRecord, arms: Sequence[Arm]) -> pd.DataFrame:
    """Every arm against its control, in each metric that arms are compared in.

    Returns:
        Columns `control`, `arm`, `metric`, `difference` (arm minus control, paired by seed), `low`
        and `high` (95 % interval), `seeds`, `images`, `p_holm` (corrected over the arms), `margin`
        (the largest difference that does not matter) and `verdict`.
    """
    rows = list(_effects(study, arms))
    columns = ["control", "arm", "metric", "difference", *_INTERVAL, "p_holm", "margin", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _effects(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    for control in controls(list(arms)):
        for metric in COMPARED.values():
            margin = study.margin_in(metric)
            for effect in effects(list(arms), control, metric.name, margin):
                yield {
                    "control": control,
                    "arm": effect.arm,
                    "metric": metric.name,
                    "difference": effect.difference.mean,
                    **_interval(effect.difference),
                    "p_holm": effect.p_holm,
                    "margin": margin,
                    "verdict": effect.verdict,
                }


_INTERVAL = ("low", "high", "seeds", "images")


def _interval(estimate: Estimate) -> dict[str, float | int]:
    return {name: getattr(estimate, name) for name in _INTERVAL}
