"""Feature maps on disk: a frozen backbone is applied once to each image, for all trials.

For a backbone that is trained, the decoded pixels are kept in the same way.

    <cache>/features/<key>/about.json          what the maps are maps of
                           <shard>.npy         (rows, h, w, c) float32 maps or uint8 pixels,
                                               memory-mapped by readers
                           <shard>.json        which images, which were unreadable, checksums

A shard is whole once its `.json` is there, which is written last; a killed extraction continues
after its last whole shard. A shard is named by a hash of its rows, so that a description that names
the wrong images is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.files.atomic import new_file, write_json
from bench.files.checksums import file_checksum, read_with_checksum, with_checksum
from bench.systems.settings import BackboneSettings

SHARD_ROWS = 128
FORMAT = 2
"""Raised by hand whenever a key would give other maps than before."""
RANDOM_SEED = 0
PIXELS = "pixels"
"""Instead of a backbone: decoded images, for backbones that are trained."""


@dataclass(frozen=True)
class FeatureKey:
    """What a feature map depends on, besides the image.

    Args:
        backbone: Name of the network.
        weights: Digest of its weights' file, or `random:<seed>`.
        input_size: Side of the input image in pixels.
        scaling: `unit` or `native`.
        fingerprint: Fingerprint of the data.
        precision: What the network computes in; maps are stored in float32 either way.
        arithmetic: By its name (`TrialSpec.arithmetic`); decoded pixels have none.
    """

    backbone: str
    weights: str
    input_size: int
    scaling: str
    fingerprint: str
    format: int = FORMAT
    precision: str = "float32"
    arithmetic: str = "native"

    @property
    def plain(self) -> dict[str, Any]:
        """The key as it is hashed and written; without what is at its default, as in old caches."""
        plain: dict[str, Any] = {
            "backbone": self.backbone,
            "weights": self.weights,
            "input_size": self.input_size,
            "scaling": self.scaling,
            "fingerprint": self.fingerprint,
            "format": self.format,
        }
        if self.precision != "float32":
            plain["precision"] = self.precision
        if self.arithmetic != "native":
            plain["arithmetic"] = self.arithmetic
        return plain

    @property
    def name(self) -> str:
        """Folder name: the backbone and a hash of the whole key."""
        text = json.dumps(self.plain, sort_keys=True)
        return f"{self.backbone}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class _Shard:
    path: Path
    rows: tuple[int, ...]
    unreadable: dict[int, str]
    checksum: str
    seconds: float | None


class FeatureStore:
    """The maps of one key.

    Args:
        cache: Cache folder.
        key: What the maps are maps of.
    """

    def __init__(self, cache: Path, key: FeatureKey) -> None:
        self.folder = cache / "features" / key.name
        self.key = key

    def stored(self) -> set[int]:
        """Rows of the manifest whose maps are on disk."""
        return {row for shard in self._shards() for row in shard.rows}

    def missing(self, rows: Sequence[int] | np.ndarray) -> list[int]:
        """Those of `rows` that are still to be extracted, in ascending order."""
        return sorted({int(row) for row in rows} - self.stored())

    def write(
        self,
        rows: Sequence[int],
        maps: np.ndarray,
        unreadable: dict[int, str],
        seconds: float | None = None,
    ) -> None:
        """Add a shard, whole or not at all.

        Args:
            rows: Rows of the manifest.
            maps: `(len(rows), h, w, c)` float32, or uint8 pixels.
            unreadable: Row -> reason, for images that could not be decoded.
            seconds: How long the backbone took over them; None where it is not known.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "about.json").exists():
            write_json(self.folder / "about.json", self.key.plain)
        path = self.folder / f"{_shard_name(rows)}.npy"
        with new_file(path) as draft:
            np.save(draft, np.ascontiguousarray(maps), allow_pickle=False)
            checksum = file_checksum(draft)
        write_json(
            path.with_suffix(".json"),
            with_checksum(
                {
                    "rows": [int(row) for row in rows],
                    "unreadable": {str(row): why for row, why in unreadable.items()},
                    "sha256": checksum,
                    "seconds": seconds,
                }
            ),
        )

    def faults(self) -> Iterator[tuple[str, str]]:
        """Compare every shard with its checksums, one after another.

        Yields:
            Name of each shard's maps, and what is wrong with it; empty where nothing is.
        """
        for path in self._descriptions():
            maps = path.with_suffix(".npy")
            try:
                written = _described(path).checksum
                what = ""
                if not maps.is_file():
                    what = "its maps are missing"
                elif file_checksum(maps) != written:
                    what = "its maps are not what was written: their checksum differs"
            except (OSError, ValueError) as error:
                what = f"its description cannot be read: {error}"
            yield maps.name, what

    def drop(self, name: str) -> None:
        """Remove a shard by the name of its maps; its images count as missing again."""
        path = self.folder / name
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def verify(self) -> list[str]:
        """Compare every shard with its checksums and drop those that differ.

        Returns:
            Names of the shards dropped; their images count as missing again.
        """
        dropped = [name for name, fault in self.faults() if fault]
        for name in dropped:
            self.drop(name)
        return dropped

    def reader(self) -> FeatureReader:
        """The maps on disk, memory-mapped."""
        return FeatureReader(self.key.name, self._shards())

    def _descriptions(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("*.json") if p.name != "about.json")

    def _shards(self) -> list[_Shard]:
        """Shards that are whole; others count as missing, and `verify` drops them."""
        shards = []
        for path in self._descriptions():
            try:
                shards.append(_described(path))
            except (OSError, ValueError):
                continue
        return shards


