"""The tables of a study in two stores: arms, effects, trials."""

from __future__ import annotations

from typing import Any

from bench.analysis.rerun import Rerun
from bench.metrics.catalogue import METRICS
from bench.report.cells import Measured, Table
from bench.study.study import FEWEST_SEEDS

MOST_CHANGED = 6
"""Inputs that a row names, the first suspects first; `bench compare --json` has all."""


def replication_tables(rerun: Rerun) -> list[Table]:
    """A comparison's tables; those without a row are left out."""
    tables = (arms_in_both(rerun), effects_in_both(rerun), trials_in_both(rerun))
    return [table for table in tables if table.rows]


def arms_in_both(rerun: Rerun) -> Table:
    """Each arm's metrics in both stores, their difference, and whether they agree."""
    rows = []
    for arm in rerun.arms:
        metric, seeds = METRICS[arm.metric], arm.difference.seeds
        rows.append(
            {
                "arm": arm.arm,
                "metric": f"{metric.short} %" if metric.percent else metric.short,
                "A": Measured(arm.a, metric.percent),
                "B": Measured(arm.b, metric.percent),
                "B - A": Measured(arm.difference.mean, metric.percent, signed=True),
                "margin": None if arm.margin is None else f"± {arm.margin * metric.scale:g}",
                "p (Holm)": arm.p_differs,
                "seeds": f"{seeds} paired" if arm.difference.paired else f"{seeds}, unpaired",
                "verdict": arm.verdict,
            }
        )
    return Table(
        f"{rerun.a.name}.compared_arms",
        "Arms in both stores",
        "B minus A, with 95 % intervals over seeds and test images. Paired: the same seeds in "
        "both; otherwise all seeds of each (Welch). Identical: the same on every image at every "
        "paired seed. Agrees: the interval lies within the margin, Holm-corrected over the arms of "
        "a metric. Differs: no difference is ruled out, Holm-corrected over all arms and metrics, "
        "so that two stores of the same truth are called different anywhere in 5 % at most. A "
        "verdict "
        f"needs {FEWEST_SEEDS} seeds.",
        ("arm", "metric", "A", "B", "B - A", "verdict", "margin", "p (Holm)", "seeds"),
        tuple(rows),
    )


def effects_in_both(rerun: Rerun) -> Table:
    """Each arm's difference from its control in both stores, as each store judges it."""
    rows = []
    for effect in rerun.effects:
        metric = METRICS[effect.a.metric]
        rows.append(
            {
                "arm": effect.a.arm,
                "metric": metric.difference,
                "effect in A": Measured(effect.a.difference, metric.percent, signed=True),
                "effect in B": Measured(effect.b.difference, metric.percent, signed=True),
                "same sign": _yes(effect.same_sign),
                "intervals overlap": _yes(effect.overlap),
                "verdict in A": effect.a.verdict,
                "verdict in B": effect.b.verdict,
                "verdicts": effect.turn.value,
            }
        )
    controls = ", ".join(dict.fromkeys(effect.control for effect in rerun.effects))
    return Table(
        f"{rerun.a.name}.compared_effects",
        "Effects in both stores",
        f"Arm minus control ({controls}) within each store, judged as its own report does, with "
        "A's margin. Turned round: better in one and worse in the other. A verdict that is told "
        "in one store alone is no contradiction: the other may have had fewer seeds, or less luck.",
        (
            "arm", "metric", "effect in A", "effect in B", "verdicts", "verdict in A",
            "verdict in B", "same sign", "intervals overlap",
        ),
        tuple(rows),
    )  # fmt: skip


def trials_in_both(rerun: Rerun) -> Table:
    """Each trial in both stores: the same numbers or not, and what differs in the record."""
    rows = [
        {
            "arm": trial.arm,
            "seed": trial.seed,
            "verdict": trial.verdict,
            "largest difference": trial.deviation,
            "item": trial.where or None,
            "setting or machine that differs": changed_in_words(trial.changed) or None,
        }
        for trial in rerun.trials
    ]
    return Table(
        f"{rerun.a.name}.compared_trials",
        "Trials in both stores",
        "Matched by arm and seed. Largest difference: of a predicted probability; item: the image "
        "and class of it. What differs in the two records: first what makes them two trials (data, "
        "settings, weights, semantics), then what may round otherwise, the first suspects first.",
        (
            "arm", "seed", "verdict", "largest difference", "item",
            "setting or machine that differs",
        ),
        tuple(rows),
    )  # fmt: skip


def changed_in_words(changed: dict[str, tuple[Any, Any]]) -> str:
    """Inputs that differ, such as `processor: x in A, y in B`; the first few."""
    said = [f"{name}: {a} in A, {b} in B" for name, (a, b) in changed.items()]
    more = f"; {len(said) - MOST_CHANGED} more" if len(said) > MOST_CHANGED else ""
    return "; ".join(said[:MOST_CHANGED]) + more


def _yes(answer: bool | None) -> str | None:
    return None if answer is None else ("yes" if answer else "no")
