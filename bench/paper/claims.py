"""What a paper claims, as data: its tables digit for digit, and what its text says of them.

The shipped claims are this paper's; any other paper's are a YAML file of the same form. All of it
is data: nothing in it is ever evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictStr, ValidationError, model_validator

from bench.data.categories import categories
from bench.errors import BenchError
from bench.files.yaml import Located, did_you_mean, load_yaml, parse_yaml
from bench.paper.published import published
from bench.paper.rounding import Figure, Printed, Unit, fault
from bench.paper.statements import Statement
from bench.systems.settings import Settings

SHIPPED = "bench/paper/claims.yaml"

KINDS = r"top-[1-9][0-9]{0,3}|hits|pooled-precision|pooled-recall|other"


def _kind(value: str) -> str:
    if not re.fullmatch(KINDS, value):
        raise fault(
            f"top-1, top-3 and so on, hits, pooled-precision, pooled-recall or other; found "
            f"{value!r:.40}"
        )
    return value


Kind = Annotated[StrictStr, AfterValidator(_kind)]
Images = Annotated[int, Field(ge=1, le=10**9)]


@dataclass(frozen=True)
class Row:
    """A row of a table, wherever its figures came from.

    Args:
        name: As printed.
        figures: Metric -> figure.
        test_size: Images it was tested on, where stated.
        train_size: Images it was trained on, where stated.
        quoted_from: Whose it is, for a row that the paper quotes.
    """

    name: str
    figures: dict[str, Figure]
    test_size: int | None
    train_size: int | None
    quoted_from: str | None


class InlineRow(Settings):
    """A row written out in the claims; see `Row`."""

    figures: dict[str, Printed]
    test_size: Images | None = None
    train_size: Images | None = None
    quoted_from: StrictStr | None = None


class TableClaim(Settings):
    """A table: one of `published.yaml` by its key, or written out.

    Args:
        published: Key of a published table; its N is both the training and the test size.
        test_sizes: Row -> test size, for rows of a published table that have none there.
        source: Where it is printed; the published table's own where left out.
        unit: `percent` or `fraction`, of a table that is written out.
        rows: Rows of a table that is written out.
        kinds: Metric -> `top-k` (the true class is among the k most probable), `hits` (another
            share of the test images), `pooled-precision` and `pooled-recall` (every class of every
            image above the threshold is an answer), or `other`, which is not checked.
        threshold: Probability above which a class counts as an answer. At 0.5 or more an image
            has one answer at most, and that is its most probable class.
    """

    published: StrictStr | None = None
    test_sizes: dict[str, Images] = {}
    source: StrictStr = ""
    unit: Unit | None = None
    rows: dict[str, InlineRow] = {}
    kinds: dict[str, Kind]
    threshold: float = Field(default=0.5, ge=0.5, lt=1)

    @model_validator(mode="after")
    def _whole(self) -> TableClaim:
        if self.published is None:
            if not self.rows or self.unit is None or not self.source:
                raise fault("needs `published`, or all of `source`, `unit` and `rows`")
            if self.test_sizes:
                raise fault("is for a published table; a row has its `test_size`", "test_sizes")
            for name, row in self.rows.items():
                for metric in sorted(row.figures.keys() - self.kinds.keys()):
                    raise fault(f"`kinds` has no `{metric}`", "rows", name, "figures", metric)
            return self
        if self.rows or self.unit:
            raise fault("either `published`, or `unit` and `rows`; not both", "published")
        if self.published not in published():
            keys = ", ".join(published())
            raise fault(f"no published table `{self.published}`; there are {keys}", "published")
        table = published()[self.published]
        for metric in sorted(self.kinds.keys() ^ set(table.metrics)):
            raise fault(f"`kinds` and {table.source} differ in `{metric}`", "kinds")
        for name in sorted(self.test_sizes.keys() - {row.name for row in table.rows}):
            raise fault(f"{table.source} has no row `{name}`", "test_sizes", name)
        return self

    @cached_property
    def place(self) -> str:
        """Where the table is printed."""
        return self.source or published()[str(self.published)].source

    @cached_property
    def all_rows(self) -> tuple[Row, ...]:
        """Its rows, in order."""
        if self.published is None:
            unit: Unit = self.unit or "fraction"
            return tuple(
                Row(
                    name,
                    {metric: Figure(text, unit) for metric, text in row.figures.items()},
                    row.test_size,
                    row.train_size,
                    row.quoted_from,
                )
                for name, row in self.rows.items()
            )
        table = published()[self.published]
        unit = "percent" if table.unit == "percent" else "fraction"
        return tuple(
            Row(
                row.name,
                {metric: Figure(text, unit) for metric, text in row.printed.items()},
                self.test_sizes.get(row.name, row.size),
                row.size,
                row.quoted_from,
            )
            for row in table.rows
        )


def _counts(value: str | dict[str, int]) -> str | dict[str, int]:
    if isinstance(value, str) and value != "deepfashion":
        raise fault(f"`deepfashion`, or a mapping of classes to images; found `{value}`")
    if isinstance(value, dict) and not any(value.values()):
        raise fault("no class has an image")
    return value


class Claims(Settings):
    """A paper's claims.

    Args:
        paper: Its name.
        class_counts: How many images each class has, or `deepfashion` for the shipped counts;
            left out, nothing is held against the no-information bound.
        batch_size: Images of a batch, where the code that made the figures is suspected to have
            scored one batch alone.
        tables: Key -> table.
        statements: What the text says of them.
    """

    paper: StrictStr
    class_counts: Annotated[
        StrictStr | dict[str, Annotated[int, Field(ge=0)]] | None, AfterValidator(_counts)
    ] = None
    batch_size: int | None = Field(default=None, ge=1, le=100_000)
    tables: Annotated[dict[str, TableClaim], Field(min_length=1)]
    statements: list[Statement] = []

    @model_validator(mode="after")
    def _statements_point_at_something(self) -> Claims:
        for index, statement in enumerate(self.statements):
            for table in statement.repeats or []:
                if table not in self.tables:
                    raise fault(f"no table `{table}`", "statements", index, "repeats")
            units = {self._unit(operand, index, statement) for operand in statement.operands}
            if statement.relation == "difference" and len(units) > 1:
                raise fault("its two values have different units", "statements", index)
        return self

    def _unit(self, operand: list[str], index: int, statement: Statement) -> str | None:
        try:
            found = self.operand(operand)
        except KeyError as error:
            at = ("statements", index, statement.relation)
            raise fault(f"no {' / '.join(operand)} here: {error.args[0]}", *at) from None
        return found.unit if isinstance(found, Figure) else None

    def operand(self, reference: list[str]) -> Figure | int:
        """The value that a table, a row and a column name.

        Raises:
            KeyError: There is none, or the row does not state that size.
        """
        key, name, column = reference
        if key not in self.tables:
            raise KeyError(f"the tables are {', '.join(self.tables)}")
        rows = {row.name: row for row in self.tables[key].all_rows}
        if name not in rows:
            raise KeyError(f"the rows are {', '.join(rows)}")
        row = rows[name]
        sizes = {"test_size": row.test_size, "train_size": row.train_size}
        stated = {column: size for column, size in sizes.items() if size is not None}
        if column not in stated and column not in row.figures:
            raise KeyError(f"the columns are {', '.join([*row.figures, *stated])}")
        return stated[column] if column in stated else row.figures[column]

    @cached_property
    def shares(self) -> tuple[Fraction, ...]:
        """Shares of the classes that occur, the most frequent first; empty without counts."""
        counts: Iterable[int] = ()
        if isinstance(self.class_counts, dict):
            counts = self.class_counts.values()
        elif self.class_counts is not None:
            counts = [category.images for category in categories()]
        ordered = sorted((count for count in counts if count), reverse=True)
        return tuple(Fraction(count, sum(ordered)) for count in ordered)


def load_claims(path: Path | None = None) -> Claims:
    """Read a paper's claims.

    Args:
        path: Their YAML; None for this paper's, which are shipped.

    Raises:
        BenchError: With file, line and column.
    """
    if path is None:
        file = resources.files("bench") / "paper" / "claims.yaml"
        source = parse_yaml(file.read_text(encoding="utf-8"), SHIPPED)
    else:
        source = load_yaml(path)
    if not isinstance(source.value, dict):
        raise BenchError(
            f"claims are a mapping; found {type(source.value).__name__}",
            where=f"{source.file}:1:1",
            fix="its keys: " + ", ".join(Claims.model_fields),
        )
    try:
        return Claims.model_validate(source.value)
    except ValidationError as error:
        raise _claims_error(error, source) from None


def _claims_error(error: ValidationError, source: Located) -> BenchError:
    """The deepest fault as one message: of a choice of types, the one that was meant."""

    def path(one: Any) -> tuple[str | int, ...]:
        keys: tuple[str | int, ...] = ()
        for key in (*one["loc"], *one.get("ctx", {}).get("at", ())):
            # Pydantic puts the tried type into the path of a choice; the file has no such key.
            keys = (*keys, key) if (*keys, key) in source.positions else keys
        return keys

    first = max(error.errors(), key=lambda one: len(path(one)))
    shown, where = ".".join(map(str, path(first))), str(source.where(path(first)))
    fix = None
    if first["type"] == "extra_forbidden":
        models = (Claims, TableClaim, InlineRow, Statement)
        known = {name for model in models for name in model.model_fields}
        return BenchError(
            f"`{shown}` is not a key of claims",
            where=where,
            fix=did_you_mean(
                str(first["loc"][-1]), known, f"known keys: {', '.join(sorted(known))}"
            ),
        )
    if first["type"] == "string_type" and "figures" in path(first):
        fix = 'write a figure as printed and in quotes, such as "94.60", so that no digit is lost'
    what = f"`{shown}`: {first['msg']}" if shown else first["msg"]
    found = "" if first["type"] == "claims" else f"; found {first['input']!r:.80}"
    return BenchError(f"{what}{found}", where=where, fix=fix)
