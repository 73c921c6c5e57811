"""How far each arm's results in two stores lie apart."""

from __future__ import annotations

from functools import partial

import pandas as pd

from bench.analysis.rerun import Rerun
from bench.metrics.catalogue import COMPARED, METRICS, Metric
from bench.report.drawing import MOST_DRAWN, Figure, left_out
from bench.report.figures.arms import ends_of, forest
from bench.report.interactive import forest_chart


def compared_arms(rerun: Rerun) -> Figure | None:
    """A forest plot of every arm's difference between the stores; None where there is none."""
    metrics = [m for m in _panel_metrics() if any(arm.metric == m.name for arm in rerun.arms)]
    names = list(dict.fromkeys(arm.arm for arm in rerun.arms))
    drawn = names[:MOST_DRAWN]
    shown = [arm for arm in rerun.arms if arm.arm in drawn and METRICS[arm.metric] in metrics]
    if not shown:
        return None
    panels = {
        metric: [
            (arm.arm, arm.difference.mean, arm.agreement)
            for arm in shown
            if arm.metric == metric.name
        ]
        for metric in metrics
    }
    margins = {metric: rerun.a.margin_in(metric) for metric in metrics}
    figure = forest(drawn, panels, margins)
    return Figure(
        f"{rerun.a.name}.compared_arms",
        "B minus A, arm by arm",
        "Diamonds and bars: B minus A with its 95 % interval over seeds and test images, not "
        "corrected for the number of arms. The band is the margin within which a difference does "
        "not matter. The corrected verdict is at the right: tick agrees or is identical, cross "
        f"differs, question mark cannot tell. {left_out(len(drawn), len(names))}",
        figure,
        pd.DataFrame(
            {
                "arm": arm.arm,
                "metric": arm.metric,
                **ends_of(arm.difference.mean),
                "seeds": arm.difference.mean.seeds,
                "verdict": arm.agreement.value,
            }
            for arm in shown
        ),
        partial(forest_chart, margins=margins),
    )


def _panel_metrics() -> list[Metric]:
    """The first metric of each group that arms are compared in."""
    first: dict[str | None, Metric] = {}
    for metric in COMPARED.values():
        first.setdefault(metric.group, metric)
    return list(first.values())
