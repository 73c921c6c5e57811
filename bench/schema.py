"""JSON Schema of a study, so that an editor completes and checks its YAML.

Follows from the settings' own types and from the registries: nothing is listed here.
"""

from __future__ import annotations

from typing import Any

from bench.spec import TrialSpec
from bench.study import Study, presets

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """The schema of a study's YAML."""
    trial = TrialSpec.model_json_schema(ref_template="#/$defs/{model}")
    schema = Study.model_json_schema(ref_template="#/$defs/{model}")
    definitions = trial["$defs"] | schema["$defs"]
    leaves = _leaves(trial, definitions, "")
    del leaves["seed"]  # the study's `seeds` set it
    overrides: dict[str, Any] = {
        "type": "object",
        "properties": {
            **{path: {"anyOf": values} for path, values in leaves.items()},
            **{name: {"type": ["object", "null"]} for name in ("data", "model", "train")},
        },
        "additionalProperties": False,
    }
    names = list(presets())
    level = {**overrides, "properties": {"base": {"enum": names}, **overrides["properties"]}}
    bundle = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"$ref": "#/$defs/Level"},
    }
    axes = {
        "type": "object",
        "properties": {
            path: {"type": "array", "minItems": 1, "items": {"anyOf": values}}
            for path, values in leaves.items()
        },
        "additionalProperties": bundle,
    }
    base = {
        **overrides,
        "properties": {"preset": {"enum": names}, **overrides["properties"]},
        "required": ["preset"],
    }
    definitions |= {"Overrides": overrides, "Level": level, "Axes": axes}
    properties = schema["properties"]
    properties["base"] = {"anyOf": [{"enum": names}, base], "description": "A preset, or more."}
    properties["axes"] = {"$ref": "#/$defs/Axes"}
    overlay = definitions["Overlay"]["properties"]
    overlay["base"] = {"$ref": "#/$defs/Overrides"}
    overlay["axes"] = {"$ref": "#/$defs/Axes"}
    return {
        "$schema": DIALECT,
        "title": "Study",
        "description": schema["description"],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _leaves(
    schema: dict[str, Any], definitions: dict[str, Any], before: str
) -> dict[str, list[dict[str, Any]]]:
    """Dotted path -> the value schemas that some kind of trial admits there."""
    leaves: dict[str, list[dict[str, Any]]] = {}
    for name, field in schema.get("properties", {}).items():
        objects = [s for s in _resolved(field, definitions) if s.get("type") == "object"]
        if not objects:
            leaves.setdefault(f"{before}{name}", []).append(field)
        for inner in objects:
            for path, values in _leaves(inner, definitions, f"{before}{name}.").items():
                known = leaves.setdefault(path, [])
                known += [value for value in values if value not in known]
    return leaves


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    options = field.get("anyOf") or field.get("oneOf") or [field]
    return [
        definitions[option["$ref"].rsplit("/", 1)[-1]] if "$ref" in option else option
        for option in options
    ]
