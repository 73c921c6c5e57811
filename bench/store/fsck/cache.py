"""Checks the cache folder: all in it can be made again, so all of it can be repaired."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

from bench.data.drawn_folder import MARK
from bench.data.phantom import PHANTOM_VERSION
from bench.errors import BenchError
from bench.files.atomic import DRAFT_SUFFIX
from bench.store.features import FORMAT, FeatureKey, FeatureStore
from bench.store.fsck.findings import (
    Finding,
    Repair,
    Say,
    foreign,
    leftovers,
    removal,
)
from bench.store.fsck.results import StoreReferences
from bench.store.record import EPOCHS
from bench.store.trials import Store
from bench.systems.registry import BACKBONES, load_plugins

AGAIN = "the next run that wants it makes it again"


def check_cache(cache: Path, known: StoreReferences, say: Say) -> Iterator[Finding]:
    """Check a cache folder.

    Args:
        cache: The folder.
        known: What the results folder refers to; with no study in it, nothing counts as stale.
        say: Called with (phase, done, total).
    """
    yield from leftovers(cache.glob(".progress-*"))
    yield from leftovers(cache.glob(f".*{DRAFT_SUFFIX}"))
    yield from _weights(cache)
    yield from _features(cache, known, say)
    yield from _phantoms(cache)
    yield from _models(cache, known)


def _weights(cache: Path) -> Iterator[Finding]:
    """Weights that versions before SEMANTICS 5 trained and converted here."""
    folder = cache / "weights"
    if folder.is_dir():
        what = f"are of an older version; {_megabytes(folder)}"
        yield Finding("stale weights", folder, what, removal(folder))


def _features(cache: Path, known: StoreReferences, say: Say) -> Iterator[Finding]:
    in_use = known.weights | _named_weights()
    for folder in sorted((cache / "features").glob("*")):
        if not folder.is_dir() or not re.fullmatch(r"\w+-[0-9a-f]{16}", folder.name):
            yield foreign(folder, "the features' folders")
            continue
        try:
            key = _key(folder)
        except (OSError, ValueError, TypeError) as error:
            what = f"no longer says what it holds ({error}); {_megabytes(folder)}"
            yield Finding("damaged features", folder, what, removal(folder, AGAIN))
            continue
        why = _stale(key, known, in_use)
        if why:
            what = f"{why}; {_megabytes(folder)}"
            yield Finding("stale features", folder, what, removal(folder, AGAIN))
            continue
        yield from _shards(FeatureStore(cache, key), say)


def _key(folder: Path) -> FeatureKey:
    plain = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    if not isinstance(plain, dict) or not set(plain) <= {f.name for f in fields(FeatureKey)}:
        raise ValueError("about.json has other keys")
    try:
        key = FeatureKey(**plain)
    except TypeError:
        raise ValueError("about.json lacks a key") from None
    if key.name != folder.name:
        raise ValueError("about.json is of another folder")
    return key


def _stale(key: FeatureKey, known: StoreReferences, in_use: set[str]) -> str | None:
    if key.format != FORMAT:
        return f"are of format {key.format}"
    if not known.fingerprints:
        return None
    if key.fingerprint not in known.fingerprints:
        return f"are of data {key.fingerprint[:16]}, which no study here is on"
    # A study that is not finished may yet train with weights that no trial names so far.
    if (
        not key.weights.startswith("random:")
        and key.weights not in in_use
        and key.fingerprint not in known.unfinished
    ):
        return f"are of weights {key.weights[:23]}, which no trial here was trained with"
    return None


def _named_weights() -> set[str]:
    """Digests of the weights that have a name."""
    load_plugins()
    return {backbone.imagenet.digest for backbone in BACKBONES.values() if backbone.imagenet}


def _shards(store: FeatureStore, say: Say) -> Iterator[Finding]:
    files = sorted(store.folder.iterdir())
    described = [path for path in files if path.suffix == ".json" and path.name != "about.json"]
    phase = f"features in {store.folder.name}"
    for done, (name, fault) in enumerate(store.faults(), start=1):
        if fault:
            drop = Repair(f"dropped; {AGAIN}", partial(store.drop, name))
            yield Finding("damaged features", store.folder / name, fault, drop)
        say(phase, done, len(described))
    whole = {path.with_suffix(end) for path in described for end in (".npy", ".json")}
    for path in files:
        if path in whole or path.name == "about.json":
            continue
        if path.suffix == ".npy" or path.name.startswith("."):
            yield from leftovers([path])
        else:
            yield foreign(path, "the features' files")


def _phantoms(cache: Path) -> Iterator[Finding]:
    for path in sorted((cache / "phantom").glob("*")):
        if path.name.startswith("."):
            yield from leftovers([path])
            continue
        try:
            version = json.loads((path / MARK).read_text(encoding="utf-8"))["version"]
        except (OSError, ValueError, KeyError, TypeError):
            yield foreign(path, "the phantoms generated here")
            continue
        if version != PHANTOM_VERSION:
            what = f"is of version {version}; {_megabytes(path)}"
            yield Finding("stale phantom", path, what, removal(path, AGAIN))


def _models(cache: Path, known: StoreReferences) -> Iterator[Finding]:
    """Models that `bench model` and `bench predict` trained again, in a folder an epoch kept."""
    for folder in sorted((cache / "models").glob("*")):
        if folder.name not in EPOCHS:
            yield foreign(folder, "the models' folders")
            continue
        store = Store(folder)
        for trial in store.ids():
            place = store.trials / trial
            if known.names and trial not in known.names:
                what = f"is of no trial of a study here; {_megabytes(place)}"
                yield Finding("stale model", place, what, removal(place, AGAIN))
                continue
            try:
                store.read(trial, weights=True)
            except BenchError as error:
                yield Finding("damaged model", place, str(error), removal(place, AGAIN))


def _megabytes(folder: Path) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{size / 1e6:,.1f} MB"
