"""The YAML files that a system's folder brings along: presets, ledger rows, published rows."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from bench.files.yaml import parse_yaml
from bench.systems.registry import SYSTEMS, System


def packaged(name: str) -> dict[str, Any]:
    """Content of a file of that name in every system's folder, by system; those without it aside.

    Args:
        name: Such as `preset.yaml`.

    Raises:
        BenchError: A file is not YAML; with its place.
    """
    found = {kind: _content(system, name) for kind, system in SYSTEMS.items()}
    return {kind: content for kind, content in found.items() if content is not None}


@cache
def _content(system: System, name: str) -> Any:
    file = resources.files(system.package) / name
    if not file.is_file():
        return None
    place = f"{system.package.replace('.', '/')}/{name}"
    return parse_yaml(file.read_text(encoding="utf-8"), place).value
