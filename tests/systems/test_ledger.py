"""The ledger is complete, names real settings, and is what the two presets differ in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bench.data.sources import open_source
from bench.data.split import split_of
from bench.files.yaml import Located
from bench.models.network import ModelInputs
from bench.study.config_errors import known_settings
from bench.study.overlays import flatten
from bench.study.resolve import resolve_study
from bench.study.study import Study
from bench.systems.ledger import as_released, ledger
from bench.systems.registry import load
from bench.systems.ropanet.settings import RopaNet
from bench.train.extract import scaling_of
from tests.specs import spec_of


def settings(preset: str, profile: str) -> dict[str, Any]:
    return flatten(spec_of(preset, profile).model_dump(mode="json"))


def test_the_ledger_holds_the_22_decisions() -> None:
    assert [row.row for row in ledger()] == list(range(1, 23))
    assert all(row.decision and row.paper and row.code and row.default for row in ledger())
    assert [row.row for row in ledger() if row.unverified] == [17]


@pytest.mark.parametrize("row", ledger(), ids=lambda row: str(row.row))
def test_every_row_names_real_settings(row: Any) -> None:
    known = known_settings()
    assert row.settings and set(row.settings) <= known
    assert set(row.released) <= set(row.settings)


def test_the_two_presets_differ_in_exactly_the_ledgers_rows() -> None:
    published, released = settings("as_published", "paper"), settings("as_released", "paper")
    differ = {
        path for path in published.keys() | released.keys()
        if published.get(path, "absent") != released.get(path, "absent")
    }  # fmt: skip
    carried = {path for row in ledger() if not row.unverified for path in row.released}
    assert differ == carried
    assert {path: released[path] for path in carried} == as_released()


def test_as_released_does_what_the_released_code_did() -> None:
    done = spec_of("as_released", "paper")
    assert done.train is not None and done.landmarks is not None
    assert (done.train.batch_size, done.train.epochs, done.train.patience) == (4, 1, None)
    assert done.landmarks.model_dump() == {
        "update_ratio": 2, "interleaving": "same_batch", "weight": 1.0, "steps": "separate",
        "counters": "shared", "trained_channels": 4, "trained_visibility": "every",
        "absent": "origin", "channels": "position", "axis_order": "xy", "rescaling": "none",
        "target": "true_pixel",
    }  # fmt: skip
    assert done.data.split == "image" and done.data.colliding_paths == "merged"
    assert done.eval.protocol == "last_batch" and done.eval.precision_recall == "pooled"
    assert done.model.landmark_activation == "relu"  # type: ignore[union-attr]
    assert done.model.branch_bias == "he_normal"  # type: ignore[union-attr]


def test_as_published_is_the_paper_and_the_ledgers_defaults() -> None:
    assert spec_of("as_published", "paper") == spec_of("ropanet", "paper")


@pytest.mark.parametrize("profile", ["smoke", "laptop", "paper"])
def test_a_ledger_study_goes_one_row_at_a_time_in_both_directions(profile: str) -> None:
    study = Study(name="ledger", base="as_published", design="ledger", seeds=1)
    native = {"train.arithmetic": "native"}  # as `spec_of` has it
    design = resolve_study(study, Located({}, {}, "x"), profile=profile, settings=native)
    arms = {arm.name: arm for arm in design.arms()}
    released = {row.row: row for row in ledger() if row.released}
    published = flatten(arms["as published"].spec.model_dump(mode="json"))
    whole = flatten(arms["as released"].spec.model_dump(mode="json"))
    assert arms["as released"].spec == spec_of("as_released", profile)
    for row in released.values():
        alone = flatten(arms[row.name].spec.model_dump(mode="json"))
        changed = {path for path in alone if alone[path] != published[path]}
        assert changed <= set(row.released) and arms[row.name].against is None
        if row.unverified:
            back = arms[f"as released, and {row.name}"]
        else:
            back = arms[f"as released, but {row.name}"]
        assert back.against == "as released"
        other = flatten(back.spec.model_dump(mode="json"))
        assert {path for path in other if other[path] != whole[path]} <= set(row.released)
    assert len(arms) == 2 + 2 * len(released)


def test_rows_1_and_2_the_backbone_is_frozen_and_fed_with_unit_scaled_images() -> None:
    backbone = spec_of("as_released", "paper").model.backbone  # type: ignore[union-attr]
    assert backbone.frozen and (backbone.name, backbone.weights) == ("inception_v3", "imagenet")
    images = np.array([0.0, 0.25, 1.0], np.float32).reshape(1, 1, 3, 1) * np.ones(3, np.float32)
    np.testing.assert_array_equal(scaling_of(backbone)(images), images)
    native = scaling_of(backbone.model_copy(update={"scaling": "native"}))(images)
    np.testing.assert_allclose(native, 2 * images - 1, atol=1e-6)  # Inception's own [-1, 1]


def test_rows_5_and_7_the_upsampling_path_and_the_wide_convolution() -> None:
    for preset in ("as_published", "as_released"):
        trial = spec_of(preset, "paper")
        model = trial.model
        assert isinstance(model, RopaNet)
        assert [stage.filters for stage in model.upsampling] == [256, 128, 64, 32, 16, 8]
        features = keras.Input((8, 8, 2048))
        network = load(model.network)(model, trial.landmarks, ModelInputs(features, features, 50))
        wide = network.model.get_layer("global_conv_1")
        assert tuple(wide.kernel.shape) == (5, 5, 2048, 2048)  # 104.9 M weights
        assert wide.activation is keras.activations.tanh
        assert network.supervision.side == 300


def test_row_18_by_image_one_products_photographs_fall_on_both_sides(phantom: Path) -> None:
    manifest = open_source(phantom)
    trial = spec_of("as_published", "smoke")

    def shared_products(split: str) -> int:
        data = trial.data.model_copy(update={"split": split})
        drawn = split_of(trial.model_copy(update={"data": data}), manifest)
        return len({*manifest.product[drawn.train]} & {*manifest.product[drawn.test]})

    assert shared_products("image") > 0 == shared_products("official") == shared_products("product")
