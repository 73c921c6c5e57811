"""The plain way does the bench's work: same images, same beginning, and so a like result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plain_keras
import pytest

from bench.data.ground_truth import ground_truth
from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.data.split import split_of
from bench.study.settings.data import DataSpec, PhantomSource
from bench.study.settings.training import TrainSpec
from bench.study.trial import TrialSpec
from bench.systems.ropanet.settings import LandmarkSpec, RopaNet, UpsamplingStage
from bench.systems.ropanet.supervision import LandmarkSupervision
from bench.systems.ropanet.targets import pixel_targets
from bench.systems.settings import BackboneSettings
from bench.train.extract import extract
from bench.train.loop import TrialContext, run_trial

SPEC = TrialSpec(
    data=DataSpec(
        source=PhantomSource(images=300, seed=0), train_size=96, validation_size=16, test_size=64
    ),
    model=RopaNet(
        backbone=BackboneSettings(name="efficientnet_lite0_stage5", weights="none", input_size=96),
        upsampling=(UpsamplingStage(filters=16), UpsamplingStage(filters=8)),
        global_filters=8,
        global_kernel=3,
    ),
    landmarks=LandmarkSpec(),
    train=TrainSpec(epochs=6),
)


@pytest.fixture(scope="module")
def manifest(phantom: Path) -> Manifest:
    return open_source(phantom, cache=phantom.parents[1])


def test_its_images_are_the_splits_in_order(manifest: Manifest) -> None:
    rows = split_of(SPEC, manifest).test
    supervision = LandmarkSupervision(SPEC.landmarks, 24)

    batches = list(plain_keras.images_of(SPEC, manifest, rows, supervision).as_numpy_iterator())

    images = np.concatenate([images for images, _ in batches])
    assert images.shape == (64, 96, 96, 3) and 0.5 < images.max() <= 1
    category = np.concatenate([targets["category"] for _, targets in batches])
    assert category.tolist() == manifest.category[rows].tolist()
    pixels = np.concatenate([targets["landmarks"] for _, targets in batches])
    expected = pixel_targets(ground_truth(manifest, rows), 24, SPEC.landmarks)
    assert np.array_equal(pixels, expected)


def test_it_comes_to_a_like_result(manifest: Manifest, cache: Path) -> None:
    split = split_of(SPEC, manifest)
    every = np.concatenate([split.train, split.val, split.test])
    extract(manifest, every, SPEC.model.backbone, cache)
    bench = run_trial(SPEC, TrialContext(manifest, cache)).metrics

    plain = plain_keras.train_plain(SPEC, manifest, cache)

    assert plain.images == 6 * (96 + 16) + 64
    # Another order of the images and another decoder, so not the same numbers.
    untrained = np.log(len(manifest.class_names))
    assert plain.metrics["cross_entropy"] < 0.95 * untrained
    assert plain.metrics["cross_entropy"] == pytest.approx(bench["loss"], rel=0.05)
    assert plain.metrics["landmarks_loss"] == pytest.approx(bench["landmark_loss"], rel=0.05)
