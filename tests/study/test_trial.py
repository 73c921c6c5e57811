"""A trial stays the trial it was: what a setting that came later does to identities."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bench.study.trial import canonical, trial_id
from bench.systems.fashionnet.settings import FashionNet
from bench.systems.ropanet.settings import RopaNet
from bench.systems.settings import ADDED
from tests.specs import spec_of


def test_a_later_setting_counts_once_it_is_not_at_its_default() -> None:
    added = [name for name, info in RopaNet.model_fields.items() if ADDED in info.metadata]
    assert "local" in added
    plain = spec_of("ropanet", "laptop")
    assert not set(added) & set(canonical(plain)["model"]) and "pose" not in canonical(plain)
    assert trial_id(spec_of("ropanet", "laptop", model__local="gate"), "f") == trial_id(plain, "f")
    pooling = {"model__local": "landmark_pooling"}
    ids = [trial_id(spec_of("ropanet", "laptop", **pooling, **more), "f")
           for more in ({}, {"model__local_window": 5})]  # fmt: skip
    assert len({*ids, trial_id(plain, "f")}) == 3


@pytest.mark.parametrize(
    ("preset", "settings", "at_fault"),
    [
        ("ropanet", {"model__local_window": 3}, "model.local_window"),
        ("ropanet", {"model__local": "landmark_pooling", "model__gate": "none"}, "model.gate"),
        ("ropanet", {"model__local": "landmark_pooling", "landmarks__rescaling": "none"},
         "landmarks.rescaling"),
        ("ropanet", {"model__local": "landmark_pooling", "landmarks__steps": "separate"},
         "landmarks.steps"),
        ("ropanet", {"pose": {}}, "pose"),
        ("fashionnet", {"landmarks": {}}, "landmarks"),
        ("fashionnet", {"pose": None}, "pose"),
        ("fashionnet", {"model__local": "gate", "model__local_window": 5}, "model.local_window"),
    ],
)  # fmt: skip
def test_a_setting_that_would_have_no_effect_is_an_error(
    preset: str, settings: dict[str, Any], at_fault: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        spec_of(preset, "laptop", **settings)
    assert caught.value.errors()[0]["ctx"]["path"] == at_fault


def test_the_laptops_fashionnet_is_the_small_one() -> None:
    laptop = spec_of("fashionnet", "laptop")
    small = spec_of("fashionnet_small", "paper")
    assert laptop.model == small.model and laptop.pose == small.pose
    whole = spec_of("fashionnet", "paper").model
    assert whole == FashionNet() and whole.backbone.name == "vgg16_conv4"  # type: ignore[union-attr]
