"""FashionNet's targets, its alternating weighting, and what its trials and records hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.landmarks import distances
from bench.data.attributes import Attributes, data_identity, load_attributes
from bench.data.ground_truth import GroundTruth
from bench.data.phantom_attributes import PHANTOM_ATTRIBUTES
from bench.data.sources import open_source
from bench.models.losses import NO_PLACE, NO_STATE
from bench.store.record import TrialRecord
from bench.store.trials import Store
from bench.systems.fashionnet.settings import Phase, PoseSpec
from bench.systems.fashionnet.supervision import attribute_weights, pose_targets
from bench.train.loop import TrialContext, run_trial
from tests.specs import spec_of
from tests.train.smoke import prepare


@pytest.fixture(scope="module")
def context(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    return TrialContext(open_source(phantom), tmp_path_factory.mktemp("pose"))


def trained(context: TrialContext, preset: str, **settings: Any) -> TrialRecord:
    spec = spec_of(preset, **settings)
    prepare(context, spec)
    return run_trial(spec, context)


def history(record: TrialRecord, metric: str, split: str = "train") -> list[float]:
    return [v for _, s, m, v in record.history if (s, m) == (split, metric)]


def test_places_of_visible_landmarks_are_trained_and_states_of_all() -> None:
    landmarks = np.full((1, 8, 2), np.nan, np.float32)
    landmarks[0, 4:] = [[0.25, 0.05], [0.95, 0.15], [0.0, 1.0], [0.55, 0.85]]
    visibility = np.array([[-1, -1, -1, -1, 0, 1, 2, 0]])
    trousers = GroundTruth(landmarks, visibility, np.array([2]), np.array([[300, 150]]))
    places, states = pose_targets(trousers, PoseSpec())
    trained = [4, 7]
    np.testing.assert_array_equal(places[0, trained], landmarks[0, trained])
    assert (np.delete(places[0], trained, axis=0) == NO_PLACE).all()
    assert states[0].tolist() == [2, 2, 2, 2, 0, 1, 2, 0]
    places, states = pose_targets(
        trousers, PoseSpec(trained_visibility="occluded", absent="masked")
    )
    assert (places[0, 5] == landmarks[0, 5]).all()
    assert states[0, :4].tolist() == [NO_STATE] * 4


def test_phases_follow_each_other_over_and_over_landmarks_first() -> None:
    spec = PoseSpec()
    assert [spec.phase(e).landmarks > spec.phase(e).recognition for e in range(4)] == [
        True, False, True, False,
    ]  # fmt: skip
    long, short = Phase(epochs=2, landmarks=1, recognition=0), Phase(landmarks=0, recognition=1)
    spec = PoseSpec(alternation=(long, short))
    assert [spec.phase(e) for e in range(7)] == [long, long, short, long, long, short, long]


def test_positive_and_negative_answers_weigh_alike_in_sum() -> None:
    answers = np.array([[1, 1, -1], [-1, 1, 0], [-1, -1, 0], [-1, -1, 0]], np.int8)
    counts = Attributes((), np.array([]), answers, 0).counts(np.arange(4))
    weights = attribute_weights(counts, "ratio")
    np.testing.assert_allclose(weights, [[0.5, 1, 0], [1.5, 1, 2]])
    for index in (0, 1):
        no, yes = (answers[:, index] == -1).sum(), (answers[:, index] == 1).sum()
        assert weights[0, index] * no == pytest.approx(weights[1, index] * yes)
    assert (attribute_weights(counts, "none") == 1).all()


def test_the_first_epoch_is_weighted_by_the_first_phase_and_the_next_by_the_next(
    context: TrialContext, tmp_path: Path
) -> None:
    phases = [{"landmarks": 1.0, "recognition": 0.0}, {"landmarks": 0.0, "recognition": 1.0}]
    record = trained(context, "fashionnet", pose__alternation=phases)
    for metric, epoch in (("points_loss", 0), ("visibility_loss", 0), ("category_loss", 1),
                          ("attributes_loss", 1)):  # fmt: skip
        found = history(record, metric)
        assert found[epoch] > 0 == found[1 - epoch], metric
        assert min(history(record, metric, "val")) > 0, "validation is not weighted by phases"

    answered, names = record.attributes, tuple(PHANTOM_ATTRIBUTES)
    assert answered is not None and answered.names == names and answered.logits.std() > 0
    attributes = load_attributes(context.manifest)
    assert attributes is not None
    row = list(context.manifest.paths).index(answered.images[5])
    np.testing.assert_array_equal(answered.true[5], attributes.answers[row])

    store = Store(tmp_path)
    store.write(record)
    again = store.read(record.id)
    assert again.attributes is not None and again.landmarks is not None
    np.testing.assert_array_equal(again.attributes.logits, answered.logits)
    assert again.attributes.names == names and again.landmarks.soft is None
    np.testing.assert_array_equal(again.landmarks.sizes, record.landmarks.sizes)  # type: ignore[union-attr]


def test_a_model_without_attributes_is_the_same_trial_whatever_attributes_there_are(
    context: TrialContext,
) -> None:
    manifest = context.manifest

    def identity(preset: str, **settings: Any) -> str:
        return data_identity(spec_of(preset, **settings), manifest)

    assert identity("ropanet") == identity("prior") == manifest.fingerprint
    assert identity("fashionnet", model__attributes="none") == manifest.fingerprint
    assert identity("fashionnet").startswith(manifest.fingerprint + "+")


def test_a_mask_in_fashionnet_and_points_in_ropanet_are_trained_and_recorded(
    context: TrialContext, tmp_path: Path
) -> None:
    masked = trained(context, "fashionnet", model__local="gate", model__attributes="none")
    assert masked.gate is not None and masked.attributes is None
    assert 0 < masked.metrics["gate_mean"] < 1

    pointed = trained(context, "ropanet", model__local="landmark_pooling")
    assert pointed.gate is None and pointed.landmarks is not None
    store = Store(tmp_path)
    store.write(pointed)
    put_back = store.read(pointed.id).landmarks
    assert put_back is not None and put_back.soft is not None
    np.testing.assert_array_equal(put_back.soft, pointed.landmarks.soft)
    hard, soft = distances(put_back), distances(put_back, soft=True)
    assert hard is not None and soft is not None and np.nanmax(np.abs(hard - soft)) > 0
