"""Which settings a study's schema offers: those of the study's own system, where it has one.

A study of one system is offered that system's settings; one whose axes change the preset, every
system's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.study.presets import presets, system_of
from bench.study.study import Study
from bench.study.trial import system_settings


def systems_with(path: str) -> tuple[str, ...]:
    """The systems that have a setting: their own, and those of how they are supervised.

    Args:
        path: The setting's dotted path.

    Returns:
        Their kinds; empty where the setting is not a system's matter.
    """
    group, _, rest = path.partition(".")
    first = rest.partition(".")[0]
    return tuple(
        kind
        for kind, settings in system_settings().items()
        if (group == "model" and first in settings.model_fields) or group == settings.supervision
    )


def by_system(
    paths: Sequence[str], texts: dict[str, str], described: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of `base` and `axes`, for each system and for studies of several.

    Args:
        paths: Dotted paths of all settings.
        texts: Path, also of settings that hold others -> what it means.
        described: What the study's `base` and `axes` and the `profile's base` and `profile's axes`
            mean.

    Returns:
        Definitions, and the condition in the study's schema by which they apply.
    """
    definitions = _forms("", paths, texts, described)
    chosen = _applied("", described)
    owners = {path: systems_with(path) for path in paths}
    for kind in system_settings():
        names = [name for name in presets() if system_of(name) == kind]
        own = [path for path, systems in owners.items() if kind in systems or not systems]
        definitions |= _forms(f".{kind}", own, texts, described)
        chosen = {"if": _of_one(names), "then": _applied(f".{kind}", described), "else": chosen}
    return definitions, chosen


def _forms(
    system: str,
    paths: Sequence[str],
    texts: dict[str, str],
    described: dict[str, str],
) -> dict[str, Any]:
    """`Base`, `Axes` and `Overrides`, with what they refer to, over some settings.

    Args:
        system: Ends each definition's name.
        paths: Dotted paths of the settings.
        texts: Path -> what it means.
        described: As in `by_system`.
    """
    groups, names = _groups(paths), list(presets())
    forms = {
        f"Settings{system}.{group}": _settings(system, group, paths, texts) for group in groups
    }
    overrides = _settings(system, "", paths, texts)
    preset = {"enum": names, "description": "The preset that the other settings lie above."}
    level = {**overrides, "properties": {"base": preset, **overrides["properties"]}}
    base = {
        **overrides,
        "properties": {"preset": preset, **overrides["properties"]},
        "required": ["preset"],
    }
    named = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"anyOf": [{"$ref": f"#/$defs/Level{system}"}, {"type": "null"}]},
    }
    levels = {path: {"type": "array", "minItems": 1, "items": _value(path)} for path in paths}
    axes = {
        "type": "object",
        "properties": {
            path: {"anyOf": [values, _conditional(values)], "description": texts[path]}
            for path, values in levels.items()
        },
        "additionalProperties": {"anyOf": [named, _conditional(named)]},
    }
    return forms | {
        f"Overrides{system}": overrides,
        f"Level{system}": level,
        f"Axes{system}": axes,
        f"Base{system}": {"anyOf": [{"enum": names}, base], "description": described["base"]},
    }


def _applied(system: str, described: dict[str, str]) -> dict[str, Any]:
    """What a study's `base` and `axes` must be, those of its profiles too."""
    profile = {
        "base": {"$ref": f"#/$defs/Overrides{system}", "description": described["profile's base"]},
        "axes": {"$ref": f"#/$defs/Axes{system}", "description": described["profile's axes"]},
    }
    return {
        "properties": {
            "base": {"$ref": f"#/$defs/Base{system}"},
            "axes": {"$ref": f"#/$defs/Axes{system}", "description": described["axes"]},
            "profiles": {
                "additionalProperties": {"properties": profile},
                "description": "What each profile changes.",
            },
        }
    }


def _of_one(names: list[str]) -> dict[str, Any]:
    """Whether a study has one of some presets, and neither an axis nor a profile another."""
    default = Study.model_fields["base"].default
    kind = {"required": ["kind"]}
    moved = [
        {"required": ["base"]},
        {"required": ["model.kind"]},
        {"required": ["model"], "properties": {"model": kind}},
    ]
    still = {"not": {"type": "object", "anyOf": moved}}
    named = {"additionalProperties": still}
    axes = {
        "properties": {"base": False, "model.kind": False},
        "additionalProperties": {**named, "properties": {"levels": named}},
    }
    base = {
        "anyOf": [
            {"enum": names},
            {"type": "object", "required": ["preset"], "properties": {"preset": {"enum": names}}},
        ]
    }
    return {
        "properties": {
            "base": {"allOf": [base, still]},
            "axes": axes,
            "profiles": {"additionalProperties": {"properties": {"base": still, "axes": axes}}},
        },
        **({} if default in names else {"required": ["base"]}),
    }


def _value(path: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/Value.{path}"}


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


def _groups(paths: Iterable[str]) -> list[str]:
    """Dotted paths of the settings that hold others, such as `model` and `model.backbone`."""
    parts = [path.split(".") for path in paths]
    return sorted({".".join(keys[:end]) for keys in parts for end in range(1, len(keys))})


def _settings(
    system: str, group: str, paths: Sequence[str], texts: dict[str, str]
) -> dict[str, Any]:
    """A mapping of settings below a group, each by its path from there, dotted or nested."""
    inside = f"{group}." if group else ""
    properties: dict[str, Any] = {
        path.removeprefix(inside): _value(path) for path in paths if path.startswith(inside)
    }
    for other in _groups(paths):
        if other.startswith(inside) and other != group:
            nested = {"$ref": f"#/$defs/Settings{system}.{other}"}
            properties[other.removeprefix(inside)] = {
                "anyOf": [nested, {"type": "null"}],
                "description": texts[other],
            }
    return {"type": "object", "properties": properties, "additionalProperties": False}
