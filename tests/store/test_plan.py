"""What a plan says that trials need on disk before they run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.data.split import split_of
from bench.engine.request import StudyRequest
from bench.engine.study_plan import plan_study
from bench.store.plan import feature_needs
from bench.store.trials import Store
from bench.study.resolve import resolve_study
from bench.study.study import load_study
from bench.study.trial import TrialSpec
from bench.tuning.tuned_study import TunedStudy
from tests.specs import spec_of

SIZES = "data.train_size: 40, data.validation_size: 8, data.test_size: 20"


@pytest.fixture(scope="module")
def manifest(phantom: Path) -> Manifest:
    return open_source(phantom)


def rows_of(specs: list[TrialSpec], manifest: Manifest) -> list[int]:
    splits = [split_of(spec, manifest) for spec in specs]
    return sorted({int(row) for s in splits for row in (*s.train, *s.val, *s.test)})


def test_trials_that_draw_their_images_need_the_features_of_every_seeds_draw(
    manifest: Manifest, tmp_path: Path
) -> None:
    sizes = {"data__train_size": 40, "data__validation_size": 8, "data__test_size": 20}
    specs = [spec_of("ropanet", **sizes, vary=["sampling"], seed=seed) for seed in range(4)]
    (need,) = feature_needs(specs, manifest, tmp_path)
    assert need.rows.tolist() == rows_of(specs, manifest) and len(need.rows) > 68
    usual = [spec_of("ropanet", **sizes, seed=seed) for seed in range(4)]
    (need,) = feature_needs(usual, manifest, tmp_path)
    assert len(need.rows) == 68


def test_the_plan_counts_the_images_of_all_seeds(
    manifest: Manifest, own_cache: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(f"base: {{preset: ropanet_baseline, vary: [sampling], {SIZES}}}\nseeds: 3\n")
    plan = plan_study(StudyRequest(study, profile="smoke"), tmp_path / "results", own_cache)
    specs = [arm.trial(seed) for arm in plan.design.arms() for seed in range(3)]
    (need,) = plan.features
    np.testing.assert_array_equal(need.rows, rows_of(specs, manifest))


def test_a_tuned_study_needs_the_draws_of_its_tuning_seeds_and_of_its_own(
    manifest: Manifest, own_cache: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        f"base: {{preset: ropanet_baseline, vary: [weights, sampling], {SIZES}}}\nseeds: [0, 1]\n"
        "tuning: {space: {train.learning_rate: [0.01, 0.001]}, algorithm: grid, seeds: [5, 6]}\n"
    )
    design = resolve_study(*load_study(study), profile="smoke")
    tuned = TunedStudy(design, manifest, Store(tmp_path / "results"), [], rerun=False)
    specs = tuned.feature_specs()
    assert sorted((spec.seed, spec.eval.split) for spec in specs) == [
        (0, "test"), (1, "test"), (5, "validation"), (6, "validation"),
    ]  # fmt: skip
    plan = plan_study(StudyRequest(study, profile="smoke"), tmp_path / "results", own_cache)
    assert plan.features[0].rows.tolist() == rows_of(specs, manifest)
