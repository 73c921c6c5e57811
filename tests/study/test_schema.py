"""What an editor shows of each key of a study, and `bench explain` in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.study.schema import study_schema


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Each property of a schema and of all schemas within it."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for inner in schema.values():
            yield from properties(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from properties(inner)


def test_every_key_of_a_study_has_a_description() -> None:
    schema = study_schema()
    definitions = schema["$defs"]

    def described(field: dict[str, Any]) -> bool:
        target = definitions.get(field.get("$ref", "").rpartition("/")[2], {})
        return bool(field.get("description") or target.get("description"))

    found = [(name, field) for name, field in properties(schema) if isinstance(field, dict)]
    assert len(found) > 700
    assert [name for name, field in found if not described(field)] == []
    assert "the map times 1 + mask (`residual`)" in definitions["Value.model.gate"]["description"]
    assert "`folder`: A folder of classes" in definitions["Value.data.source.kind"]["description"]
