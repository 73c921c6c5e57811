"""From YAML to arms: designs, layers, and every fault as one message with its place."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.errors import BenchError
from bench.files.yaml import load_yaml, parse_yaml
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.schema import study_schema
from bench.study.study import load_study
from bench.study.trial import TrialSpec, canonical, trial_id

ABLATIONS = Path(__file__).parents[2] / "ablations"
SHIPPED = sorted(ABLATIONS.glob("*.yaml"))


def resolve(folder: Path, text: str, profile: str = "laptop", **options: Any) -> Design:
    file = folder / "study.yaml"
    file.write_text(text)
    return resolve_study(*load_study(file), profile=profile, **options)


def names(design: Design) -> list[str]:
    return [arm.name for arm in design.arms()]


def test_a_factorial_crosses_its_axes_and_a_one_factor_design_does_not(tmp_path: Path) -> None:
    axes = "axes: {model.gate: [sigmoid, none], landmarks.update_ratio: [1, 2, 3]}\n"
    control = "control: {landmarks.update_ratio: 2}\n"
    assert len(names(resolve(tmp_path, axes))) == 6
    one_factor = resolve(tmp_path, f"{axes}{control}design: one_factor\n")
    assert names(one_factor) == ["control", "gate=none", "update_ratio=1", "update_ratio=3"]
    assert one_factor.arm_count == 4
    assert one_factor.control.spec.landmarks.update_ratio == 2  # type: ignore[union-attr]


def test_seeds_are_outermost_so_that_a_cut_study_is_still_paired(tmp_path: Path) -> None:
    design = resolve(tmp_path, "axes: {model.gate: [sigmoid, none]}\nseeds: [7, 9]\n")
    order = [(arm.name, seed) for arm, seed, _ in design.trials()]
    assert order == [("gate=sigmoid", 7), ("gate=none", 7), ("gate=sigmoid", 9), ("gate=none", 9)]


def test_later_layers_win(tmp_path: Path) -> None:
    text = """
