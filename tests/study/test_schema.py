"""What an editor shows of each key of a study, and `bench explain` in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.errors import BenchError
from bench.study.reference import explain
from bench.study.schema import study_schema


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Each property that a schema and all schemas within it offer: a condition offers none."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for keyword, inner in schema.items():
            if keyword != "if":
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


def test_a_setting_is_explained_with_its_values_its_default_and_its_systems() -> None:
    (gate,) = explain("model.gate")
    assert gate.meaning.startswith("What the local branch sees: the feature map times a learned")
    assert gate.values == ("one of sigmoid, none, residual, spatial, detached, random",)
    assert gate.default == "sigmoid" and gate.systems == ("ropanet",)
    (local,) = explain("model.local")  # each of two systems has another default
    assert local.default is None and local.systems == ("fashionnet", "ropanet")
    sizes = {setting.path: setting.values for setting in explain("data")}
    assert sizes["data.validation_size"] == ("a whole number, at least 0 or all",)
    assert {setting.path for setting in explain("")} > {*sizes, "train.epochs", "pose.absent"}


@pytest.mark.parametrize(("path", "meant"), [("model.gat", "model.gate"), ("gate", "model.gate")])
def test_a_setting_that_is_not_there_is_one_clear_error(path: str, meant: str) -> None:
    with pytest.raises(BenchError, match=f"no setting `{path}`\n.*did you mean `{meant}`"):
        explain(path)
