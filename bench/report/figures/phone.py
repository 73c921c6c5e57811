"""What a phone's forms cost and give: accuracy against latency, size as area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from bench.analysis.arms import Arm
from bench.analysis.phone import MeasuredForm, measured_forms, pareto_front
from bench.metrics.catalogue import ACCURACY
from bench.report.drawing import MOST_DRAWN, Figure, foremost, left_out, literal, settle
from bench.report.tables.phone import TITLES, machines
from bench.store.studies import StudyRecord

LARGEST = 900.0
"""Area of the largest file's mark, in square points."""

LONGEST_ARM = 52
"""Letters of an arm's name that the key has room for."""


def on_a_phone(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Accuracy against the latency of one image on one thread, a mark a form of an arm.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Returns:
        None where no form was timed. Data: `arm`, `form`, `latency` (ms) with its quartiles `low`
        and `high`, `size` (bytes), `accuracy` (%), and whether it is on the Pareto `front`.
    """
    measured = [arm for arm in arms if measured_forms([arm])]
    drawn = foremost(measured, MOST_DRAWN)
    forms = measured_forms(drawn)
    data = pd.DataFrame(row for form in forms if (row := _row(form)) is not None)
    if data.empty:
        return None
    front = pareto_front(list(data["latency"]), list(data["accuracy"]))
    data["front"] = [place in front for place in range(len(data))]
    figure, axis = plt.subplots(figsize=(11, 5), layout="constrained")
    _draw(axis, data, front)
    settle(figure)
    caption = (
        "Top-1 accuracy (vertical) against the median latency of one image on one thread, by "
        f"XNNPACK (horizontal, logarithmic), on {machines(forms)}, which is no "
        "phone. Area: size of the file. A grey line joins the forms of an arm, whose number stands "
        "at the slowest; the black line is the Pareto front: no other mark is both faster and more "
        "accurate. Bars: quartiles. The accuracy of arms on random weights says nothing of their "
        f"backbone. {left_out(len(drawn), len(measured))}"
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
    names = {arm: number for number, arm in enumerate(data["arm"].unique(), start=1)}
    for arm, part in data.groupby("arm", sort=False):
        own = part.sort_values("latency")
        axis.plot(own["latency"], own["accuracy"], color="0.8", lw=1, zorder=1)
        slowest = (own["latency"].iloc[-1], own["accuracy"].iloc[-1])
        axis.annotate(str(names[arm]), slowest, xytext=(10, 6), textcoords="offset points",
                      fontsize=9, color="0.3", zorder=5)  # fmt: skip
    colours = dict(zip(TITLES.values(), sns.color_palette("colorblind"), strict=False))
    for mark in data.sort_values("size", ascending=False).to_dict("records"):  # small ones above
        place, colour = (mark["latency"], mark["accuracy"]), colours[mark["form"]]
        axis.plot([mark["low"], mark["high"]], [place[1]] * 2, color=colour, lw=1, zorder=2)
        axis.scatter(*place, s=LARGEST * mark["size"] / data["size"].max(), color=colour,
                     alpha=0.6, zorder=3)  # fmt: skip
    best = data.iloc[list(front)]
    axis.step(best["latency"], best["accuracy"], where="post", color="black", lw=1.2, zorder=2)
    axis.scatter(best["latency"], best["accuracy"], s=14, color="black", zorder=4)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.margins(0.08, 0.1)
    axis.set_xlabel("latency of one image (ms)")
    axis.set_ylabel("top-1 accuracy (%)")
    keys = [Line2D([], [], marker="o", ls="", color=colours[title], alpha=0.6, label=title)
            for title in TITLES.values() if (data["form"] == title).any()]  # fmt: skip
    keys.append(Line2D([], [], marker=".", color="black", label="Pareto front"))
    keys += [Line2D([], [], ls="", label=f"{number}  {literal(arm, LONGEST_ARM)}")
             for arm, number in names.items()]  # fmt: skip
    axis.legend(handles=keys, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0))