def _shard_name(rows: Sequence[int]) -> str:
    return hashlib.sha256(np.asarray(rows, np.int64).tobytes()).hexdigest()[:16]


def _described(path: Path) -> _Shard:
    """A shard by its description.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not what was written.
    """
    plain = read_with_checksum(path)
    try:
        shard = _Shard(
            path=path.with_suffix(".npy"),
            rows=tuple(int(row) for row in plain["rows"]),
            unreadable={int(row): str(why) for row, why in plain["unreadable"].items()},
            checksum=str(plain["sha256"]),
            seconds=None if plain.get("seconds") is None else float(plain["seconds"]),
        )
        named = _shard_name(shard.rows)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is no description of a shard ({error})") from None
    if named != path.stem:
        raise ValueError("it names other images than its maps are of")
    return shard


class FeatureReader:
    """Feature maps by row of the manifest, read from memory-mapped shards.

    Args:
        name: Name of the key that the maps are of.
        shards: The shards.
    """

    def __init__(self, name: str, shards: Sequence[_Shard]) -> None:
        self.name = name
        self._maps = [_mapped(shard) for shard in shards]
        self._place = {
            row: (number, position)
            for number, shard in enumerate(shards)
            for position, row in enumerate(shard.rows)
        }
        self.unreadable = {row: why for shard in shards for row, why in shard.unreadable.items()}
        timed = [shard for shard in shards if shard.seconds]
        self._timed = sum(len(shard.rows) for shard in timed)
        self._seconds = sum(shard.seconds or 0.0 for shard in timed)
        if not self._maps:
            raise BenchError("no features are on disk", fix="run the study: it extracts them")

    @property
    def images_per_second(self) -> float | None:
        """How fast the backbone was, decoding left out; None where it is not known."""
        return self._timed / self._seconds if self._seconds else None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c) of a feature map."""
        height, width, channels = self._maps[0].shape[1:]
        return int(height), int(width), int(channels)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Maps of some images, `(len(rows), h, w, c)` float32.

        Raises:
            KeyError: The map of a row is not on disk.
        """
        maps = np.empty((len(rows), *self.shape), np.float32)
        for position, row in enumerate(rows):
            number, index = self._place[int(row)]
            maps[position] = self._maps[number][index]
        return maps


def _mapped(shard: _Shard) -> np.ndarray:
    try:
        maps: np.ndarray = np.load(shard.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unusable(shard, str(error)) from error
    if maps.ndim != 4 or len(maps) != len(shard.rows) or maps.dtype not in (np.float32, np.uint8):
        raise _unusable(shard, f"it holds {maps.dtype} of shape {maps.shape}")
    return maps


def _unusable(shard: _Shard, found: str) -> BenchError:
    return BenchError(
        f"expected the maps of {len(shard.rows)} images: {found}",
        where=str(shard.path),
        fix="`bench fsck --repair` drops it, and the next run extracts it again",
    )


def feature_key(settings: BackboneSettings, fingerprint: str, arithmetic: str) -> FeatureKey:
    """What a backbone's feature maps, or the pixels it is trained on, depend on.

    Args:
        settings: The backbone.
        fingerprint: Fingerprint of the data.
        arithmetic: By its name (`TrialSpec.arithmetic`).

    Raises:
        BenchError: Its weights are a file that is not there.
    """
    if not settings.frozen:
        return FeatureKey(PIXELS, "none", settings.side, "unit", fingerprint)
    random = settings.weights == "none"
    return FeatureKey(
        backbone=settings.name,
        weights=f"random:{RANDOM_SEED}" if random else settings.weights_digest,
        input_size=settings.side,
        scaling=settings.scaling,
        fingerprint=fingerprint,
        precision=settings.precision,
        arithmetic=arithmetic,
    )
