"""A trained trial as one model, in every form: the same answers as in the store."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from bench.data.images import decode_batch
from bench.data.sources import open_source
from bench.errors import BenchError
from bench.models.convolutions import BlockwiseConv2DTranspose, TapwiseConv2D
from bench.models.normalization import BatchNormalization
from bench.store.record import KeptWeights, TrialRecord
from bench.systems.registry import BACKBONES
from bench.systems.ropanet.network import MeanPenalty
from bench.systems.ropanet.settings import LandmarkSpec
from bench.systems.ropanet.supervision import LandmarkSupervision
from bench.systems.settings import BackboneSettings
from bench.train.extract import scaling_of
from bench.train.forms import ABOUT, KEY, write_model
from bench.train.litert import litert, saved_for_litert
from bench.train.loop import TrialContext, run_trial
from bench.train.predict import predict_images
from bench.train.whole_model import colour_scaling, description, in_keras_form, whole_model
from tests.train.smoke import prepare, smoke_spec

TINY = {"name": "efficientnet_lite0_stage3", "weights": "none", "input_size": 32}
SYSTEMS: dict[str, dict[str, Any]] = {
    "gate": {},
    "poolings": {
        "model__local_pooling": "generalised_mean", "model__global_pooling": "attention",
        "model__gate_sparsity": 0.1, "landmarks__axis_order": "xy",
    },
    "points": {"preset": "fashionnet"},
    "trained backbone": {"preset": "ropanet_baseline", "model__backbone": TINY | {"trainable": 2}},
    "random backbone": {"preset": "ropanet_baseline", "model__backbone": TINY},
}  # fmt: skip


@pytest.fixture(scope="module")
def context(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    return TrialContext(open_source(phantom), tmp_path_factory.mktemp("features"), keep="last")


@dataclass(frozen=True)
class Trained:
    """A trial with its weights, its whole model, the test images decoded, and its answers."""

    record: TrialRecord
    model: Any
    about: dict[str, Any]
    images: np.ndarray
    answers: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def trained(context: TrialContext) -> Callable[[str], Trained]:
    """One of `SYSTEMS`, trained once."""
    known: dict[str, Trained] = {}

    def train(system: str) -> Trained:
        if system not in known:
            spec = smoke_spec(**{"preset": "ropanet", "epochs": 1} | SYSTEMS[system])
            prepare(context, spec)
            known[system] = opened(context, run_trial(spec, context))
        return known[system]

    return train


def opened(context: TrialContext, record: TrialRecord) -> Trained:
    assert record.weights is not None
    model = whole_model(record, record.weights)
    images = decoded(context, record, model.input.shape[1])
    about = description(record, record.weights, model)
    return Trained(record, model, about, images, answers(model, images))


def decoded(context: TrialContext, record: TrialRecord, side: int) -> np.ndarray:
    pixels, faults = decode_batch(context.manifest.root, record.predictions.images, side)
    assert not faults
    return np.rint(pixels * 255).astype(np.uint8)


def answers(model: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(values) for name, values in model(images, training=False).items()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_whole_model_answers_decoded_images_as_the_trial_did(
    context: TrialContext, trained: Callable[[str], Trained], system: str, tmp_path: Path
) -> None:
    one = trained(system)
    record, found = one.record, one.answers
    assert set(found) == set(one.about["outputs"])
    np.testing.assert_allclose(found["probabilities"], record.predictions.probabilities, atol=1e-6)
    if record.landmarks is not None:
        np.testing.assert_allclose(found["landmarks"], record.landmarks.predicted, atol=1e-5)
    if record.gate is not None:
        np.testing.assert_allclose(found["gate"], record.gate.maps, atol=1e-3)  # kept in float16
    if record.attributes is not None:
        logits = record.attributes.logits.astype("f4")
        np.testing.assert_allclose(found["attributes"], 1 / (1 + np.exp(-logits)), atol=1e-3)
    # The file of a system without layers of the bench's own opens with Keras alone.
    write_model(one.model, one.about, tmp_path / "model.keras")
    again = answers(keras.saving.load_model(tmp_path / "model.keras"), one.images)
    for name, values in found.items():
        np.testing.assert_allclose(again[name], values, atol=1e-6)


def from_tflite(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    run = interpreter.Interpreter(str(path)).get_signature_runner()
    parts = [run(image=images[i : i + 1]) for i in range(len(images))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def from_onnx(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": images}), strict=True))


def from_saved_model(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return {name: values.numpy() for name, values in loaded.serve(images).items()}


def about_tflite(path: Path) -> str:
    return zipfile.ZipFile(path).read(ABOUT).decode()


def about_onnx(path: Path) -> str:
    onnx = pytest.importorskip("onnx")
    return str({p.key: p.value for p in onnx.load(path).metadata_props}[KEY])


def about_saved_model(path: Path) -> str:
    return (path / "assets.extra" / ABOUT).read_text()


FORMS = {
    "model.tflite": (from_tflite, about_tflite),
    "model.onnx": (from_onnx, about_onnx),
    "model": (from_saved_model, about_saved_model),
}
TOLERANCE = {"probabilities": 1e-5, "gate": 1e-5, "visibility": 1e-5, "attributes": 1e-5}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("system", ["gate", "poolings", "points", "random backbone"])
def test_an_exported_model_answers_as_in_keras(
    context: TrialContext, trained: Callable[[str], Trained], system: str, name: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    one = trained(system)
    assert len(one.images) == 64
    expected, path = one.answers, tmp_path / name
    run, read_about = FORMS[name]
    if name == "model.onnx":
        pytest.importorskip("tf2onnx")
    write_model(one.model, one.about, path)
    found = run(path, one.images)
    assert found.keys() == expected.keys()
    for output, tolerance in TOLERANCE.items():
        if output in expected:
            np.testing.assert_allclose(found[output], expected[output], atol=tolerance)
    if "landmarks" in expected:
        # The highest pixel of a map is another one only where two are as good as equal.
        moved = np.abs(found["landmarks"] - expected["landmarks"]).max(axis=(1, 2)) > 1e-5
        assert moved.mean() < 0.1
    assert json.loads(read_about(path)) == one.about
    assert one.about["class_names"] == list(context.manifest.class_names)


def test_weights_are_written_for_the_same_model(
    trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    one, path = trained("gate"), tmp_path / "model.weights.h5"
    write_model(one.model, one.about, path)
    with h5py.File(path) as file:
        assert json.loads(file.attrs[KEY]) == one.about
    before = one.model.get_weights()
    one.model.set_weights([np.zeros_like(weights) for weights in before])
    one.model.load_weights(path)
    for now, then in zip(one.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_kept_weights_are_taken_as_numbers_alone(trained: Callable[[str], Trained]) -> None:
    record, others = trained("gate").record, trained("random backbone").record.weights
    assert others is not None
    for content, message in (
        (b"no HDF5", "no weights file that can be trusted"),
        (others.content, "do not fit the trial's network"),
    ):
        with pytest.raises(BenchError, match=message):
            whole_model(record, KeptWeights("last", content))


@pytest.mark.parametrize("scaling", ["unit", "native"])
def test_the_scaling_of_every_backbone_is_part_of_its_model(scaling: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3))
    for name, backbone in BACKBONES.items():
        if scaling == "unit" or backbone.native_scaling is not None:
            settings = BackboneSettings(name=name, weights="none", scaling=scaling)
            expected = scaling_of(settings)((pixels / 255).astype("f4"))
            found = np.asarray(colour_scaling(settings)(pixels.astype("f4")))
            np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=name)


def test_which_epoch_is_kept_changes_no_number_and_the_kept_one_is_that_epochs(
    context: TrialContext,
) -> None:
    spec = smoke_spec("ropanet_baseline", epochs=3, model__backbone=TINY, train__learning_rate=0.5)
    prepare(context, spec)
    best = spec.model_copy(update={"train": spec.train.model_copy(update={"selection": "best"})})
    plain = {s.train.selection: run_trial(s, replace(context, keep=None)) for s in (spec, best)}
    losses = [v for _, split, m, v in plain["last"].history if (split, m) == ("val", "loss")]
    assert np.argmin(losses) < 2, "the best epoch must not be the last"
    for asked, keep in ((spec, "best"), (best, "last")):
        record = run_trial(asked, replace(context, keep=keep))
        assert asked.train is not None
        expected = plain[asked.train.selection].predictions.probabilities
        np.testing.assert_array_equal(record.predictions.probabilities, expected)
        found, other = opened(context, record).answers["probabilities"], plain[keep].predictions
        np.testing.assert_allclose(found, other.probabilities, atol=1e-6)


def test_layers_of_a_faster_form_are_exported_as_keras_own() -> None:
    maps = keras.Input((5, 5, 7))
    seen = BatchNormalization()(TapwiseConv2D(6, 5, padding="same", activation="relu")(maps))
    seen = MeanPenalty(0.1)(BlockwiseConv2DTranspose(4, 2, strides=2)(seen))
    model = keras.Model(maps, seen)
    plain = in_keras_form(model)
    assert all(type(layer).__module__.startswith("keras.") for layer in plain.layers)
    values = np.random.default_rng(0).normal(size=(2, 5, 5, 7)).astype("f4")
    np.testing.assert_allclose(plain(values), model(values), atol=1e-5)


def test_images_are_predicted_in_order_and_one_that_cannot_be_read_is_named(
    context: TrialContext, trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    asked = trained("points")
    record, about = asked.record, asked.about
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    paths = [context.manifest.root / image for image in record.predictions.images[:34]]
    found = list(predict_images(asked.model, about["class_names"], [*paths[:1], bad, *paths[1:]]))
    assert [one.image for one in found] == [paths[0], bad, *paths[1:]]
    assert found[1].fault == "not a JPEG, PNG, WebP or BMP file" and not found[1].classes
    assert found[1].to_json() == {"image": str(bad), "fault": found[1].fault}
    del found[1]
    probabilities = record.predictions.probabilities[:34]
    assert [one.classes[0][0] for one in found] == [
        about["class_names"][row] for row in probabilities.argmax(axis=1)
    ]
    for one, row in zip(found, probabilities, strict=True):
        np.testing.assert_allclose([p for _, p in one.classes], np.sort(row)[:-6:-1], atol=1e-6)
        assert one.landmarks is not None and set(one.landmarks) <= set(about["landmark_names"])


@pytest.mark.parametrize("axis_order", ["yx", "xy"])
def test_a_landmark_keeps_its_pixel_in_full_integers(axis_order: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    side = 32  # 1,024 pixels: 8 bits do not hold their numbers
    supervision = LandmarkSupervision(LandmarkSpec(axis_order=axis_order), side)
    maps = keras.Input((side * side, 8), dtype="uint8", name="image")
    values = keras.ops.transpose(keras.ops.cast(maps, "float32"), (0, 2, 1))
    model = keras.Model(maps, supervision.exported({"landmarks": values}))
    images = np.zeros((16, side * side, 8), np.uint8)
    pixels = np.random.default_rng(0).integers(0, side * side, (16, 8))
    np.put_along_axis(images, pixels[:, None, :], 255, axis=1)
    with saved_for_litert(model) as saved:
        (tmp_path / "model.tflite").write_bytes(litert(saved, "int8", images))
    found = from_tflite(tmp_path / "model.tflite", images)["landmarks"]
    x, y = (pixels % side + 0.5) / side, (pixels // side + 0.5) / side
    expected = np.stack([x, y] if axis_order == "yx" else [y, x], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1 / 256)
