"""Every setting of a trial by its dotted path: what it means, what it may be, who has it.

Made of the study's schema, so that an editor, `bench explain` and the settings' own docstrings say
the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.files.yaml import nearest
from bench.study.schema import study_schema
from bench.study.system_schema import systems_with

VALUE = "Value."
"""How the schema names what a setting may be."""


@dataclass(frozen=True)
class Explained:
    """A setting.

    Args:
        path: Its dotted path.
        meaning: What it means, with its unit and its place in the paper or the ledger.
        values: What it may be, in words; several where systems differ.
        default: Its value where neither a preset nor a study says another; None where it has none,
            or systems differ.
        systems: The systems that have it; empty where that is not a system's matter.
    """

    path: str
    meaning: str
    values: tuple[str, ...]
    default: Any
    systems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The setting as plain values, for `json.dumps`."""
        return {
            "path": self.path,
            "meaning": self.meaning,
            "values": list(self.values),
            "default": self.default,
            "systems": list(self.systems),
        }


def explain(path: str) -> list[Explained]:
    """A setting, or all settings below a path, in the order of the trial's spec.

    Args:
        path: Dotted path, such as `model.gate` or `train`; empty for every setting.

    Raises:
        BenchError: There is no such setting.
    """
    definitions = study_schema()["$defs"]
    names = [name.removeprefix(VALUE) for name in definitions if name.startswith(VALUE)]
    found = [name for name in names if not path or name == path or name.startswith(f"{path}.")]
    if not found:
        meant = nearest(path, names) or next((n for n in names if n.endswith(f".{path}")), None)
        fix = f"did you mean `{meant}`?" if meant else "`bench explain` lists all settings"
        raise BenchError(f"there is no setting `{path}`", fix=fix)
    return [_explained(name, definitions[f"{VALUE}{name}"]) for name in found]


def _explained(path: str, schema: dict[str, Any]) -> Explained:
    options = schema["anyOf"]
    first, *others = (option.get("default") for option in options)
    # The same choices, in the order of each system's default.
    values = {frozenset(option.get("enum", [_in_words(option)])): option for option in options}
    return Explained(
        path=path,
        meaning=schema["description"],
        values=tuple(map(_in_words, values.values())),
        default=first if all(other == first for other in others) else None,
        systems=systems_with(path),
    )


def _in_words(option: dict[str, Any]) -> str:
    """What a value schema admits: `a whole number, at least 1`."""
    if "anyOf" in option:
        return " or ".join(_in_words(inner) for inner in option["anyOf"])
    choices = option.get("enum") or ([option["const"]] if "const" in option else [])
    if choices:
        return f"{'one of ' if len(choices) > 1 else ''}{', '.join(map(str, choices))}"
    kind = KINDS.get(option.get("type", "mapping"), option.get("type", "a mapping"))
    limits = [f"{words} {option[key]:g}" for key, words in LIMITS.items() if key in option]
    return ", ".join([kind, *limits])


KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "mapping": "a mapping",
    "null": "null",
}
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
