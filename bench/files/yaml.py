"""YAML as people write it: read safely, by YAML 1.2's rules for plain values, with every position.

PyYAML follows YAML 1.1, where `5e-3` is a string and `off` a boolean; a study means a number and a
word. Keys are words, whatever they look like. Tags that would build Python objects are refused, and
so are duplicate keys, what is nested too deeply, and whole numbers of more than 64 bits.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.errors import BenchError

Path_ = tuple[str | int, ...]

MOST_BYTES = 1_000_000
MOST_NODES = 50_000
DEEPEST = 50
"""Levels of nesting; a study has about five."""

_LARGEST = 2**63


@dataclass(frozen=True)
class Position:
    """A place in a file, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Located:
    """A parsed YAML file.

    Args:
        value: Its content as plain data.
        positions: Path of keys and list indices -> position of that key or item.
        file: The file, as the user named it.
    """

    value: Any
    positions: dict[Path_, Position]
    file: str

    def where(self, path: Iterable[str | int]) -> Position:
        """The position of a path, or of the nearest thing around it."""
        keys = tuple(path)
        while keys and keys not in self.positions:
            keys = keys[:-1]
        return self.positions.get(keys, Position(self.file, 1, 1))


class _Loader(yaml.SafeLoader):
    """Safe, YAML 1.2's core schema and nothing more, no duplicate keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    # Not the bytes, dates, sets and pairs that SafeLoader also builds.
    yaml_constructors = {
        tag: build
        for tag, build in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "str", "seq", "map")
    }

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are words as they are written."""
        if not isinstance(node, yaml.MappingNode):
            raise yaml.MarkedYAMLError(problem="expected a mapping", problem_mark=node.start_mark)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


_PLAIN = {
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", "~nN\0"),
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "tag:yaml.org,2002:merge": (r"<<", "<"),
}
for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.yaml_implicit_resolvers[""] = [
    ("tag:yaml.org,2002:null", re.compile("^$")),
]


def _int_of(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    try:
        number = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    except ValueError:
        number = _LARGEST  # no number, or one of thousands of digits
    if abs(number) >= _LARGEST:
        raise _refused(node, "a whole number of at most 64 bits", text)
    return number


def _float_of(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node))
    try:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise _refused(node, "a number", text) from None


def _bool_of(loader: _Loader, node: yaml.ScalarNode) -> bool:
    text = str(loader.construct_scalar(node))
    if text.lower() not in ("true", "false"):
        raise _refused(node, "true or false", text)
    return text.lower() == "true"


def _refused(node: yaml.Node, expected: str, text: str) -> yaml.MarkedYAMLError:
    found = f"{text[:60]!r}{' ...' if len(text) > 60 else ''}"
    return yaml.MarkedYAMLError(
        problem=f"expected {expected}, found {found}", problem_mark=node.start_mark
    )


_Loader.add_constructor("tag:yaml.org,2002:bool", _bool_of)
_Loader.add_constructor("tag:yaml.org,2002:int", _int_of)
_Loader.add_constructor("tag:yaml.org,2002:float", _float_of)


def load_yaml(path: Path) -> Located:
    """Read a YAML file.

    Raises:
        BenchError: It is not there, not text, too large, or not YAML; with the line and column.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BenchError(f"is too long: a study has at most {MOST_BYTES:,} bytes", where=name)
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise BenchError("no such file", where=name, fix=_nearest_file(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot be read as UTF-8 text: {error}", where=name) from error
    return parse_yaml(text, name)


def parse_yaml(text: str, file: str) -> Located:
    """Parse YAML text; see `load_yaml`."""
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BenchError(
            "not YAML: it holds a character that is no text", where=f"{file}:{line}"
        ) from None
    try:
        node = loader.get_single_node()
        if node is None:
            return Located(None, {}, file)
        positions: dict[Path_, Position] = {}
        _walk(node, (), file, positions)
        return Located(loader.construct_document(node), positions, file)
    except RecursionError:
        raise BenchError(f"is nested more than {DEEPEST} levels deep", where=file) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise BenchError(f"not YAML: {error.problem or error.context}", where=where) from error
    except (yaml.YAMLError, ValueError) as error:
        raise BenchError(f"not YAML: {error}", where=file) from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: Path_, file: str, positions: dict[Path_, Position]) -> None:
    if len(positions) > MOST_NODES:
        raise BenchError(f"has more than {MOST_NODES:,} values, aliases counted", where=file)
    if len(path) > DEEPEST:
        raise BenchError(
            f"is nested more than {DEEPEST} levels deep", where=str(_position(node, file))
        )
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            positions[(*path, index)] = _position(item, file)
            _walk(item, (*path, index), file, positions)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                raise BenchError("a key must be a word", where=str(_position(key, file)))
            if name in seen:
                raise BenchError(f"the key `{name}` occurs twice", where=str(_position(key, file)))
            seen.add(name)
            if key.tag == "tag:yaml.org,2002:merge":
                _walk_merged(value, path, file, positions)
            else:
                positions[(*path, name)] = _position(key, file)
                _walk(value, (*path, name), file, positions)


def _walk_merged(node: yaml.Node, path: Path_, file: str, positions: dict[Path_, Position]) -> None:
    merged = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for mapping in merged:
        _walk(mapping, path, file, positions)


def _position(node: yaml.Node, file: str) -> Position:
    return Position(file, node.start_mark.line + 1, node.start_mark.column + 1)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that a word was most likely meant to be, if any is close."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, choices: Iterable[str], otherwise: str | None) -> str | None:
    """What to do about a word that is none of its choices: the nearest one, or else another advice.

    Args:
        word: The word.
        choices: What it might have meant.
        otherwise: The advice where nothing is close.
    """
    meant = nearest(word, choices)
    return f"did you mean `{meant}`?" if meant else otherwise


def _nearest_file(path: Path) -> str:
    siblings = sorted(file.name for file in path.parent.glob("[!.]*.y*ml"))
    meant = nearest(path.name, siblings)
    if meant:
        return f"did you mean {path.parent / meant}?"
    return f"studies there: {', '.join(siblings)}" if siblings else "give the path of a study"
