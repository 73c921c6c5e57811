"""Which cells a design takes: counted, balanced, resolved, and the same again."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import BenchError
from bench.study.cells import fraction
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.study import load_study

SIX = """
axes:
  model.gate: [sigmoid, none]
  model.local_depth: [0, 1]
  model.global_depth: [1, 2]
  model.local_pooling: [average, max]
  landmarks.update_ratio: [2, 1]
  train.balancing: [none, focal]
"""


def resolve(folder: Path, text: str, **options: Any) -> Design:
    (folder / "study.yaml").write_text(text)
    return resolve_study(*load_study(folder / "study.yaml"), profile="laptop", **options)


def names(design: Design) -> list[str]:
    return [arm.name for arm in design.arms()]


# Box, Hunter and Hunter 2005, table 6.22: the highest resolution of 2^(k-p) designs.
RESOLUTIONS = {(3, 4): 3, (4, 8): 4, (5, 8): 3, (5, 16): 5, (6, 8): 3, (6, 16): 4, (6, 32): 6,
               (7, 8): 3, (7, 16): 4, (7, 64): 7, (8, 16): 4, (15, 16): 3}  # fmt: skip


@pytest.mark.parametrize(("factors", "runs"), RESOLUTIONS)
def test_fractions_have_the_textbooks_resolution(factors: int, runs: int) -> None:
    assert fraction(factors, runs).resolution == RESOLUTIONS[factors, runs]


def test_a_fraction_is_balanced_and_orthogonal_and_holds_the_control(tmp_path: Path) -> None:
    design = resolve(tmp_path, SIX + "design: {kind: fractional, runs: 16}\n")
    arms = list(design.arms())
    assert len(arms) == design.arm_count == 16 and design.resolution == 4
    axes = [axis.name for axis in design.axes]
    signs = np.array([[arm.levels[a] == design.axes[i].levels[0].label for i, a in enumerate(axes)]
                      for arm in arms]) * 2 - 1  # fmt: skip
    np.testing.assert_array_equal(signs.T @ signs, 16 * np.eye(6))
    # Resolution 4: no two-way interaction is confounded with a main effect.
    for i, j in combinations(range(6), 2):
        assert not (signs.T @ (signs[:, i] * signs[:, j])).any()
    assert design.control.name in [arm.name for arm in arms]


def test_random_cells_are_distinct_seeded_and_hold_the_control(tmp_path: Path) -> None:
    def drawn(seed: int, arms: int = 20) -> list[str]:
        return names(
            resolve(tmp_path, SIX + f"design: {{kind: random, arms: {arms}, seed: {seed}}}\n")
        )

    one = drawn(0)
    assert len(set(one)) == 20 and one == drawn(0) and one != drawn(1)
    assert one[0] == drawn(1)[0]  # the control
    assert drawn(0, 12) == one[:12]
    assert len(drawn(0, 100)) == 64  # there are no more


def test_leave_one_out_takes_each_component_out_alone_and_all_together(tmp_path: Path) -> None:
    text = """
axes:
  mask: {with: {}, without: {model.gate: none}}
  landmarks: {with: {}, without: {landmarks.update_ratio: 0}}
design: leave_one_out
"""
    design = resolve(tmp_path, text)
    assert names(design) == ["complete", "without mask", "without landmarks", "without all of them"]
    assert design.control.name == "complete"


def test_conditions_leave_cells_out_and_the_count_agrees(tmp_path: Path) -> None:
    text = SIX + "where: [\"model.gate == 'sigmoid' or landmarks.update_ratio == 2\"]\n"
    design = resolve(tmp_path, text)
    found = names(design)
    assert len(found) == design.arm_count == 48
    assert not any("gate=none" in name and "update_ratio=1" in name for name in found)


def test_a_conditional_axis_exists_only_where_its_condition_holds(tmp_path: Path) -> None:
    text = """
axes:
  train.balancing: [none, focal, logit_adjustment]
  train.balancing_strength: {when: "train.balancing != 'none'", levels: [0.5, 1.0]}
  model.gate: [sigmoid, none]
"""
    design = resolve(tmp_path, text)
    arms = list(design.arms())
    assert len(arms) == design.arm_count == 10
    counts = Counter(arm.spec.train.balancing for arm in arms)  # type: ignore[union-attr]
    assert counts == {"none": 2, "focal": 4, "logit_adjustment": 4}
    plain = [arm for arm in arms if arm.spec.train.balancing == "none"]  # type: ignore[union-attr]
    assert all("train.balancing_strength" not in arm.levels for arm in plain)


def test_conditions_see_defaults_presets_and_the_command_line(tmp_path: Path) -> None:
    text = """
