"""The published tables as data, apart from anything measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from bench.paper.categories import categories
from bench.yaml_source import parse_yaml


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table.

    Args:
        name: As printed.
        values: Metric -> figure, as a fraction in [0, 1].
        size: N, the size of its train and test sets; None where it has none.
        quoted_from: For a row that the paper itself quotes, whose it is.
    """

    name: str
    values: dict[str, float]
    size: int | None
    quoted_from: str | None


@dataclass(frozen=True)
class PublishedTable:
    """A published table.

    Args:
        key: `table_1`, `table_2` or `context`.
        title: What it shows.
        source: Where it is printed.
        metrics: Its columns, as `bench.train.metrics` names them.
        note: What its caption says.
        rows: Its rows, in order.
    """

    key: str
    title: str
    source: str
    metrics: tuple[str, ...]
    note: str
    rows: tuple[PublishedRow, ...]


@cache
def published() -> dict[str, PublishedTable]:
    """All published tables, by key."""
    file = resources.files("bench") / "paper" / "published.yaml"
    plain = parse_yaml(file.read_text(encoding="utf-8"), "bench/paper/published.yaml").value
    return {key: _table(key, table) for key, table in plain.items()}


def _table(key: str, plain: dict) -> PublishedTable:
    scale = 100.0 if plain["unit"] == "percent" else 1.0
    rows = tuple(
        PublishedRow(
            name=name,
            values={metric: row[metric] / scale for metric in plain["metrics"]},
            size=row.get("size"),
            quoted_from=row.get("quoted_from"),
        )
        for name, row in plain["rows"].items()
    )
    return PublishedTable(
        key, plain["title"], plain["source"], tuple(plain["metrics"]), plain["note"], rows
    )


def no_information(metrics: tuple[str, ...]) -> dict[str, float]:
    """What always answering DeepFashion's most frequent classes scores on all its images.

    Args:
        metrics: Names; only `accuracy`, `top_3` and `top_5` have an answer.
    """
    counts = sorted((category.images for category in categories()), reverse=True)
    depth = {"accuracy": 1, "top_3": 3, "top_5": 5}
    return {m: sum(counts[: depth[m]]) / sum(counts) for m in metrics if m in depth}
