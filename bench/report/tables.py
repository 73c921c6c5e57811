"""The tables: a study's arms and effects, and the paper's tables beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.analysis.arms import DEPTHS, FEWEST_SEEDS, Arm, Effect, effects
from bench.analysis.factors import factor_effects
from bench.analysis.intervals import Estimate, over_seeds, wilson
from bench.paper.published import PublishedRow, PublishedTable, no_information, published
from bench.report.cells import Measured, Printed, Table, Trials
from bench.train.metrics import classification, ranks

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
EFFECTS = {"accuracy": "top-1", "top_3": "top-3", "top_5": "top-5", "landmark_ne": "NE"}
"""Metrics that arms are compared in, and their short names."""

PUBLISHED_UNIT = {"percent": 1.0, "fraction": 100.0}
NO_INFORMATION = "no information (training frequencies)"


def arms_table(name: str, arms: Sequence[Arm], note: str) -> Table:
    """Every arm's classification metrics."""
    rows = []
    for arm in arms:
        measured = {head: Measured(arm.estimate(m), True) for m, head in PERCENT.items()}
        rows.append({"arm": arm.name, "seeds": _trials(arm), **measured})
    return Table(f"{name}.arms", "Arms", note, ("arm", "seeds", *PERCENT.values()), tuple(rows))


def landmarks_table(name: str, arms: Sequence[Arm]) -> Table | None:
    """Landmark error beside that of the mean position, and how far each gate is open."""
    rows = []
    for arm in arms:
        if not any(trial.record.landmarks is not None for trial in arm.trials.values()):
            continue
        bound = next(iter(arm.trials.values())).record.data.get("mean_position_error")
        row: dict[str, Any] = {"arm": arm.name, "NE of the mean position": bound}
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


def effects_table(
    name: str, arms: Sequence[Arm], control: str, *, ranked: bool = False
) -> Table | None:
    """Every arm's difference from its control, paired by seed, Holm-corrected.

    Args:
        name: File name without ending.
        arms: Arms of the study.
        control: The arm that others are compared with.
        ranked: Whether arms stand by the size of their difference in accuracy.
    """
    rows = []
    for metric, head in EFFECTS.items():
        found = effects(list(arms), control, metric)
        for effect in by_size(found) if ranked else found:
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
        name,
        f"Against {control}",
        "Arm minus control at the same seeds on the same test images, with 95 % intervals that "
        "count the variance of seeds and of test images both. p-values are corrected by Holm's "
        f"method over the arms of a metric; a verdict needs at least {FEWEST_SEEDS} seeds."
        + (" Ranked by the size of the difference." if ranked else ""),
        ("arm", "metric", "difference", "p (Holm)", "paired seeds", "verdict"),
        tuple(rows),
    )


def by_size(found: Sequence[Effect]) -> list[Effect]:
    """Effects, the largest first."""
    return sorted(found, key=lambda effect: -abs(effect.difference.mean))


