"""How far each arm's results in two stores lie apart."""

from __future__ import annotations

import pandas as pd

from bench.analysis.replication import Agreement, ArmReplication
from bench.analysis.rerun import Rerun
from bench.metrics.catalogue import METRICS
from bench.report.drawing import MOST_DRAWN, Figure, left_out
from bench.report.figures.arms import colour_of, ends_of, forest, panel_metrics

ALIKE = (Agreement.IDENTICAL, Agreement.AGREES)


def compared_arms(rerun: Rerun) -> Figure | None:
    """A forest plot of every arm's difference between the stores; None where there is none."""
    metrics = [m for m in panel_metrics() if any(arm.metric == m.name for arm in rerun.arms)]
    names = list(dict.fromkeys(arm.arm for arm in rerun.arms))
    drawn = names[:MOST_DRAWN]
    shown = [arm for arm in rerun.arms if arm.arm in drawn and METRICS[arm.metric] in metrics]
    if not shown:
        return None
    panels = {
        metric: [
            (arm.arm, arm.difference.mean, _colour(arm))
            for arm in shown
            if arm.metric == metric.name
        ]
        for metric in metrics
    }
    figure = forest(drawn, panels, {metric: rerun.a.margin_in(metric) for metric in metrics})
    return Figure(
        f"{rerun.a.name}.compared_arms",
        "B minus A, arm by arm",
        "Diamonds and bars: B minus A with its 95 % interval over seeds and test images, not "
        "corrected for the number of arms. The band is the margin within which a difference does "
        "not matter. By the corrected verdict green agrees or is identical, blue differs, grey "
        f"cannot be told. {left_out(len(drawn), len(names))}",
        figure,
        pd.DataFrame(
            {"arm": arm.arm, "metric": arm.metric, **ends_of(arm.difference.mean)} for arm in shown
        ),
    )


def _colour(arm: ArmReplication) -> str:
    return colour_of(arm.agreement is not Agreement.CANNOT_TELL, arm.agreement in ALIKE)
