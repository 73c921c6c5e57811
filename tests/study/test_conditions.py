"""Conditions: what they say, and what has no place in them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import BenchError
from bench.study.conditions import parse_condition
from bench.study.config_errors import known_settings

SETTINGS = {"model.gate": "none", "train.epochs": 3, "train.learning_rate": 0.01,
            "train.patience": None}  # fmt: skip


def holds(text: Any, **changes: Any) -> bool:
    values = SETTINGS | {k.replace("__", "."): v for k, v in changes.items()}
    return parse_condition(text, "study.yaml:1:1", known_settings()).holds(values.get)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.gate == 'none'", True),
        ("model.gate != 'none' and train.epochs > 2", False),
        ("model.gate in ['none', 'random'] or train.epochs > 5", True),
        ("not (train.epochs < 3) and 1 < train.epochs <= 3", True),
        ("train.epochs * 2 - 1 == 5 and train.epochs // 2 == 1 and train.epochs % 2 == 1", True),
        ("train.learning_rate < 5e-2 and -train.epochs < 0", True),
        ("train.patience == null and train.patience is_not 3", None),
        ("train.patience > 3", False),
        ("train.patience < 3", False),
        ("train.patience == null", True),
        ("model.gate not in ('sigmoid',)", True),
    ],
)
def test_conditions_mean_what_they_say(text: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(BenchError):
            holds(text)
    else:
        assert holds(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')", "open('x')", "model.gate.__class__ == 1",
        "[x for x in [1]]", "lambda: 1", "train.epochs ** 99999", "'a' 'b' if 1 else 2",
        "model.gate[0]", "f'{train.epochs}'", "train.epochs := 3", "1 if 2 else 3", "{1: 2}",
        "train.epochs is None", "", "(", "model.gat == 1", "none == model.gate", "b'x' == 1",
        "train.epochs == 1; 2", "not " * 5000 + "1", "(" * 300 + "1" + ")" * 300, "1" * 600,
        "x\x00y", "yield 1", "*train.epochs", "...",
    ],
)  # fmt: skip
def test_whatever_else_is_one_error_with_its_place(text: str) -> None:
    with pytest.raises(BenchError, match=r"study\.yaml:1:1"):
        holds(text)


@pytest.mark.parametrize(
    "text", ["model.gate < 3", "model.gate * 1000000000 == 1", "train.epochs / 0 == 1",
             "1 in train.epochs"]
)  # fmt: skip
def test_what_cannot_be_answered_says_for_which_values(text: str) -> None:
    with pytest.raises(BenchError, match="cannot be answered"):
        holds(text)


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"model.gate": "none"}, True),
        ({"model.gate": ["sigmoid", "none"], "train.epochs": 3}, True),
        ({"model.gate": ["sigmoid", "none"], "train.epochs": 4}, False),
        ({"not": {"model.gate": "none", "train.epochs": 4}}, True),
        ({"not": {"model.gate": "none", "train.epochs": 3}}, False),
        ({"any": [{"train.epochs": 4}, {"train.patience": None}]}, True),
        ({"any": [{"train.epochs": 4}, {"not": {"train.patience": None}}]}, False),
    ],
)
def test_a_mapping_is_a_condition_too(mapping: Any, expected: bool) -> None:
    assert holds(mapping) is expected


@pytest.mark.parametrize(
    "mapping",
    [{}, {"model.gat": "none"}, {"not": "none"}, {"any": ["none"]}, {"not": {}}, {"any": [[]]}],
)
def test_a_mapping_that_is_none_is_one_error_with_its_place(mapping: Any) -> None:
    with pytest.raises(BenchError, match=r"study\.yaml:1:1"):
        holds(mapping)
