"""What interactive figures share: rows with intervals in panels, and the data inside a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

LABEL_WIDTH = 230
"""Pixels of a name before it is cut; the tooltip has all of it."""

ROW = 26
"""Pixels of a row of arms."""

HINT = "Point at a mark for its values."

ROWS = alt.NamedData("rows")
"""Stands for the data until they are put in, in a form that Altair has no class for."""


def interval_panels(
    shown: pd.DataFrame,
    *,
    row: str,
    panel: str,
    colour: alt.Color,
    asked: Sequence[str],
    width: int,
    under: Sequence[alt.Chart],
    step: int = ROW,
    means: alt.Chart | None = None,
    over: Sequence[alt.Chart] = (),
) -> dict[str, Any]:
    """Means on their intervals, a row each, in panels side by side.

    Args:
        shown: `mean`, `low`, `high`, and the columns that are named below.
        row: Column of the rows.
        panel: Column of the panels.
        colour: Of mark and interval.
        asked: Columns that pointing at a mark tells.
        width: Of a panel, in pixels.
        under: Layers below.
        step: Height of a row, in pixels.
        means: What draws the mean; a diamond where it is left out.
        over: Layers above, in the same rows and colours.
    """
    rows = rows_of(shown, row)
    bars = alt.Chart().mark_rule(strokeWidth=2, aria=False)
    if means is None:
        means = alt.Chart().mark_point(
            shape="diamond", filled=True, opacity=1, size=90, stroke="white"
        )
    titles = {"mean": "difference" if "value" not in shown else "mean", "panel": "metric"}
    tooltip = [
        alt.Tooltip(
            f"{name}:{'Q' if is_numeric_dtype(shown[name]) else 'N'}",
            title=titles.get(name, name),
            format=".3~f" if shown[name].dtype.kind == "f" else alt.Undefined,
        )
        for name in asked
    ]
    # Averages of equal values: one mark a row and panel, also where the frame has a row a seed.
    layers = [
        *under,
        bars.encode(x=apart("average(low)"), x2="average(high):Q", y=rows, color=colour),
        means.encode(x=apart("average(mean)"), y=rows, color=colour, tooltip=tooltip),
        *(layer.encode(y=rows, color=colour) for layer in over),
    ]
    height = step * len(dict.fromkeys(shown[row]))
    header = alt.Header(title=None, labelOrient="bottom", labelPadding=6, labelFontSize=12)
    columns = alt.Column(f"{panel}:N", sort=list(dict.fromkeys(shown[panel])), header=header)
    chart = alt.layer(*layers).properties(width=width, height=height)
    facets = chart.facet(column=columns, data=ROWS).resolve_scale(x="independent")
    return specification(facets, inlined(shown))


def in_unit(data: pd.DataFrame, scale: float) -> pd.DataFrame:
    """A mean and its interval in the unit shown, and the interval in words."""
    found = data.assign(**{name: data[name] * scale for name in ("mean", "low", "high")})
    words = [
        f"{low:.3g} to {high:.3g}" if np.isfinite([low, high]).all() else "none"
        for low, high in zip(found["low"], found["high"], strict=True)
    ]
    return found.assign(interval=words)


def rows_of(data: pd.DataFrame, name: str) -> alt.Y:
    """A row a value of a column, from the top in the order of the frame."""
    axis = alt.Axis(title=None, labelLimit=LABEL_WIDTH, labelOverlap=False, grid=True)
    return alt.Y(f"{name}:N", sort=list(dict.fromkeys(data[name])), axis=axis)


def apart(field: str) -> alt.X:
    """A horizontal place on an axis that need not begin at zero."""
    return alt.X(f"{field}:Q", title=None, scale=tight(), axis=alt.Axis(tickCount=5))


def tight() -> alt.Scale:
    """A scale that need not begin at zero."""
    return alt.Scale(zero=False)


def zero_line() -> alt.Chart:
    """Where there is no difference, once a panel."""
    once = alt.Chart().transform_aggregate(rows="count()")
    return once.mark_rule(color="#444", aria=False).encode(x=alt.datum(0))


def inlined(data: pd.DataFrame, by: Sequence[str] = ()) -> dict[str, Any]:
    """A frame inside a specification, by columns: a third as long as with every name in every row.

    Args:
        data: The frame.
        by: Columns that stay the same through many rows and are named once for all of them.

    Returns:
        `data`, and the `transform` that makes rows of it again.
    """
    columns = [name for name in data.columns if name not in by]
    groups = data.groupby(list(by), sort=False) if by else [((), data)]
    values = [
        dict(zip(by, map(json_value, key), strict=True))
        | {name: [*map(json_value, rows[name].tolist())] for name in columns}
        for key, rows in groups
    ]
    # Nothing is parsed: columns would be, before they are rows.
    source = {"values": values, "format": {"type": "json", "parse": None}}
    return {"data": source, "transform": [{"flatten": columns}]}


def json_value(value: Any) -> Any:
    """As JSON has it: five digits of a number, null where there is none."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value


def specification(
    chart: alt.FacetChart | alt.HConcatChart, inline: dict[str, Any], hint: str = HINT
) -> dict[str, Any]:
    """A chart and its data as plain values, with the page's lettering and how to ask."""
    font = "system-ui, sans-serif"
    shown = chart.configure(font=font, background="white").configure_view(stroke="#d5dbe3")
    return {**shown.to_dict(), **inline, "usermeta": {"hint": hint}}
