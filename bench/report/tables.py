"""The tables: a study's arms and effects, and the paper's tables beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.arms import FEWEST_SEEDS, Arm, Effect, effects
from bench.analysis.factors import factor_effects
from bench.report.cells import Measured, Table, Trials
from bench.store.trials import DIVERGED

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


def arms_table(name: str, arms: Sequence[Arm], note: str) -> Table:
    """Every arm's classification metrics."""
    rows = []
    for arm in arms:
        measured = {head: Measured(arm.estimate(m), True) for m, head in PERCENT.items()}
        rows.append({"arm": arm.name, "seeds": trials_of(arm), **measured})
    return Table(f"{name}.arms", "Arms", note, ("arm", "seeds", *PERCENT.values()), tuple(rows))


def landmarks_table(name: str, arms: Sequence[Arm]) -> Table | None:
    """Landmark error beside that of the mean position, and how far each gate is open."""
    rows = []
    for arm in arms:
        if not any(trial.errors is not None for trial in arm.trials.values()):
            continue
        bound = next(iter(arm.trials.values())).data.get("mean_position_error")
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
    name: str,
    arms: Sequence[Arm],
    control: str,
    *,
    ranked: bool = False,
    unchanged: Sequence[str] = (),
) -> Table | None:
    """Every arm's difference from its control, paired by seed, Holm-corrected.

    Args:
        name: File name without ending.
        arms: Arms of the study.
        control: The arm that others are compared with.
        ranked: Whether arms stand by the size of their difference in accuracy.
        unchanged: What has no arm because it would be the control itself; named at the end.
    """
    rows: list[dict[str, Any]] = []
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
    rows += [{"arm": what, "verdict": "the same as the control: no effect"} for what in unchanged]
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


def trials_of(arm: Arm) -> Trials:
    """How many of an arm's trials there are."""
    diverged = sum(failure.kind == DIVERGED for failure in arm.failed.values())
    return Trials(len(arm.trials), arm.planned, len(arm.failed) - diverged, diverged)
