"""Conditions on settings: a mapping such as `{model.gate: [sigmoid, residual]}`, or an expression.

A mapping names settings and the value, or list of values, that each must have. It is the form of
every condition in a study, those of a tuning's dimensions among them. `{not: {...}}` is its
opposite, and `{any: [{...}, {...}]}` holds where one of several does.

An expression such as `model.gate != 'none' and train.epochs > 3` says what a mapping cannot. It is
never Python's eval: it is parsed into a tree whose every node is on a short list (settings by
dotted path, numbers, words in quotes, lists, comparisons, `in`, `and`, `or`, `not`, arithmetic on
numbers). Whatever else it holds, calls and subscripts among them, is an error with its place.
"""

from __future__ import annotations

import ast
import json
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.files.yaml import did_you_mean

LONGEST = 500
"""Characters of an expression."""

Lookup = Callable[[str], Any]
"""From a dotted path to its value; None for a setting that a trial does not have."""

_Value = Callable[[Lookup], Any]

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, many: item in many,
    ast.NotIn: lambda item, many: item not in many,
}
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}


@dataclass(frozen=True)
class Condition:
    """A condition on a trial's settings.

    Args:
        text: As written.
        paths: Settings that it speaks of.
        where: Its place in the study's file.
    """

    text: str
    paths: frozenset[str]
    where: str
    _holds: _Value

    def holds(self, lookup: Lookup) -> bool:
        """Whether it holds for some settings.

        Args:
            lookup: From a dotted path to its value, None where there is none. A comparison of
                size with None is false.

        Raises:
            BenchError: It compares or adds what cannot be compared or added.
        """
        try:
            return bool(self._holds(lookup))
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            values = ", ".join(f"{path} = {lookup(path)!r}" for path in sorted(self.paths))
            raise BenchError(
                f"`{self.text}` cannot be answered ({error}) for {values:.200}", where=self.where
            ) from None


def parse_condition(given: str | Mapping[str, Any], where: str, known: frozenset[str]) -> Condition:
    """Parse a condition.

    Args:
        given: A mapping, or an expression.
        where: Its place, for errors.
        known: Dotted paths of the settings that there are.

    Raises:
        BenchError: It is no condition of the kind allowed here, or names no setting.
    """
    if isinstance(given, str):
        return _parse_expression(given, where, known)
    paths: set[str] = set()
    holds = _mapping(given, where, known, paths)
    return Condition(json.dumps(given), frozenset(paths), where, holds)


def _mapping(given: Any, where: str, known: frozenset[str], paths: set[str]) -> _Value:
    if not isinstance(given, Mapping) or not given:
        raise BenchError(
            f"`{given!r:.60}` is not a condition",
            where=where,
            fix="write a mapping such as {model.gate: [sigmoid, residual]}",
        )
    parts: list[_Value] = []
    for key, wanted in given.items():
        if key == "not":
            parts.append(_negated(_mapping(wanted, where, known, paths)))
        elif key == "any":
            options = wanted if isinstance(wanted, list) else [wanted]
            parts.append(_one_of([_mapping(one, where, known, paths) for one in options]))
        elif key in known:
            paths.add(key)
            parts.append(_has(key, wanted if isinstance(wanted, list) else [wanted]))
        else:
            raise BenchError(
                f"`{key!s:.60}` is no setting",
                where=where,
                fix=did_you_mean(str(key), known, "see `bench schema`"),
            )
    return lambda lookup: all(part(lookup) for part in parts)


def _has(path: str, values: list[Any]) -> _Value:
    return lambda lookup: lookup(path) in values


def _negated(part: _Value) -> _Value:
    return lambda lookup: not part(lookup)


def _one_of(parts: list[_Value]) -> _Value:
    return lambda lookup: any(part(lookup) for part in parts)


def _parse_expression(text: str, where: str, known: frozenset[str]) -> Condition:
    if len(text) > LONGEST:
        raise BenchError(f"a condition has at most {LONGEST} characters", where=where)
    try:
        with warnings.catch_warnings():
            # What one Python warns of ('\d', `1or 2`) is an error of a later one: of each here.
            warnings.simplefilter("error")
            tree = ast.parse(text.strip(), mode="eval")
        parser = _Parser(text, where, known)
        holds = parser.value(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError, Warning):
        raise BenchError(
            f"`{text:.80}` is not a condition",
            where=where,
            fix="write one such as: model.gate != 'none' and train.epochs > 3",
        ) from None
    return Condition(text, frozenset(parser.paths), where, holds)


class _Parser:
    def __init__(self, text: str, where: str, known: frozenset[str]) -> None:
        self._text, self._where, self._known = text, where, known
        self.paths: set[str] = set()

    def value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=constant) if isinstance(constant, int | float | str | None):
                return lambda lookup: constant
            case ast.Name() | ast.Attribute():
                return self._setting(node)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                values = [self.value(item) for item in items]
                return lambda lookup: [value(lookup) for value in values]
            case ast.BoolOp(op=op, values=parts):
                asked = [self.value(part) for part in parts]
                every = all if isinstance(op, ast.And) else any
                return lambda lookup: every(value(lookup) for value in asked)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.value(operand)
                return lambda lookup: not inner(lookup)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self.value(operand)
                return lambda lookup: -_number(number(lookup))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._arithmetic(left, _ARITHMETIC[type(op)], right)
            case ast.Compare(left=left, ops=ops, comparators=rest):
                return self._comparison([left, *rest], ops)
        raise BenchError(
            f"`{ast.unparse(node):.60}` has no place in a condition",
            where=self._where,
            fix="settings, numbers, words in quotes, lists, comparisons, in, and, or, not, + - * /",
        )

    def _setting(self, node: ast.expr) -> _Value:
        path = ast.unparse(node)
        if path in _WORDS:
            word = _WORDS[path]
            return lambda lookup: word
        if path not in self._known:
            raise BenchError(
                f"`{path:.60}` is no setting",
                where=self._where,
                fix="write words in quotes, and settings by their dotted path (`bench schema`)",
            )
        self.paths.add(path)
        return lambda lookup: lookup(path)

    def _arithmetic(
        self, left: ast.expr, operate: Callable[[Any, Any], Any], right: ast.expr
    ) -> _Value:
        first, second = self.value(left), self.value(right)
        return lambda lookup: operate(_number(first(lookup)), _number(second(lookup)))

    def _comparison(self, nodes: list[ast.expr], ops: list[ast.cmpop]) -> _Value:
        values = [self.value(node) for node in nodes]
        kinds = [type(op) for op in ops]
        unknown = [kind for kind in kinds if kind not in _COMPARE]
        if unknown:
            raise BenchError(
                f"`{self._text:.60}` compares in a way that has no place here", where=self._where
            )

        def compare(lookup: Lookup) -> bool:
            found = [value(lookup) for value in values]
            for kind, left, right in zip(kinds, found, found[1:], strict=False):
                if kind in _ORDERED and (left is None or right is None):
                    return False
                if not _COMPARE[kind](left, right):
                    return False
            return True

        return compare


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
