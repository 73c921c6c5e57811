"""The published tables as data, apart from anything measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from bench.data.categories import categories
from bench.files.yaml import parse_yaml
from bench.systems.packaged import packaged


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table.

    Args:
        name: As printed.
        printed: Metric -> figure as printed, digit for digit, in the table's unit.
        values: Metric -> figure, as a fraction in [0, 1].
        size: N, the size of its train and test sets; None where it has none.
        quoted_from: For a row that the paper itself quotes, whose it is.
    """

    name: str
    printed: dict[str, str]
    values: dict[str, float]
    size: int | None
    quoted_from: str | None

    @property
    def kind(self) -> str:
        """`measured by the author`, or `quoted` from others."""
        return "quoted" if self.quoted_from else "measured by the author"


@dataclass(frozen=True)
class PublishedTable:
    """A published table.

    Args:
        key: `table_1`, `table_2` or `context`.
        title: What it shows.
        source: Where it is printed.
        unit: `percent` or `fraction`, of the figures as printed.
        metrics: Its columns, as `bench.metrics.catalogue` names them.
        note: What its caption says.
        rows: Its rows, in order.
    """

    key: str
    title: str
    source: str
    unit: str
    metrics: tuple[str, ...]
    note: str
    rows: tuple[PublishedRow, ...]


@cache
def published() -> dict[str, PublishedTable]:
    """All published tables, by key."""
    file = resources.files("bench.paper") / "published.yaml"
    plain = parse_yaml(file.read_text(encoding="utf-8"), "bench/paper/published.yaml").value
    of_systems = packaged("published.yaml").values()
    return {
        key: _table(
            key, table, [*(rows.get(key, {}) for rows in of_systems), table.get("rows", {})]
        )
        for key, table in plain.items()
    }


def _table(key: str, plain: dict, rows_of: list[dict]) -> PublishedTable:
    """A table of its own rows, and before them those of the systems that are trained here."""
    scale = 100.0 if plain["unit"] == "percent" else 1.0
    rows = tuple(
        PublishedRow(
            name=name,
            printed={metric: row[metric] for metric in plain["metrics"]},
            values={metric: float(row[metric]) / scale for metric in plain["metrics"]},
            size=row.get("size"),
            quoted_from=row.get("quoted_from"),
        )
        for each in rows_of
        for name, row in each.items()
    )
    return PublishedTable(
        key=key,
        title=plain["title"],
        source=plain["source"],
        unit=plain["unit"],
        metrics=tuple(plain["metrics"]),
        note=plain["note"],
        rows=rows,
    )


def no_information(metrics: tuple[str, ...]) -> dict[str, float]:
    """What always answering DeepFashion's most frequent classes scores on all its images.

    Args:
        metrics: Names; only `accuracy`, `top_3` and `top_5` have an answer.
    """
    counts = sorted((category.images for category in categories()), reverse=True)
    depth = {"accuracy": 1, "top_3": 3, "top_5": 5}
    return {m: sum(counts[: depth[m]]) / sum(counts) for m in metrics if m in depth}
