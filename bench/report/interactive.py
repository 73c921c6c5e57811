"""Figures that can be asked: Vega-Lite charts drawn from the frame of the static figure.

Each function here takes a figure's `data` and gives a chart as a Vega-Lite specification in plain
values. Marks show their values on hover; of curves, a click on an arm in the legend hides it, and
axes can be moved and zoomed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from bench.analysis.arms import ALPHA
from bench.analysis.verdicts import CANNOT_TELL
from bench.metrics.catalogue import Metric, lower_is_better
from bench.report.vegalite import (
    HINT,
    LABEL_WIDTH,
    ROWS,
    apart,
    in_unit,
    inlined,
    interval_panels,
    rows_of,
    specification,
    tight,
    zero_line,
)
from bench.report.verdicts import ON_WHITE, SIGNS, kind_of

MOST_POINTS = 10_000
"""Rows of a history that a page has room for; of a longer one, it has the means over seeds."""

HINT_FOR_CURVES = (
    "Click on an arm in the legend to hide it, or to show it again. Drag to move, hold Ctrl and "
    "turn the wheel to zoom, double-click to go back."
)

COLOUR = alt.Scale(domain=list(ON_WHITE), range=list(ON_WHITE.values()))


def forest_chart(data: pd.DataFrame, margins: Mapping[Metric, float | None]) -> dict[str, Any]:
    """Differences with their intervals: a row an arm, a panel a metric, over the margin's band.

    Args:
        data: `arm`, `metric`, `mean`, `low`, `high`, `seeds` and `verdict`, in the order of rows.
        margins: Metric -> largest difference that does not matter; a panel each, in order.
    """
    parts = []
    for metric, margin in margins.items():
        part = in_unit(data[data["metric"] == metric.name], metric.scale)
        ways = ("better", "worse") if lower_is_better(metric.name) else ("worse", "better")
        unit = " (points)" if metric.percent else ""
        ends = (margin or 0.0) * metric.scale  # without a margin, a band without a width
        parts.append(
            part.assign(
                panel=f"{ways[0]} ← {metric.in_words}{unit} → {ways[1]}",
                below=-ends,
                above=ends,
                metric=metric.in_words,
            )
        )
    shown = pd.concat(parts, ignore_index=True)
    kinds = shown["verdict"].map(kind_of)
    words = kinds.map(SIGNS)
    if len(margins) == 1:
        words = words + " " + shown["verdict"].where(kinds != "open", CANNOT_TELL)
    shown = shown.assign(kind=kinds, words=words)
    band = alt.Chart().mark_rect(color="grey", opacity=0.15, aria=False)
    told = alt.Chart().mark_text(align="left", dx=8, fontWeight="bold", aria=False)
    return interval_panels(
        shown,
        row="arm",
        panel="panel",
        colour=alt.Color("kind:N", scale=COLOUR, legend=None),
        asked=("arm", "metric", "mean", "interval", "verdict", "seeds"),
        width=260,
        under=[band.encode(x="average(below):Q", x2="average(above):Q"), zero_line()],
        over=[told.encode(x=alt.value("width"), text="words:N")],
    )


def gains_chart(data: pd.DataFrame, colours: Mapping[str, str], most: int) -> dict[str, Any]:
    """Recall of each class, arm minus control: a row a class, a panel an arm.

    Args:
        data: As `class_gains` has it.
        colours: Arm -> colour.
        most: Classes to show, the most frequent first.
    """
    classes = list(dict.fromkeys(data["class"]))[:most]
    shown = data[data["class"].isin(classes)].rename(columns={"difference": "mean"})
    arms = list(dict.fromkeys(shown["arm"]))
    scale = alt.Scale(domain=arms, range=[colours[arm] for arm in arms])
    return interval_panels(
        in_unit(shown, 1.0),
        row="class",
        panel="arm",
        colour=alt.Color("arm:N", scale=scale, legend=None),
        asked=("arm", "class", "kind of class", "mean", "interval", "p (Holm)", "training images",
               "test images"),
        width=130,
        step=18,
        under=[zero_line()],
        means=alt.Chart()
        .mark_point(shape="circle", opacity=1, size=40)
        .encode(
            fill=alt.condition(
                alt.datum["p (Holm)"] < ALPHA,
                alt.Fill("arm:N", scale=scale, legend=None),
                alt.value("white"),
            )
        ),
    )  # fmt: skip


def arms_chart(
    data: pd.DataFrame, metrics: Sequence[Metric], colours: Mapping[str, str]
) -> dict[str, Any]:
    """Each arm's seeds, their mean and its interval: a row an arm, a panel a metric.

    Args:
        data: `arm`, `metric`, `mean`, `low`, `high`, `seed` and `value`, a row a seed.
        metrics: A panel each, in order.
        colours: Arm -> colour.
    """
    shown = pd.concat(
        [
            in_unit(part, metric.scale).assign(
                value=part["value"] * metric.scale, panel=f"{metric.in_words} (%)"
            )
            for metric in metrics
            for part in [data[data["metric"] == metric.name]]
        ],
        ignore_index=True,
    )
    arms = list(dict.fromkeys(shown["arm"]))
    scale = alt.Scale(domain=arms, range=[colours[arm] for arm in arms])
    colour = alt.Color("arm:N", scale=scale, legend=None)
    seeds = alt.Chart().mark_circle(opacity=0.4, size=30, aria=False)
    return interval_panels(
        shown,
        row="arm",
        panel="panel",
        colour=colour,
        asked=("arm", "panel", "mean", "interval"),
        width=240,
        under=[
            seeds.encode(
                x=apart("value"),
                y=rows_of(shown, "arm"),
                color=colour,
                tooltip=["arm:N", "seed:N", alt.Tooltip("value:Q", format=".2f")],
            )
        ],
    )


def curves_chart(data: pd.DataFrame, label: str, colours: Mapping[str, str]) -> dict[str, Any]:
    """A measure by epoch: a line an arm over thin lines of its seeds, a panel a set of images.

    Args:
        data: `arm`, `seed`, `epoch`, `split` and `value`.
        label: Of the vertical axis.
        colours: Arm -> colour, of those that are told apart; of any other, the mean is grey.
    """
    shown = data[["arm", "seed", "epoch", "split", "value"]]
    if len(shown) > MOST_POINTS:
        means = shown.groupby(["arm", "epoch", "split"], sort=False, as_index=False)["value"]
        shown = means.mean().assign(seed="mean")
    told = list(colours)
    rest = [arm for arm in dict.fromkeys(shown["arm"]) if arm not in colours]
    kept = alt.selection_point(
        name="arms",
        fields=["arm"],
        bind="legend",
        toggle="true",
        clear=False,
        empty=False,
        value=[{"arm": arm} for arm in [*told, *rest]],
    )
    color = alt.Color(
        "arm:N",
        scale=alt.Scale(domain=[*told, *rest], range=[*colours.values(), *["#bfbfbf"] * len(rest)]),
        legend=alt.Legend(
            title="click to hide",
            values=told,
            labelLimit=LABEL_WIDTH,
            symbolType="stroke",
            symbolStrokeWidth=3,
            symbolOpacity=1,
        ),
    )
    # Both panels have one height by its ends: a scale that they shared could not be zoomed.
    ends = [float(shown["value"].min()), float(shown["value"].max())]
    height = alt.Scale(domain=ends, zero=False, nice=True)
    views = []
    for split, title in (("train", "training images"), ("val", "validation images")):
        base = (
            alt.Chart()
            .transform_filter(alt.FieldEqualPredicate(field="split", equal=split))
            .transform_filter(kept)
            .encode(
                x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, grid=False), scale=tight()),
                color=color,
            )
        )
        seeds = (
            base.transform_filter(alt.FieldOneOfPredicate(field="arm", oneOf=told))
            .mark_line(strokeWidth=0.6, strokeOpacity=0.45, clip=True, aria=False)
            .encode(y=alt.Y("value:Q", title=label, scale=height), detail="seed:N")
        )
        mean = base.mark_line(strokeWidth=2, clip=True, aria=False).encode(y="mean(value):Q")
        asked = base.mark_point(
            size=90, fillOpacity=0, strokeOpacity=0, clip=True, aria=False
        ).encode(
            y="mean(value):Q",
            tooltip=[
                "arm:N",
                "epoch:Q",
                alt.Tooltip("mean(value):Q", title="mean", format=".4g"),
                alt.Tooltip("min(value):Q", title="lowest seed", format=".4g"),
                alt.Tooltip("max(value):Q", title="highest seed", format=".4g"),
            ],
        )
        zoom = alt.selection_interval(
            name=f"zoom_{split}", bind="scales", zoom="wheel![event.ctrlKey || event.metaKey]"
        )
        # What is averaged has no scale to be bound to: the seeds' lines have.
        seeds.name = split
        seeds = seeds.add_params(zoom, *([kept] if split == "train" else []))
        views.append(alt.layer(seeds, mean, asked).properties(width=360, height=280, title=title))
    chart = alt.hconcat(*views, data=ROWS)
    return specification(
        chart, inlined(shown, ["arm", "seed", "split"]), f"{HINT} {HINT_FOR_CURVES}"
    )


def matrix_chart(data: pd.DataFrame, scheme: Sequence[str]) -> dict[str, Any]:
    """A confusion matrix twice: numbers of answers, and shares of each true class.

    Args:
        data: As `confusion` has it; cells without an answer stay white.
        scheme: Colours, from few to many.
    """
    names = list(dict.fromkeys(data["true class"]))
    shown = data[data["answers"] > 0]
    share = 100 * shown["share of true class"]
    images = (shown["answers"] / shown["share of true class"]).groupby(shown["true class"]).max()
    labels = {name: f"{name} ({images.get(name, 0):,.0f})" for name in names}
    shown = shown.assign(share=share, row=shown["true class"].map(labels))
    step = float(np.clip(480 / len(names), 10, 30))
    size = {"width": step * len(names), "height": step * len(names)}
    font = float(np.clip(step - 1, 8, 12))
    axis = alt.Axis(labelFontSize=font, labelLimit=110, labelOverlap=False)
    rows = alt.Y("row:N", sort=None, scale=alt.Scale(domain=list(labels.values())),
                 title="true class", axis=axis)  # fmt: skip
    columns = alt.X("answered class:N", scale=alt.Scale(domain=names), axis=axis)
    counts = alt.Scale(
        type="log", range=list(scheme), domain=[1, max(int(data["answers"].max()), 2)]
    )
    shares = alt.Scale(range=list(scheme), domain=[0, 100])
    base = alt.Chart().mark_rect(aria=False).encode(
        x=columns,
        y=rows,
        tooltip=[
            "true class:N",
            "answered class:N",
            alt.Tooltip("answers:Q", format=","),
            alt.Tooltip("share:Q", title="share of true class (%)", format=".1f"),
        ],
    )  # fmt: skip
    panels = [
        base.encode(color=alt.Color(f"{field}:Q", scale=scale, legend=alt.Legend(title=None)))
        .properties(title=title, **size)
        for field, scale, title in (
            ("answers", counts, "number of answers"),
            ("share", shares, "share of the true class (%)"),
        )
    ]  # fmt: skip
    panels[1] = panels[1].encode(y=rows.axis(None))
    kept = shown[["true class", "answered class", "answers", "share", "row"]]
    chart = alt.hconcat(*panels, data=ROWS).resolve_scale(color="independent")
    return specification(chart, inlined(kept, ["true class", "row"]))