def factors_table(
    name: str, arms: Sequence[Arm], axes: dict[str, list[str]], control: dict[str, str]
) -> Table | None:
    """Main effects and two-way interactions of a crossed design.

    Args:
        name: Name of the study.
        arms: Its arms.
        axes: Axis -> levels.
        control: Axis -> the control's level.
    """
    rows = [
        {
            "metric": f"{EFFECTS[metric]} (points)" if metric in PERCENT else EFFECTS[metric],
            "contrast": contrast.name,
            "kind": "main effect" if contrast.order == 1 else "interaction",
            "difference": (
                None
                if contrast.difference is None
                else Measured(contrast.difference, metric in PERCENT, signed=True)
            ),
            "p (Holm)": contrast.p_holm,
            "verdict": contrast.verdict,
        }
        for metric in EFFECTS
        for contrast in factor_effects(arms, axes, control, metric)
    ]
    if not rows:
        return None
    return Table(
        f"{name}.factors",
        "Factors: main effects and interactions",
        "A main effect is the difference that a level makes on average over the other factors; an "
        "interaction is how much the second factor's effect changes with the first factor's level. "
        "By least squares on the arms, with 95 % intervals over seeds and test images; p-values "
        "corrected by Holm's method within each kind.",
        ("contrast", "kind", "metric", "difference", "p (Holm)", "verdict"),
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
    rows = [_published_row(table, row, by_name.get(row.name), study) for row in table.rows]
    rows += _bounds(table, arms)
    if key == "table_1":
        context = published()["context"]
        rows += [_published_row(context, row, None, None) for row in context.rows]
    heads = [
        f"{kind} {PERCENT[metric]}"
        for kind in ("published", "measured", "verdict")
        for metric in table.metrics
    ]
    about = f" Measured on: {study['data']['label']}; profile {study['profile']}." if study else ""
    return Table(
        key,
        f"{table.source}: {table.title.lower()}",
        f"{table.note}{about} Published figures are as printed, never measured here; measured ones "
        "are means with 95 % intervals over seeds and test images (precision: over seeds alone; no "
        "information: over test images alone). A row is judged only on DeepFashion at the paper's "
        "scale: consistent where the interval holds the published figure, else it differs; below "
        f"{FEWEST_SEEDS} seeds it cannot be told.",
        ("row", "N published", "N measured", "test images", "seeds", *heads, "source"),
        tuple(rows),
    )


def _published_row(
    table: PublishedTable, printed: PublishedRow, arm: Arm | None, study: dict[str, Any] | None
) -> dict[str, Any]:
    quoted = f"quoted: {printed.quoted_from}" if printed.quoted_from else table.source
    row: dict[str, Any] = {"row": printed.name, "N published": printed.size, "source": quoted}
    scale = PUBLISHED_UNIT[table.unit]
    for metric in table.metrics:
        text = printed.printed[metric]
        value = round(scale * float(text), 6)
        # Columns are in percent: a fraction as printed, such as .93, is shown as 93.
        row[f"published {PERCENT[metric]}"] = Printed(
            text if table.unit == "percent" else f"{value:g}", value
        )
    if arm is None:
        return row
    row["seeds"] = _trials(arm)
    if not arm.trials:
        return row
    row |= {"N measured": arm.sizes["train"], "test images": arm.sizes["test"]}
    for metric in table.metrics:
        estimate = arm.estimate(metric)
        row[f"measured {PERCENT[metric]}"] = Measured(estimate, True)
        row[f"verdict {PERCENT[metric]}"] = _judge(estimate, printed.values[metric], study)
    return row


def _bounds(table: PublishedTable, arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    """The no-information rows: of the paper's data, and of the data in use."""
    bound = no_information(table.metrics)
    if bound:
        yield {
            "row": "always DeepFashion's commonest classes",
            "source": "computed from DeepFashion's class counts",
            **{
                f"published {PERCENT[m]}": Printed(f"{100 * value:.2f}", round(100 * value, 2))
                for m, value in bound.items()
            },
        }
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
    yield {
        "row": NO_INFORMATION,
        "N measured": largest.record.data["images"]["train"],
        "test images": len(labels),
        "source": "computed from the training frequencies",
        **{
            f"measured {PERCENT[m]}": Measured(_of_one_answer(m, answers, labels), True)
            for m in table.metrics
        },
    }


def _of_one_answer(metric: str, answers: np.ndarray, labels: np.ndarray) -> Estimate:
    """A metric of an answer that no seed changes: only the test images vary."""
    if metric not in DEPTHS:
        return over_seeds([classification(answers, labels)[metric]])
    hits, nan = int((ranks(answers, labels) < DEPTHS[metric]).sum()), float("nan")
    low, high = wilson(hits, len(labels))
    return Estimate(hits / len(labels), low, high, 0, len(labels), nan, nan, nan)


def _judge(estimate: Estimate, printed: float, study: dict[str, Any] | None) -> str:
    assert study is not None, "what is measured was measured in a study"
    source, profile = study["data"]["source"], study["profile"]
    if source != "deepfashion":
        return f"not comparable ({source})"
    if profile != "paper":
        return f"not comparable (profile {profile})"
    if estimate.seeds < FEWEST_SEEDS or not np.isfinite(estimate.half_width):
        return f"cannot tell ({estimate.seeds} seeds)"
    return "consistent" if estimate.low <= printed <= estimate.high else "differs"


def _trials(arm: Arm) -> Trials:
    return Trials(len(arm.trials), arm.planned, len(arm.failed))
