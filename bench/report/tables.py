"""The report's tables: built once as values, written as CSV (raw), Markdown and LaTeX (rounded)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from bench.analysis.arms import FEWEST_SEEDS, Arm, effects
from bench.analysis.intervals import Estimate, over_seeds
from bench.paper.published import PublishedTable, no_information, published
from bench.train.metrics import classification

PERCENT = {
    "accuracy": "top-1 %",
    "top_3": "top-3 %",
    "top_5": "top-5 %",
    "precision_pooled": "precision % (p > 0.5)",
    "recall_pooled": "recall % (p > 0.5)",
    "precision_macro": "precision % (macro)",
    "recall_macro": "recall % (macro)",
}
"""Metrics shown in percent, and their column heads."""

LANDMARKS = {
    "landmark_ne": "landmark error (NE)",
    "landmark_loss": "landmark loss (nats)",
    "gate_mean": "gate: mean",
    "gate_below_0.1": "gate: share < 0.1",
    "gate_above_0.9": "gate: share > 0.9",
    "gate_energy": "gate: energy passed",
}
NO_INFORMATION = "no information (training frequencies)"


@dataclass(frozen=True)
class Measured:
    """A measured cell.

    Args:
        estimate: Mean and interval.
        percent: Whether it is shown in percent.
        signed: Whether its sign is always shown.
    """

    estimate: Estimate
    percent: bool
    signed: bool = False

    def __str__(self) -> str:
        scale, digits = (100, 1) if self.percent else (1, 3)
        mean, half = self.estimate.mean * scale, self.estimate.half_width * scale
        if not np.isfinite(mean):
            return "–"
        shown = f"{mean:+.{digits}f}" if self.signed else f"{mean:.{digits}f}"
        return f"{shown} ± {half:.{digits}f}" if np.isfinite(half) else f"{shown} (no interval)"


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Args:
        name: File name without ending.
        title: Heading.
        note: What the reader must know to read it.
        columns: Heads, in order.
        rows: Values by head: text, numbers or `Measured`.
    """

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    def shown(self) -> list[list[str]]:
        """Rows as text, rounded."""
        return [[_text(row.get(column)) for column in self.columns] for row in self.rows]

    def raw(self) -> pd.DataFrame:
        """Rows unrounded; a measured cell becomes mean, low, high, seeds and images."""
        return pd.DataFrame([dict(_expanded(self.columns, row)) for row in self.rows])

    def write(self, folder: Path) -> list[Path]:
        """Write `<name>.csv`, `.md` and `.tex` into a folder."""
        paths = [folder / f"{self.name}.{ending}" for ending in ("csv", "md", "tex")]
        self.raw().to_csv(paths[0], index=False)
        align = ["left"] + ["right"] * (len(self.columns) - 1)
        body = self.shown()
        pipe = tabulate(body, self.columns, "pipe", disable_numparse=True, colalign=align)
        paths[1].write_text(f"**{self.title}**\n\n{pipe}\n\n{self.note}\n", encoding="utf-8")
        latex = tabulate(
            body, self.columns, "latex_booktabs", disable_numparse=True, colalign=align
        )
        paths[2].write_text(f"% {self.title}. {self.note}\n{latex}\n", encoding="utf-8")
        return paths


def arms_table(name: str, arms: Sequence[Arm], note: str) -> Table:
    """Every arm's classification metrics."""
    rows = []
    for arm in arms:
        measured = {head: Measured(arm.estimate(m), True) for m, head in PERCENT.items()}
        rows.append({"arm": arm.name, "seeds": _seeds(arm), **measured})
    return Table(f"{name}.arms", "Arms", note, ("arm", "seeds", *PERCENT.values()), tuple(rows))


def landmarks_table(name: str, arms: Sequence[Arm]) -> Table | None:
    """Landmark error beside that of the mean position, and how far each gate is open."""
    rows = []
    for arm in arms:
        if not any(trial.record.landmarks is not None for trial in arm.trials.values()):
            continue
        baseline = [t.record.data.get("mean_position_error") for t in arm.trials.values()]
        row: dict[str, Any] = {"arm": arm.name, "NE of the mean position": baseline[0]}
        row |= {head: Measured(arm.estimate(m), False) for m, head in LANDMARKS.items()}
        rows.append(row)
    if not rows:
        return None
    heads = list(LANDMARKS.values())
    return Table(
        f"{name}.landmarks",
        "Landmarks and gates",
        "NE: mean distance of visible landmarks from their true places, as a share of the image's "
        "sides; lower is better. Energy passed: share of the feature map's sum of squares that the "
        "gate lets through; above 1 it amplifies.",
        ("arm", heads[0], "NE of the mean position", *heads[1:]),
        tuple(rows),
    )