axes:
  system: {ropanet: {}, baseline: {base: ropanet_baseline}, prior: {base: prior}}
where: ["train.epochs > 0 and train.selection == 'last'"]
"""
    assert names(resolve(tmp_path, text)) == ["ropanet", "baseline"]  # the prior has no epochs
    other = text.replace("train.epochs > 0", "train.epochs == 3")
    design = resolve(
        tmp_path, other.replace(", prior: {base: prior}", ""), settings={"train.epochs": 3}
    )
    assert design.arm_count == 2


def test_a_million_cells_with_conditions_are_counted_without_being_walked(tmp_path: Path) -> None:
    ten = list(range(1, 11))
    paths = ("train.epochs", "train.batch_size", "landmarks.update_ratio", "data.split_seed",
             "model.global_filters", "model.branch_units")  # fmt: skip
    text = "axes:\n" + "".join(f"  {path}: {ten}\n" for path in paths)
    design = resolve(tmp_path, text + 'where: ["train.epochs <= train.batch_size"]\n')
    assert design.arm_count == 55 * 10**4
    sample = list(design.sampled_arms(40))
    assert len({arm.name for arm in sample}) == 40
    assert all(a.spec.train.epochs <= a.spec.train.batch_size for a in sample)  # type: ignore[union-attr]
    assert any(one.spec != other.spec for one, other in pairwise(sample))


def test_rows_that_a_ledger_design_leaves_out_stay_as_published_at_both_ends(
    tmp_path: Path,
) -> None:
    whole = resolve(tmp_path, "base: as_published\ndesign: ledger\n")
    design = resolve(tmp_path, "base: as_published\ndesign: {kind: ledger, without: [20, 21]}\n")
    assert design.arm_count == whole.arm_count - 4
    ends = {arm.name: arm.spec.eval.protocol for arm in design.arms()}
    assert ends["as released"] == ends["as published"] == "whole_split"
    assert not any("row 20" in name or "row 21" in name for name in ends)


FAULTS = {
    "runs that are no power of two": (
        SIX + "design: {kind: fractional, runs: 12}\n", "9:1", "power of two below the 64"),
    "a fraction of three levels": (
        "axes: {landmarks.update_ratio: [1, 2, 3], model.gate: [none, sigmoid]}\n"
        "design: {kind: fractional, runs: 4}\n", "2:1", "has 3"),
    "too few runs": (
        SIX + "  model.gate_depth: [0, 1]\n  model.branch_units: [6, 8]\n"
        "design: {kind: fractional, runs: 4}\n", "11:1", "at most 3 factors"),
    "a control that is excluded": (SIX + "where: [\"model.gate == 'none'\"]\n", "9:1", "excludes"),
    "an unknown setting in a condition": (SIX + "where: ['model.gat == 1']\n", "9:9", "no setting"),
    "axes beside the ledger": (
        "base: as_published\ndesign: ledger\naxes: {model.gate: [none]}\n", "3:1", "`axes`"),
    "the ledger from another base": ("base: ropanet\ndesign: ledger\n", "1:1", "as_published"),
    "a row of the ledger that is no difference": (
        "base: as_published\ndesign: {kind: ledger, without: [20, 1]}\n", "2:38", "found 1"),
    "an unknown design": ("design: facorial\n", "1:1", "design"),
    "a setting that nothing would use": (
        "base: {preset: ropanet, landmarks.update_ratio: 0, landmarks.weight: 2.0}\n", "1:52",
        "would ignore landmarks.weight"),
    "sparsity of a gate without a mask": (
        "base: {preset: ropanet, model.gate: none, model.gate_sparsity: 0.1}\n", "1:43",
        "would ignore"),
    "filters of convolutions that are not there": (
        "base: {preset: ropanet, model.local_filters: 3}\n", "1:25", "would ignore"),
    "separate steps that are one": (
        "base: {preset: ropanet, model.gate: detached, landmarks.steps: separate}\n", "1:47",
        "would ignore"),
    "augmentation of a frozen backbone": (
        "base: {preset: ropanet, train.augmentation: {flip: true}}\n", "1:25", "frozen"),
    "a strength of no rule": (
        "base: {preset: ropanet, train.balancing_strength: 0.5}\n", "1:25", "no strength"),
    "the best epoch of no validation": (
        "base: {preset: ropanet, train.selection: best, data.validation_size: 0}\n", "1:25",
        "validation loss"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_design_is_one_message_with_its_place(fault: str, tmp_path: Path) -> None:
    text, place, found = FAULTS[fault]
    with pytest.raises(BenchError) as raised:
        resolve(tmp_path, text)
    assert f"study.yaml:{place}" in str(raised.value) and found in str(raised.value)