base: {preset: ropanet, train.epochs: 7, train: {batch_size: 8}}
axes: {arm: {a: {}, b: {train: {epochs: 3}}, c: {base: ropanet_baseline}}}
profiles: {smoke: {seeds: 1, base: {train.batch_size: 16}}}
"""
    smoke = {arm.name: arm.spec for arm in resolve(tmp_path, text, "smoke").arms()}
    assert (smoke["a"].train.epochs, smoke["a"].train.batch_size) == (7, 16)  # type: ignore[union-attr]
    assert smoke["b"].train.epochs == 3  # type: ignore[union-attr]
    assert smoke["c"].model.kind == "ropanet_baseline"
    assert resolve(tmp_path, text, "laptop").control.spec.train.batch_size == 8  # type: ignore[union-attr]
    above = resolve(tmp_path, text, settings={"train.batch_size": 1})
    assert {arm.spec.train.batch_size for arm in above.arms()} == {1}  # type: ignore[union-attr]


def test_a_million_cells_are_laid_out_without_being_built(tmp_path: Path) -> None:
    ten = list(range(1, 11))
    paths = ("train.epochs", "train.batch_size", "landmarks.update_ratio", "data.split_seed",
             "model.global_filters", "model.branch_units")  # fmt: skip
    design = resolve(tmp_path, "axes:\n" + "".join(f"  {path}: {ten}\n" for path in paths))
    assert design.arm_count == 10**6
    first = [arm.name for arm in itertools.islice(design.arms(), 2)]
    assert first[1].endswith("global_filters=1, branch_units=2")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
@pytest.mark.parametrize("profile", ["smoke", "laptop", "paper"])
def test_the_shipped_studies_lay_out_under_every_profile(file: Path, profile: str) -> None:
    design = resolve_study(*load_study(file), profile=profile)
    assert design.control.name in names(design)


def test_the_readmes_study_is_one(tmp_path: Path) -> None:
    readme = (ABLATIONS.parent / "README.md").read_text()
    text = readme.split("```yaml\n")[1].split("```")[0]
    design = resolve(tmp_path, text)
    # gate=none only with 6 units: 3 of 4 pairs; balancing none, focal 1 and focal 2.
    assert design.arm_count == len(names(design)) == 9
    jsonschema.Draft202012Validator(study_schema()).validate(parse_yaml(text, "README").value)


FAULTS = {
    "unknown key": ("seds: 3\n", "1:1", "no key `seds`", "`seeds`"),
    "unknown preset": ("base: ropanett\n", "1:1", "no preset `ropanett`", "`ropanet`"),
    "unknown axis": ("axes:\n  model.gat: [none]\n", "2:15", "`model.gat`", "`model.gate`"),
    "level outside its choices": (
        "axes:\n  model.gate: [sigmoid, noen]\n", "2:25", "found 'noen'", "`none`"),
    "wrong type": (
        "base:\n  preset: ropanet\n  train:\n    epochs: many\n", "4:5", "found 'many'", "integer"),
    "empty axis": ("axes:\n  model.gate: []\n", "2:3", "no levels", "at least one"),
    "duplicate level": ("axes: {model.gate: [none, none]}\n", "1:27", "twice", "take one"),
    "same arm twice": (
        "axes:\n  arm:\n    x: {train.epochs: 3}\n    y: {train.epochs: 3}\n", "4:5",
        "`x` and `y` are the same trial", "take one"),
    "control that is no arm": (
        "control: {model.gate: x}\naxes: {model.gate: [none]}\n", "1:11", "no level `x`", "none"),
    "control of no axis": (
        "control: {gate: none}\naxes: {model.gate: [none]}\n", "1:11", "axis `gate`", "model.gate"),
    "gate of a model without": (
        "base: ropanet_baseline\naxes: {model.gate: [none]}\n", "2:21", "would ignore",
        "only ropanet has it"),
    "landmarks of a model without": (
        "base:\n  preset: ropanet_baseline\n  landmarks.update_ratio: 2\n", "3:3", "would ignore",
        "landmarks"),
    "training of the prior": (
        "base: prior\naxes: {train.epochs: [1]}\n", "2:23", "not trained", "train"),
    "weights that a backbone lacks": (
        "base: {preset: ropanet, model.backbone: {name: mobilenet_v2, weights: none}}\n"
        "axes: {model.backbone.weights: [imagenet]}\n", "2:33", "no imagenet weights", "a file"),
    "seed as a setting": ("axes: {seed: [1, 2]}\n", "1:15", "`seed`", "seeds:"),
    "python tag": ("title: !!python/object:os.system x\n", "1:8", "not YAML", "tag"),
    "duplicate key": ("seeds: 1\nseeds: 2\n", "2:1", "`seeds` occurs twice", ""),
    "not YAML": ("axes: [1\n", "2:1", "not YAML", ""),
    "not a mapping": ("[1, 2]\n", "1:1", "a study is a mapping", ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_message_with_its_place_and_a_way_out(fault: str, tmp_path: Path) -> None:
    text, place, found, advice = FAULTS[fault]
    with pytest.raises(BenchError) as raised:
        resolve(tmp_path, text)
    message = str(raised.value)
    assert f"study.yaml:{place}: " in message
    assert found in message and advice in message
    assert "Traceback" not in message and message.count("\n") <= 1


def test_a_missing_study_names_the_nearest_file() -> None:
    with pytest.raises(BenchError, match=r"mask_gate\.yaml\?"):
        load_yaml(ABLATIONS / "mask_gat.yaml")


def test_plain_values_are_read_as_people_mean_them() -> None:
    text = "a: 5e-3\nb: off\nc: 0o10\nd: 1_000\nbase: &b {x: 1}\ne: {<<: *b, y: 2}\nf:\n"
    value = parse_yaml(text, "x").value
    assert (value["a"], value["b"], value["c"], value["d"]) == (0.005, "off", 8, "1_000")
    assert value["e"] == {"x": 1, "y": 2} and value["f"] is None


def spec_of(folder: Path, text: str) -> TrialSpec:
    return resolve(folder, text).control.spec


def test_a_trial_is_identified_by_its_content_alone(tmp_path: Path) -> None:
    one = spec_of(tmp_path, "base: {preset: ropanet, train.epochs: 3, train.batch_size: 4}\n")
    other = spec_of(
        tmp_path,
        "name: another\nseeds: 9\nbase:\n  train: {batch_size: 0x4}\n  train.epochs: 3\n"
        "  preset: ropanet\n  train.learning_rate: 0.5e-2\n",
    )
    assert trial_id(one, "data") == trial_id(other, "data")
    again = TrialSpec.model_validate(json.loads(json.dumps(one.model_dump(mode="json"))))
    assert again == one
    ids = {
        trial_id(one, "data"),
        trial_id(one, "other data"),
        trial_id(one.model_copy(update={"seed": 1}), "data"),
        trial_id(spec_of(tmp_path, "base: {preset: ropanet, train.epochs: 4}\n"), "data"),
    }
    assert len(ids) == 4


def test_a_weights_file_counts_by_its_content(tmp_path: Path) -> None:
    def identity(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        file = json.dumps(str(tmp_path / name))
        text = f"base: {{preset: ropanet_baseline, model.backbone.weights: {file}}}\n"
        return trial_id(spec_of(tmp_path, text), "data")

    assert identity("a.h5", b"one") == identity("b.h5", b"one")
    assert identity("a.h5", b"one") != identity("c.h5", b"two")
    (tmp_path / "a.h5").unlink()
    text = f"base: {{preset: ropanet_baseline, model.backbone.weights: {tmp_path / 'a.h5'}}}\n"
    with pytest.raises(BenchError, match="no weights file"):
        canonical(spec_of(tmp_path, text))


def test_the_schema_admits_the_shipped_studies_and_refuses_slips() -> None:
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for file in SHIPPED:
        check.validate(load_yaml(file).value)
    for slip in ({"seds": 3}, {"axes": {"model.gate": ["noen"]}}, {"base": {"train.epochs": 1}}):
        assert not check.is_valid(slip)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_study_names_the_schema_that_make_setup_writes_beside_it(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=study.schema.json"
    assert "SCHEMA := ablations/study.schema.json\n" in (ABLATIONS.parent / "Makefile").read_text()
