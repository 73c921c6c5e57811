"""What lies below a study's own settings: the systems' presets, the profiles, the data sources."""

from __future__ import annotations

from functools import cache, reduce
from importlib import resources
from typing import Any

from bench.errors import BenchError
from bench.files.yaml import parse_yaml
from bench.systems.packaged import packaged
from bench.systems.registry import load_plugins

PROFILES = ("smoke", "laptop", "paper")


def presets() -> dict[str, dict[str, Any]]:
    """The bases that a study can name, of every system, plug-ins among them.

    Raises:
        BenchError: A plug-in cannot be imported.
    """
    return _of_systems("presets")


def ancestry(preset: str) -> list[str]:
    """A preset and what it extends, itself first."""
    known, chain = presets(), [preset]
    while "extends" in known[chain[-1]]:
        chain.append(known[chain[-1]]["extends"])
    return chain


def system_of(preset: str) -> str:
    """The `kind` of a preset's system."""
    settings = (presets()[name].get("model", {}) for name in ancestry(preset))
    return next(model["kind"] for model in settings if "kind" in model)


def profile_settings(profile: str) -> dict[str, Any]:
    """A profile: its `description`, what it sets in `every` preset, and in `presets`, by preset."""
    return _shipped(f"profiles/{profile}.yaml") | {"presets": _of_systems("profiles", profile)}


def source_settings(kind: str) -> dict[str, Any]:
    """What a data source changes before the study has its say."""
    settings: dict[str, Any] = _shipped("sources.yaml")[kind]
    return settings


def _of_systems(*keys: str) -> dict[str, dict[str, Any]]:
    load_plugins()
    found: dict[str, dict[str, Any]] = {}
    for content in packaged("preset.yaml").values():
        own = reduce(lambda plain, key: plain.get(key, {}), keys, content)
        for name in own.keys() & found.keys():
            raise BenchError(
                f"two systems have a preset `{name}`", where="preset.yaml", fix="rename one of them"
            )
        found |= own
    return found


@cache
def _shipped(name: str) -> Any:
    file = resources.files("bench.study") / name
    return parse_yaml(file.read_text(encoding="utf-8"), f"bench/study/{name}").value
