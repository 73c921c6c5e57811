"""What identifies a trial, its features and a search: these must not change by moving code.

Those in `identities.json` change on purpose only, with `SEMANTICS`; they are of SEMANTICS 5.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from bench.store.features import FeatureKey, feature_key
from bench.store.searches import SearchPlan
from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.study.trial import trial_id
from bench.systems.settings import BackboneSettings

ABLATIONS = Path(__file__).parents[2] / "ablations"
GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "identities.json").read_text())


def studies(kind: str) -> list[tuple[str, str]]:
    """The shipped studies and profiles that a part of the file is about."""
    found = [tuple(key.split("/")[:2]) for key in GOLDEN[kind] if "/" in key]
    return [(study, profile) for (study, profile), _ in groupby(found)]


def shipped(study: str, profile: str) -> Design:
    return resolve_study(*load_study(ABLATIONS / f"{study}.yaml"), profile=profile)


def search(design: Design, arm: Any) -> str:
    assert design.tuning is not None
    return SearchPlan(arm.name, arm.spec, design.tuning, lambda spec: "fingerprint").id


SEEDS_THEN = {
    ("mask_gate", "smoke"): 1,
    ("class_balance", "laptop"): 2,
    ("landmark_ratio", "laptop"): 2,
    ("gate_shape", "laptop"): 2,
    ("ledger", "laptop"): 2,
    ("systems", "laptop"): 2,
}
"""The last seed when the identities were written, of studies that have other seeds since."""


@pytest.mark.parametrize(("study", "profile"), studies("trials"))
def test_trials_keep_their_identity(study: str, profile: str) -> None:
    design = shipped(study, profile)
    for arm in design.arms():
        known = GOLDEN["trials"][f"{study}/{profile}/{arm.name}"]
        seed = SEEDS_THEN.get((study, profile), design.seeds[-1])
        assert trial_id(arm.trial(seed), "fingerprint") == known, arm.name


@pytest.mark.parametrize(("study", "profile"), studies("searches"))
def test_searches_keep_their_identity(study: str, profile: str) -> None:
    design = shipped(study, profile)
    for arm in design.arms():
        assert search(design, arm) == GOLDEN["searches"][f"{study}/{profile}/{arm.name}"]


@pytest.mark.parametrize("name", GOLDEN["tunings"])
def test_searches_by_every_algorithm_keep_their_identity(name: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(f"base: ropanet\nseeds: 2\ntuning:\n  space: {GOLDEN['tunings'][name]}\n")
    design = resolve_study(*load_study(file), profile="laptop")
    assert search(design, design.control) == GOLDEN["searches"][name]


def test_features_keep_their_folder() -> None:
    for fields, name in GOLDEN["features"]["keys"]:
        assert FeatureKey(**fields).name == name
    for settings, arithmetic, name in GOLDEN["features"]["settings"]:
        assert feature_key(BackboneSettings(**settings), "f", arithmetic).name == name
