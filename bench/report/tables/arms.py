"""A study's arms as measured, their effects against a control, and those of its factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.arms import Arm, by_size, effects
from bench.analysis.factors import factor_effects
from bench.metrics.catalogue import CLASSIFICATION, COMPARED, GATES, LANDMARKS, Metric
from bench.report.cells import Measured, Table, Trials
from bench.store.studies import StudyRecord
from bench.store.trials import FailureKind
from bench.study.study import FEWEST_SEEDS


def arms_table(study: StudyRecord, arms: Sequence[Arm]) -> Table:
    """Every arm's classification metrics."""
    metrics = list(CLASSIFICATION.values())
    rows = [
        {"arm": arm.name, "seeds": trials_of(arm)} | {m.label: measured(arm, m) for m in metrics}
        for arm in arms
    ]
    return Table(
        f"{study.name}.arms",
        "Arms",
        f"Data: {study.data.label}. Means with 95 % intervals over seeds and test images.",
        ("arm", "seeds", *(metric.label for metric in metrics)),
        tuple(rows),
    )


def landmarks_table(study: StudyRecord, arms: Sequence[Arm]) -> Table | None:
    """Landmark error beside that of the mean position, and how far each gate is open."""
    metrics = [*LANDMARKS.values(), *GATES.values()]
    rows = []
    for arm in arms:
        if not arm.has_landmarks:
            continue
        bound = arm.mean_position_error
        row: dict[str, Any] = {"arm": arm.name, "NE of the mean position": bound}
        rows.append(row | {metric.label: measured(arm, metric) for metric in metrics})
    if not rows:
        return None
    heads = [metric.label for metric in metrics]
    return Table(
        f"{study.name}.landmarks",
        "Landmarks and gates",
        "NE: mean distance of visible landmarks from their true places, as a share of the image's "
        "sides; lower is better. Energy passed: share of the feature map's sum of squares that the "
        "gate lets through; above 1 it amplifies.",
        ("arm", heads[0], "NE of the mean position", *heads[1:]),
        tuple(rows),
    )


def measured(arm: Arm, metric: Metric) -> Measured:
    """An arm's cell of a metric."""
    return Measured(arm.estimate(metric.name), metric.percent)


def effects_table(
    name: str,
    study: StudyRecord,
    arms: Sequence[Arm],
    control: str,
    *,
    ranked: bool = False,
    unchanged: Sequence[str] = (),
) -> Table | None:
    """Every arm's difference from its control, paired by seed, Holm-corrected.

    Args:
        name: File name without ending.
        study: Its record.
        arms: Its arms.
        control: The arm that others are compared with.
        ranked: Whether arms are in the order of the size of their difference.
        unchanged: What has no arm because it would be the control itself; named at the end.
    """
    rows: list[dict[str, Any]] = []
    for metric in COMPARED.values():
        margin = study.margin_in(metric)
        found = effects(list(arms), control, metric.name, margin)
        rows += [
            {
                "arm": effect.arm,
                "metric": metric.difference,
                "difference": Measured(effect.difference, metric.percent, signed=True),
                "p (Holm)": effect.p_holm,
                "margin": None if margin is None else f"± {margin * metric.scale:g}",
                "paired seeds": effect.difference.seeds,
                "verdict": effect.verdict,
            }
            for effect in (by_size(found) if ranked else found)
        ]
    if not rows:
        return None
    rows += [{"arm": what, "verdict": "the same as the control: no effect"} for what in unchanged]
    return Table(
        name,
        f"Against {control}",
        "Arm minus control at the same seeds on the same test images, with 95 % intervals that "
        "count the variance of seeds and of test images both. p-values are corrected by Holm's "
        f"method over the arms of a metric; a verdict needs at least {FEWEST_SEEDS} seeds. "
        "Equivalent: the interval, corrected likewise, lies within the margin, the smallest "
        "difference that matters; better and worse: it lies on one side of 0."
        + (" Intervals and p-values hold over all looks together." if study.until else "")
        + (" Ranked by the size of the difference." if ranked else ""),
        ("arm", "metric", "difference", "p (Holm)", "margin", "paired seeds", "verdict"),
        tuple(rows),
    )


def factors_table(study: StudyRecord, arms: Sequence[Arm]) -> Table | None:
    """Main effects and two-way interactions of a crossed design."""
    if not study.design.crossed:
        return None
    rows = [
        {
            "metric": metric.difference,
            "contrast": contrast.name,
            "kind": "main effect" if contrast.order == 1 else "interaction",
            "difference": (
                None
                if contrast.difference is None
                else Measured(contrast.difference, metric.percent, signed=True)
            ),
            "p (Holm)": contrast.p_holm,
            "verdict": contrast.verdict,
        }
        for metric in COMPARED.values()
        for contrast in factor_effects(
            arms,
            study.control_axes(),
            study.control_levels(),
            metric.name,
            study.margin_in(metric),
        )
    ]
    if not rows:
        return None
    return Table(
        f"{study.name}.factors",
        "Factors: main effects and interactions",
        "A main effect is the difference that a level makes on average over the other factors; an "
        "interaction is how much the second factor's effect changes with the first factor's level. "
        "By least squares on the arms, with 95 % intervals over seeds and test images; p-values "
        "corrected by Holm's method within each kind. Equivalent: within the study's margin.",
        ("contrast", "kind", "metric", "difference", "p (Holm)", "verdict"),
        tuple(rows),
    )


def trials_of(arm: Arm) -> Trials:
    """How many of an arm's trials there are."""
    diverged = sum(failure.kind == FailureKind.DIVERGED for failure in arm.failed.values())
    return Trials(len(arm.trials), arm.planned, len(arm.failed) - diverged, diverged)
