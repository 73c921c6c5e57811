"""Features on disk: extracted once, from weights by name or by file, and never trusted unread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.sources import open_source
from bench.errors import BenchError
from bench.store.features import FeatureStore, feature_key
from bench.systems.registry import BACKBONES, load
from bench.systems.settings import BackboneSettings
from bench.train.extract import ensure_weights, extract, open_backbone


@pytest.mark.parametrize(
    ("name", "side"), [("efficientnet_lite0_stage3", 64), ("inception_v3", 96)]
)
def test_a_weights_file_is_what_the_backbone_computes_with(
    name: str, side: int, tmp_path: Path
) -> None:
    made = load(BACKBONES[name].build)(side, None)
    file = tmp_path / "mine.weights.h5"
    made.save_weights(file)
    settings = BackboneSettings(name=name, weights=str(file), input_size=side)
    read = open_backbone(settings)
    images = np.random.default_rng(0).random((2, side, side, 3)).astype("f4")
    np.testing.assert_array_equal(made.predict_on_batch(images), read.predict_on_batch(images))
    assert not read.trainable_variables
    other = "vgg16" if name == "inception_v3" else "inception_v3"
    wrong = BackboneSettings(name=other, weights=str(file), input_size=96)
    with pytest.raises(BenchError, match="do not fit"):
        open_backbone(wrong)


def test_weights_that_are_not_there_say_which_file_to_place_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.applications.InceptionV3", _no_network)
    with pytest.raises(BenchError, match=r"place the file inception_v3_weights\S+\.h5 in"):
        ensure_weights(BackboneSettings())
    with pytest.raises(BenchError, match="no weights file at"):
        ensure_weights(BackboneSettings(weights=str(tmp_path / "none.h5")))


def _no_network(**options: object) -> None:
    raise OSError("no network")


def test_maps_are_extracted_once_and_pixels_are_kept_for_a_trained_backbone(
    phantom: Path, tmp_path: Path
) -> None:
    manifest = open_source(phantom)
    frozen = BackboneSettings(name="efficientnet_lite0_stage5", weights="none", input_size=64)
    trained = frozen.model_copy(update={"trainable": "all"})
    asked: list[int] = []
    for settings in (frozen, frozen, trained):
        extract(manifest, range(40), settings, tmp_path, progress=lambda _, n: asked.append(n))
    assert asked == [40, 40]  # the second time, nothing was missing
    maps = FeatureStore(tmp_path, feature_key(frozen, manifest.fingerprint, "native")).reader()
    pixels = FeatureStore(tmp_path, feature_key(trained, manifest.fingerprint, "native")).reader()
    assert maps.shape == (4, 4, 112) and pixels.shape == (64, 64, 3)
    assert pixels.gather(np.array([3])).max() > 50  # 0 to 255
    extract(manifest, range(60), frozen, tmp_path, progress=lambda _, n: asked.append(n))
    assert asked[-1] == 20


def test_photographs_of_a_folder_are_trained_on_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored image's left is to be on top
    image = Image.new("RGB", (64, 32))
    image.paste("white", (0, 0, 32, 32))
    for name in ("coat/1.png", "hat/1.png"):
        (tmp_path / name).parent.mkdir()
        image.save(tmp_path / name, exif=exif)
    manifest = open_source(tmp_path)
    settings = BackboneSettings(
        name="efficientnet_lite0_stage5", weights="none", input_size=64, trainable="all"
    )
    maps = (
        extract(manifest, np.arange(2), settings, tmp_path / "cache").reader().gather(np.arange(2))
    )
    assert maps[:, :28].min() > 200 and maps[:, 36:].max() < 50
