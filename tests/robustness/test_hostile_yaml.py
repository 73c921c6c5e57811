"""YAML from strangers: a design, or one clear error; nothing runs, nothing hangs, nothing is lost.

Whatever is tried here is tried through the same door as `bench plan` uses.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import event, given
from hypothesis import strategies as st

import bench
from bench.errors import LONGEST, BenchError
from bench.files.yaml import load_yaml, parse_yaml
from bench.paper.audit import audit, load_claims
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from tests.robustness import mutations

SECONDS = 10.0
"""Of processor time; no file that is taken for a study may need more."""


def resolved(path: Path) -> Design:
    """A study's design, as `bench plan` lays it out."""
    study, file = load_study(path)
    return resolve_study(study, file, profile="smoke")


def refused(tmp_path: Path, text: str | bytes, said: str) -> BenchError:
    path = tmp_path / "study.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    begun = time.process_time()
    with warnings.catch_warnings(), pytest.raises(BenchError, match=said) as caught:
        warnings.simplefilter("error")
        resolved(path)
    assert time.process_time() - begun < SECONDS
    assert str(caught.value.where).startswith(str(path))
    assert len(str(caught.value)) < 2 * LONGEST + len(str(path)) + 100
    return caught.value


DOUBLING = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!!python/object/apply:os.system [id]", "tag"),
        ("base: !!python/name:os.system ''", "tag"),
        ("base: !mine x", "tag"),
        ("axes: {x: [!!binary aGk=]}", "tag"),
        ("axes: {x: [!!set {a}]}", "tag"),
        ("axes: {x: [!!timestamp 2001-01-01]}", "tag"),
        ("base: !!bool maybe", "expected true or false"),
        ("base: !!int abc", "expected a whole number"),
        ("base: !!float abc", "expected a number"),
        ("base: !!map [a]", "expected a mapping"),
        (f"base: !{'x' * 900_000} a", "tag"),
        (DOUBLING, "more than 50,000 values"),
        ("base: &a [*a]", "nested"),
        ("base: &a {x: *a}", "nested"),
        ("base: &a\n  <<: *a\n", "nested"),
        ("[" * 199_999, "nested"),
        ("{" * 199_999, "nested"),
        ("- " * 99_999, "nested"),
        ("? " * 99_999, "nested"),
        ("base: " + "[" * 60 + "]" * 60, "nested more than 50"),
        ("base: " + "{a: " * 60 + "1" + "}" * 60, "nested more than 50"),
        ("-\n" * 50_100, "more than 50,000 values"),
        ("#" * 1_000_001, "at most 1,000,000"),
        ("a: *" + "x" * 900_000, "undefined alias"),
        ("? " + "x" * 900_000, "no key"),
        ("seeds: 3\nseeds: 4", "occurs twice"),
        ("base: {preset: ropanet, 'preset': prior}", "occurs twice"),
        ("? [a]\n: b", "a key must be a word"),
        ("1: 2", "no key `1`"),
        (b"a: \x00", "no text"),
        (b"\xff\xfea", "UTF-8"),
        ("\ud800", "UTF-8"),
        ("--- a\n--- b", "another document"),
        ("~", "a study is a mapping"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_plain_yaml_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    refused(tmp_path, text, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: .nan", "valid integer"),
        ("seeds: .inf", "valid integer"),
        ("seeds: 99999999999999999999", "64 bits"),
        ("seeds: " + "9" * 5000, "64 bits"),
        ("seeds: 0x" + "f" * 5000, "64 bits"),
        ("seeds: [2147483648]", "seeds must be"),
        ("profiles: {smoke: {seeds: 999999999999}}", "less than or equal to 10000"),
        ("profiles: {smoke: {seeds: []}}", "seeds"),
        ("margin: .nan", "finite"),
        ("margin: 1e999", "finite"),
        ("base: {preset: ropanet, train.learning_rate: .nan}", "finite"),
        ("base: {preset: ropanet, train.learning_rate: -.inf}", "greater|finite"),
        ("base: {preset: ropanet, train.epochs: .inf}", "valid integer"),
        ("base: {preset: ropanet, landmarks.weight: .inf}", "finite"),
        ("axes: {train.learning_rate: [.nan, 0.1]}", "finite"),
        ("axes: {train.learning_rate: [.nan, .nan]}", "twice"),
        ("base: {preset: [1]}", "no preset"),
        ("base: {preset: {a: b}}", "no preset"),
        ("base: {preset: ropanet, model: 3}", "model"),
        ("base: {preset: ropanet, data.source: {kind: {a: 1}}}", "kind"),
        ("base: {preset: ropanet, '': 1}", "no setting"),
        ("base: {preset: ropanet, 'train.': 1}", "no setting"),
    ],
    ids=itertools.count(),
)
def test_numbers_and_shapes_that_no_setting_has_are_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    refused(tmp_path, text, said)


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\nb", "a\x00b", "a\u202eb", "x" * 201])
@pytest.mark.parametrize(
    "place",
    ["name: {}", "axes: {{{}: {{a: {{}}}}}}", "axes: {{arm: {{{}: {{}}}}}}", "axes: {{x: [{}]}}"],
)
def test_names_that_no_table_and_no_terminal_can_show_are_refused(
    tmp_path: Path, name: str, place: str
) -> None:
    quoted = '"' + "".join(c if c == "x" else f"\\U{ord(c):08x}" for c in name) + '"'
    error = refused(tmp_path, place.format(quoted), "printable|letters, digits")
    assert str(error).replace("\n", " ").isprintable()
    for key in ("title", "description"):
        if not name.replace("\n", " ").isprintable():
            refused(tmp_path, f"{key}: {quoted}", "control characters")


