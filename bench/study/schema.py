"""JSON Schema of a study, so that an editor completes and checks its YAML.

Follows from the settings' own types and from the registries: nothing is listed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.study.presets import presets
from bench.study.study import Study
from bench.study.trial import TrialSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """The schema of a study's YAML."""
    trial = TrialSpec.model_json_schema(ref_template="#/$defs/{model}")
    schema = Study.model_json_schema(ref_template="#/$defs/{model}")
    definitions = trial["$defs"] | schema["$defs"]
    leaves = _leaves(trial, definitions, "")
    del leaves["seed"]  # the study's `seeds` set it
    definitions |= {f"Value.{path}": {"anyOf": values} for path, values in leaves.items()}
    groups = _groups(leaves)
    definitions |= {f"Settings.{group}": _settings(group, leaves, groups) for group in groups}
    overrides = _settings("", leaves, groups)
    names = list(presets())
    level = {**overrides, "properties": {"base": {"enum": names}, **overrides["properties"]}}
    named = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"anyOf": [{"$ref": "#/$defs/Level"}, {"type": "null"}]},
    }
    levels = {"anyOf": [named, _conditional(named)]}
    axes = {
        "type": "object",
        "properties": {
            path: {"anyOf": [_levels(path), _conditional(_levels(path))]} for path in leaves
        },
        "additionalProperties": levels,
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
    overlay = definitions["ProfileOverlay"]["properties"]
    overlay["base"] = {"$ref": "#/$defs/Overrides"}
    overlay["axes"] = {"$ref": "#/$defs/Axes"}
    definitions["Setting"] = {"enum": list(leaves)}
    for tuned in ("Tuning", "TuningOverlay"):
        space = definitions[tuned]["properties"]["space"]
        for option in space.get("anyOf", [space]):
            if option["type"] == "object":
                option["propertyNames"] = {"$ref": "#/$defs/Setting"}
    return {
        "$schema": DIALECT,
        "title": "Study",
        "description": schema["description"],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _levels(path: str) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": {"$ref": f"#/$defs/Value.{path}"}}


def _conditional(levels: dict[str, Any]) -> dict[str, Any]:
    """An axis that exists only where a condition holds."""
    return {
        "type": "object",
        "properties": {"when": {"type": ["object", "string"]}, "levels": levels},
        "required": ["when", "levels"],
        "additionalProperties": False,
    }


def _groups(leaves: Iterable[str]) -> list[str]:
    """Dotted paths of the settings that hold others, such as `model` and `model.backbone`."""
    parts = [path.split(".") for path in leaves]
    return sorted({".".join(keys[:end]) for keys in parts for end in range(1, len(keys))})


def _settings(group: str, leaves: Iterable[str], groups: list[str]) -> dict[str, Any]:
    """A mapping of settings below a group, each by its path from there, dotted or nested."""
    inside = f"{group}." if group else ""
    properties: dict[str, Any] = {
        path.removeprefix(inside): {"$ref": f"#/$defs/Value.{path}"}
        for path in leaves
        if path.startswith(inside)
    }
    for other in groups:
        if other.startswith(inside) and other != group:
            name = other.removeprefix(inside)
            nested = {"$ref": f"#/$defs/Settings.{other}"}
            properties[name] = {"anyOf": [nested, {"type": "null"}]}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _leaves(
    schema: dict[str, Any], definitions: dict[str, Any], before: str
) -> dict[str, list[dict[str, Any]]]:
    """Dotted path -> the value schemas that some kind of trial admits there."""
    leaves: dict[str, list[dict[str, Any]]] = {}
    for name, field in schema.get("properties", {}).items():
        objects = [s for s in _resolved(field, definitions) if s.get("type") == "object"]
        if len(objects) < len(_resolved(field, definitions)):
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
