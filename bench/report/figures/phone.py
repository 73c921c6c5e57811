"""What a phone's forms cost and give: accuracy against latency, size as area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from bench.analysis.arms import Arm
from bench.analysis.phone import MeasuredForm, measured_forms, pareto_front
from bench.metrics.catalogue import ACCURACY
from bench.report.drawing import Figure, literal, settle
from bench.report.tables.phone import TITLES, machines
from bench.store.studies import StudyRecord

LARGEST = 900.0
"""Area of the largest file's mark, in square points."""


def on_a_phone(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Accuracy against the latency of one image on one thread, a mark a form of an arm.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Returns:
        None where no form was timed. Data: `arm`, `form`, `latency` (ms) with its quartiles `low`
        and `high`, `size` (bytes), `accuracy` (%), and whether it is on the Pareto `front`.
    """
    data = pd.DataFrame(row for form in measured_forms(arms) if (row := _row(form)) is not None)
    if data.empty:
        return None
    front = pareto_front(list(data["latency"]), list(data["accuracy"]))
    data["front"] = [place in front for place in range(len(data))]
    figure, axis = plt.subplots(figsize=(9, 5), layout="constrained")
    _draw(axis, data, front)
    settle(figure)
    caption = (
        "Top-1 accuracy (vertical) against the median latency of one image on one thread, by "
        f"XNNPACK (horizontal, logarithmic), on {machines(measured_forms(arms))}, which is no "
        "phone. Area: size of the file. A grey line joins the forms of an arm; the black line is "
        "the Pareto front: no other mark is both faster and more accurate. Bars: quartiles. "
        "The accuracy of arms on random weights says nothing of their backbone."
    )
    return Figure(f"{study.name}.phone", "On a phone: accuracy against latency", caption,
                  figure, data)  # fmt: skip


def _row(form: MeasuredForm) -> dict[str, Any] | None:
    latency, accuracy = form.latency(), form.estimate(ACCURACY.name)
    if latency is None or accuracy is None:
        return None
    return {
        "arm": form.arm.name,
        "form": TITLES[form.form],
        "latency": 1000 * latency.median,
        "low": 1000 * latency.low,
        "high": 1000 * latency.high,
        "size": form.first.bytes,
        "accuracy": 100 * accuracy.mean,
    }


def _draw(axis: Any, data: pd.DataFrame, front: Sequence[int]) -> None:
    for arm, part in data.groupby("arm", sort=False):
        own = part.sort_values("latency")
        axis.plot(own["latency"], own["accuracy"], color="0.8", lw=1, zorder=1)
        axis.annotate(
            literal(str(arm)), (own["latency"].iloc[-1], own["accuracy"].iloc[-1]),
            xytext=(6, 6), textcoords="offset points", fontsize=8, color="0.3",
        )  # fmt: skip
    palette = sns.color_palette("colorblind", len(TITLES))
    for colour, title in zip(palette, TITLES.values(), strict=True):
        part = data[data["form"] == title]
        axis.errorbar(
            part["latency"], part["accuracy"],
            xerr=[part["latency"] - part["low"], part["high"] - part["latency"]],
            fmt="none", ecolor=colour, lw=1, zorder=2,
        )  # fmt: skip
        axis.scatter(
            part["latency"], part["accuracy"], s=LARGEST * part["size"] / data["size"].max(),
            color=colour, alpha=0.6, zorder=3,
        )  # fmt: skip
        axis.scatter([], [], s=60, color=colour, alpha=0.6, label=title)
    best = data.iloc[list(front)]
    axis.step(best["latency"], best["accuracy"], where="post", color="black", lw=1.2, zorder=2,
              label="Pareto front")  # fmt: skip
    axis.scatter(best["latency"], best["accuracy"], s=14, color="black", zorder=4)
    axis.set_xscale("log")
    axis.set_xlabel("latency of one image (ms)")
    axis.set_ylabel("top-1 accuracy (%)")
    axis.legend(fontsize=8, loc="best")