def test_two_spellings_of_a_number_are_two_names(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("axes: {arm: {1: {}, 0x1: {train.epochs: 3}, 01: {train.epochs: 4}}}")
    assert [arm.name for arm in resolved(path).arms()] == ["1", "0x1", "01"]


def test_a_device_without_an_end_is_read_no_further_than_a_study_can_be() -> None:
    with pytest.raises(BenchError, match="at most"):
        load_yaml(Path("/dev/zero"))


CODE = [
    "__import__('os').system('id')",
    "().__class__.__base__.__subclasses__()",
    "open('/etc/passwd').read() == ''",
    "train.epochs.__class__ == 1",
    "lambda: 1",
    "(x := 1)",
    "[x for x in [1]] == 1",
    "{1: 2} == 1",
    "f'{train.epochs}' == '1'",
    "model.gate[0] == 's'",
    "b'a' == 1",
    "1j == 1",
    "... == 1",
    "1 if true else 0",
    "*train.epochs",
    "await x",
    "9**9**9 > 1",
    "1 << 999999999 > 1",
    "'a' * 999999999 == 'a'",
    "[1] * 999999999 == 1",
    "'%s' % train.epochs == 1",
    "~1 == 1",
    "1 is 1",
    "1; 2",
    "1\n2",
    "(" * 499,
    "(" * 249 + "1" + ")" * 249,
    "[" * 249 + "1" + "]" * 249,
    "x" * 501,
    "\0",
    "'\\d' == 1",
    "",
]


@pytest.mark.parametrize("text", CODE, ids=itertools.count())
@pytest.mark.parametrize("key", ["where", "when"])
def test_a_condition_is_a_comparison_of_settings_and_never_code(
    tmp_path: Path, text: str, key: str
) -> None:
    quoted = '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'
    axis = f"axes: {{train.epochs: {{when: {quoted}, levels: [1, 2]}}}}"
    refused(tmp_path, f"where: [{quoted}]" if key == "where" else axis, ".")


@pytest.mark.parametrize("text", ["not " * 120 + "true", "-" * 490 + "1 > 0", "9" * 490 + " > 0"])
def test_a_long_condition_is_answered_or_refused_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"where: ['{text}']")
    begun = time.process_time()
    try:
        resolved(path)
    except BenchError as error:
        assert error.where
    assert time.process_time() - begun < SECONDS


STUDIES = [
    path.read_bytes()
    for path in sorted((Path(__file__).parents[2] / "ablations").glob("*.yaml"))
    if path.stem != "full_grid"  # every one of its 20,000 sampled arms is validated
]


@mutations.MUTATED
@given(study=st.sampled_from(STUDIES), spoil=mutations.mutations())
def test_a_spoiled_study_is_laid_out_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, study: bytes, spoil: mutations.Mutation
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoiled.yaml"
    path.write_bytes(spoil(study))
    begun = time.process_time()
    try:
        design = resolved(path)
        arms = list(itertools.islice(design.arms(), 50))
    except BenchError as error:
        event("one clear error")
        assert str(error.where).startswith((str(path), "--set")), error
        assert str(error).replace("\n", " ").isprintable()
    else:
        event("a design")
        assert design.arm_count >= 1 and arms
        assert all(arm.name.isprintable() for arm in arms)
        assert len({arm.name for arm in arms}) == len(arms)
        check_no_key_is_lost(path.read_text(encoding="utf-8"))
    assert time.process_time() - begun < SECONDS


ANOTHER_PAPER = b"""
paper: Another
class_counts: {hat: 600, shoe: 300, sock: 100}
batch_size: 4
tables:
  main:
    source: Table 2
    unit: percent
    kinds: {accuracy: top-1, top_3: top-3}
    rows:
      Ours: {test_size: 500, train_size: 2000, figures: {accuracy: "71.4", top_3: "90.0"}}
      Theirs: {test_size: 500, train_size: 1000, figures: {accuracy: "70.4", top_3: "80.0"}}
statements:
  - statement: Ours has twice the data
    source: Section 3
    ratio: [[main, Ours, train_size], [main, Theirs, train_size]]
    says: 2
"""
CLAIMS = [ANOTHER_PAPER, (Path(bench.__file__).parent / "paper" / "claims.yaml").read_bytes()]


@mutations.MUTATED
@given(claims=st.sampled_from(CLAIMS), spoil=mutations.mutations())
def test_spoiled_claims_are_audited_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, claims: bytes, spoil: mutations.Mutation
) -> None:
    path = tmp_path_factory.getbasetemp() / "claims.yaml"
    path.write_bytes(spoil(claims))
    begun = time.process_time()
    try:
        findings = audit(load_claims(path))
    except BenchError as error:
        event("one clear error")
        assert str(error.where).startswith(str(path)), error
        assert str(error).replace("\n", " ").isprintable()
    else:
        event("an audit")
        assert findings
    assert time.process_time() - begun < SECONDS


def check_no_key_is_lost(text: str) -> None:
    """Every key that PyYAML sees is in what was read; merged ones are laid over each other."""
    root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.BaseLoader)
    written = Counter(keys_of(root))
    if "<<" not in written:
        assert Counter(plain_keys_of(parse_yaml(text, "study").value)) == written


def keys_of(node: Any) -> list[str]:
    if isinstance(node, yaml.MappingNode):
        return [k for key, value in node.value for k in (key.value, *keys_of(value))]
    return [k for item in node.value for k in keys_of(item)] if node.id == "sequence" else []


def plain_keys_of(plain: Any) -> list[str]:
    if isinstance(plain, dict):
        return [k for key, value in plain.items() for k in (key, *plain_keys_of(value))]
    return [k for item in plain for k in plain_keys_of(item)] if isinstance(plain, list) else []
