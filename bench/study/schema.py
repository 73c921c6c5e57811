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
    texts: dict[str, str] = {}
    leaves = _leaves(trial, definitions, "", texts)
    del leaves["seed"]  # the study's `seeds` set it
    definitions |= {
        f"Value.{path}": {"anyOf": values, "description": texts[path]}
        for path, values in leaves.items()
    }
    groups = _groups(leaves)
    definitions |= {f"Settings.{group}": _settings(group, leaves, texts) for group in groups}
    overrides = _settings("", leaves, texts)
    names = list(presets())
    preset = {"enum": names, "description": "The preset that the other settings lie above."}
    level = {**overrides, "properties": {"base": preset, **overrides["properties"]}}
    named = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"anyOf": [{"$ref": "#/$defs/Level"}, {"type": "null"}]},
    }
    levels = {"anyOf": [named, _conditional(named)]}
    axes = {
        "type": "object",
        "properties": {
            path: {
                "anyOf": [_levels(path), _conditional(_levels(path))],
                "description": texts[path],
            }
            for path in leaves
        },
        "additionalProperties": levels,
    }
    base = {
        **overrides,
        "properties": {"preset": preset, **overrides["properties"]},
        "required": ["preset"],
    }
    definitions |= {"Overrides": overrides, "Level": level, "Axes": axes}
    properties = schema["properties"]
    properties["base"] = {"anyOf": [{"enum": names}, base], "description": "A preset, or more."}
    overlay = definitions["ProfileOverlay"]["properties"]
    for fields, name, form in (
        (properties, "axes", "Axes"),
        (overlay, "base", "Overrides"),
        (overlay, "axes", "Axes"),
    ):
        text = fields[name]["description"]
        fields[name] = {"$ref": f"#/$defs/{form}", "description": text}
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
        "properties": {
            "when": {
                "type": ["object", "string"],
                "description": "The axis exists where this condition on axes before it holds.",
            },
            "levels": {**levels, "description": "Its levels where it exists."},
        },
        "required": ["when", "levels"],
        "additionalProperties": False,
    }


def _groups(leaves: Iterable[str]) -> list[str]:
    """Dotted paths of the settings that hold others, such as `model` and `model.backbone`."""
    parts = [path.split(".") for path in leaves]
    return sorted({".".join(keys[:end]) for keys in parts for end in range(1, len(keys))})


def _settings(group: str, leaves: Iterable[str], texts: dict[str, str]) -> dict[str, Any]:
    """A mapping of settings below a group, each by its path from there, dotted or nested."""
    inside = f"{group}." if group else ""
    properties: dict[str, Any] = {
        path.removeprefix(inside): {"$ref": f"#/$defs/Value.{path}"}
        for path in leaves
        if path.startswith(inside)
    }
    for other in _groups(leaves):
        if other.startswith(inside) and other != group:
            name = other.removeprefix(inside)
            nested = {"$ref": f"#/$defs/Settings.{other}"}
            properties[name] = {"anyOf": [nested, {"type": "null"}], "description": texts[other]}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _leaves(
    schema: dict[str, Any], definitions: dict[str, Any], before: str, texts: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Dotted path -> the value schemas that some kind of trial admits there.

    What each says of itself is added to `texts`, by path, also of settings that hold others.
    """
    leaves: dict[str, list[dict[str, Any]]] = {}
    for name, field in schema.get("properties", {}).items():
        known_text, text = texts.get(f"{before}{name}", ""), field.get("description", "")
        if text not in known_text:
            texts[f"{before}{name}"] = f"{known_text} {text}".strip()
        objects = [s for s in _resolved(field, definitions) if s.get("type") == "object"]
        if len(objects) < len(_resolved(field, definitions)):
            leaves.setdefault(f"{before}{name}", []).append(field)
        for inner in objects:
            for path, values in _leaves(inner, definitions, f"{before}{name}.", texts).items():
                known = leaves.setdefault(path, [])
                known += [value for value in values if value not in known]
    return leaves


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    options = field.get("anyOf") or field.get("oneOf") or [field]
    return [
        definitions[option["$ref"].rsplit("/", 1)[-1]] if "$ref" in option else option
        for option in options
    ]