def effects_table(name: str, arms: Sequence[Arm], control: str) -> Table | None:
    """Every arm's difference from the control, paired by seed, Holm-corrected."""
    rows = []
    for metric, head in (("accuracy", "top-1"), ("top_3", "top-3"), ("landmark_ne", "NE")):
        for effect in effects(list(arms), control, metric):
            percent = metric in PERCENT
            rows.append(
                {
                    "arm": effect.arm,
                    "metric": f"{head} (points)" if percent else head,
                    "difference": Measured(effect.difference, percent, signed=True),
                    "p (Holm)": effect.p_holm,
                    "paired seeds": effect.difference.seeds,
                    "verdict": effect.verdict,
                }
            )
    if not rows:
        return None
    return Table(
        f"{name}.effects",
        f"Against the control, {control}",
        "Arm minus control at the same seeds on the same test images, with 95 % intervals that "
        "count the variance of seeds and of test images both. p-values are corrected by Holm's "
        f"method over the arms of a metric; a verdict needs at least {FEWEST_SEEDS} seeds.",
        ("arm", "metric", "difference", "p (Holm)", "paired seeds", "verdict"),
        tuple(rows),
    )


def published_table(key: str, arms: Sequence[Arm], study: dict[str, Any] | None) -> Table:
    """A published table beside what was measured.

    Args:
        key: `table_1` or `table_2`.
        arms: Arms of the study that reproduces it; empty without one.
        study: That study's record.
    """
    table = published()[key]
    by_name = {arm.name: arm for arm in arms}
    rows = []
    for printed in table.rows:
        arm = by_name.get(printed.name)
        row: dict[str, Any] = {"row": printed.name}
        row["N published"] = printed.size or "–"
        for metric in table.metrics:
            head = PERCENT[metric]
            row[f"published {head}"] = round(100 * printed.values[metric], 2)
            if arm is not None and arm.trials:
                estimate = arm.estimate(metric)
                row[f"measured {head}"] = Measured(estimate, True)
                row[f"verdict {head}"] = _judge(estimate, printed.values[metric], study)
        if arm is not None:
            sizes = arm.sizes
            row |= {"seeds": _seeds(arm), "N measured": sizes.get("train", "–")}
            row["test images"] = sizes.get("test", "–")
        elif printed.quoted_from:
            row["seeds"] = f"quoted: {printed.quoted_from}"
        rows.append(row)
    rows += _bounds(table, arms)
    if key == "table_1":
        rows += [
            _quoted(row.name, row.quoted_from, row.values) for row in published()["context"].rows
        ]
    heads = [
        f"{kind} {PERCENT[m]}"
        for m in table.metrics
        for kind in ("published", "measured", "verdict")
    ]
    return Table(
        key,
        f"{table.source}: {table.title.lower()}",
        f"{table.note} Published figures are quoted; measured ones are means with 95 % intervals "
        "over seeds and test images. A row is judged only on DeepFashion at the paper's scale: "
        "consistent where the interval holds the published figure, else it differs; below "
        f"{FEWEST_SEEDS} seeds it cannot be told.",
        ("row", "N published", "N measured", "test images", "seeds", *heads),
        tuple(rows),
    )


def _bounds(table: PublishedTable, arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    """The no-information rows: of the data in use, and of the paper's."""
    bound = no_information(table.metrics)
    if bound:
        row = _quoted("always the commonest classes of DeepFashion", "the class counts", bound)
        yield row | {"seeds": "computed from the class counts"}
    largest = max(
        (trial for arm in arms for trial in arm.trials.values()),
        key=lambda trial: trial.record.data["images"]["train"],
        default=None,
    )
    if largest is None:
        return
    counts = np.array(largest.record.data["train_counts"], np.float64)
    labels = largest.record.predictions.labels.astype(np.int64)
    answers = np.tile(counts / counts.sum(), (len(labels), 1))
    scores = classification(answers, labels)
    yield {
        "row": NO_INFORMATION,
        "N measured": largest.record.data["images"]["train"],
        "test images": len(labels),
        "seeds": "computed",
        **{
            f"measured {PERCENT[m]}": Measured(over_seeds([scores[m]]), True) for m in table.metrics
        },
    }


def _quoted(name: str, source: str | None, values: dict[str, float]) -> dict[str, Any]:
    figures = {f"published {PERCENT[m]}": round(100 * value, 2) for m, value in values.items()}
    return {"row": name, "N published": "–", "seeds": f"quoted: {source}", **figures}


def _judge(estimate: Estimate, printed: float, study: dict[str, Any] | None) -> str:
    assert study is not None
    source, profile = study["data"]["source"], study["profile"]
    if source != "deepfashion":
        return f"not comparable ({source})"
    if profile != "paper":
        return f"not comparable (profile {profile})"
    if estimate.seeds < FEWEST_SEEDS or not np.isfinite(estimate.half_width):
        return f"cannot tell ({estimate.seeds} seeds)"
    return "consistent" if estimate.low <= printed <= estimate.high else "differs"


def _seeds(arm: Arm) -> str:
    text = f"{len(arm.trials)} of {arm.planned}"
    return f"{text}, {len(arm.failed)} failed" if arm.failed else text


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        if not np.isfinite(value):
            return "–"
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _expanded(columns: Sequence[str], row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for column in columns:
        value = row.get(column)
        if isinstance(value, Measured):
            estimate = value.estimate
            yield f"{column} mean", estimate.mean
            yield f"{column} low", estimate.low
            yield f"{column} high", estimate.high
            yield f"{column} seeds", estimate.seeds
            yield f"{column} images", estimate.images
        else:
            yield column, value
