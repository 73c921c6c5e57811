"""JSON Schema of a study, so that an editor completes and checks its YAML.

Follows from the settings' own types and from the registries: nothing is listed here.
"""

from __future__ import annotations

from typing import Any

from bench.study.study import Study
from bench.study.system_schema import by_system
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
    properties = schema["properties"]
    overlay = definitions["ProfileOverlay"]["properties"]
    described = {
        "base": "A preset, or more.",
        "axes": properties["axes"]["description"],
        "profile's base": overlay["base"]["description"],
        "profile's axes": overlay["axes"]["description"],
    }
    settings, conditional = by_system(list(leaves), texts, described)
    definitions |= settings
    # What each may hold depends on the system; here is what it means.
    properties["base"] = {"type": ["string", "object"], "description": described["base"]}
    properties["axes"] = {"type": "object", "description": described["axes"]}
    overlay["base"] = {"type": "object", "description": described["profile's base"]}
    overlay["axes"] = {"type": "object", "description": described["profile's axes"]}
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
        **conditional,
        "$defs": definitions,
    }


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
