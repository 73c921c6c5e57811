"""What varies with a seed: which trials differ, which stay what they were, and every fault."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from bench.errors import BenchError
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.schema import study_schema
from bench.study.study import load_study
from bench.study.trial import canonical, trial_id
from tests.specs import spec_of


def resolve(folder: Path, text: str) -> Design:
    file = folder / "study.yaml"
    file.write_text(text)
    return resolve_study(*load_study(file), profile="laptop")


def test_the_usual_is_no_part_of_a_trials_identity_and_the_order_of_writing_neither() -> None:
    plain = spec_of("ropanet")
    assert "vary" not in canonical(plain)
    assert trial_id(spec_of("ropanet", vary=["order", "weights"]), "f") == trial_id(plain, "f")
    forms = (["weights"], ["order"], ["weights", "order", "sampling"], ["sampling"])
    ids = {trial_id(spec_of("ropanet", vary=form), "f") for form in forms}
    assert len(ids | {trial_id(plain, "f")}) == 5
    turned = trial_id(spec_of("ropanet", vary=["sampling", "order", "weights"]), "f")
    assert turned in ids


def test_what_is_left_out_stays_as_at_seed_0() -> None:
    spec = spec_of("ropanet", vary=["order"], seed=7)
    assert [spec.seed_of(what) for what in ("weights", "order", "sampling")] == [0, 7, 0]
    usual = spec_of("ropanet", seed=7)
    assert [usual.seed_of(what) for what in ("weights", "order", "sampling")] == [7, 7, 0]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("base: {preset: ropanet, vary: []}\n", "1:25", "vary names nothing: all seeds would be"),
        ("base:\n  preset: ropanet\n  vary: [order, order]\n", "3:3", "vary names order twice"),
        ("base: {preset: ropanet, vary: [weight]}\n", "1:25", "found 'weight'.*`weights`"),
        ("base: {preset: ropanet, vary: [sampling], data.train_size: all, data.test_size: all,\n"
         "       data.validation_size: 0, train.patience: null}\n", "1:25",
         "vary: sampling draws images from the official pools"),
        ("base: {preset: prior, vary: [order], train: null, data.validation_size: 0}\n", "1:23",
         "the model prior is not trained"),
    ],
)  # fmt: skip
def test_what_would_have_no_effect_is_an_error_with_its_line(
    text: str, line: str, what: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=f"(?s){what}") as error:
        resolve(tmp_path, text)
    assert f"study.yaml:{line}" in str(error.value)


def test_sampling_that_divides_the_images_is_of_use_whatever_the_sizes() -> None:
    sizes = dict.fromkeys(("data__train_size", "data__validation_size", "data__test_size"), "all")
    spec_of("ropanet", vary=["sampling"], data__split="image", **sizes)
    with pytest.raises(ValidationError, match="all of each"):
        spec_of("ropanet", vary=["sampling"], **sizes)


def test_sources_of_variance_can_be_arms(tmp_path: Path) -> None:
    text = """
axes:
  vary:
    - [weights]
    - [order]
    - [weights, order, sampling]
"""
    design = resolve(tmp_path, text)
    assert [arm.spec.vary for arm in design.arms()] == [
        ("weights",), ("order",), ("weights", "order", "sampling"),
    ]  # fmt: skip
    plain = load_study(tmp_path / "study.yaml")[1].value
    jsonschema.validate(plain, study_schema())


TUNED = """
base: {preset: ropanet_baseline, %s, train.epochs: 2, train.patience: null}
%stuning: {space: {train.learning_rate: [0.01, 0.001]}, algorithm: grid}
"""


def test_a_tuned_study_is_not_tested_on_images_that_it_was_tuned_on(tmp_path: Path) -> None:
    resolve(tmp_path, TUNED % ("vary: [sampling]", ""))
    with pytest.raises(BenchError, match="winners would be tested on images"):
        resolve(tmp_path, TUNED % ("vary: [sampling], data.split: image", ""))
    one = "axes: {vary: [[weights, order], [weights, order, sampling]]}\n"
    with pytest.raises(BenchError, match="only one draws images by seed"):
        resolve(tmp_path, TUNED % ("train.batch_size: 8", one))
    with pytest.raises(BenchError, match="`vary` cannot be tuned"):
        space = TUNED.replace("train.learning_rate: [0.01, 0.001]", "vary: [[order], [weights]]")
        resolve(tmp_path, space % ("train.batch_size: 8", ""))
