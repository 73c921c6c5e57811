"""Studies as measurements need them: resolved over data, features made, run by command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from bench.data.manifest import Manifest
from bench.engine.request import StudyRequest, resolve
from bench.store.plan import PlannedTrial, feature_needs, planned
from bench.store.trials import Store

ROOT = Path(__file__).resolve().parents[1]


def trials_of(study: Path, cache: Path, profile: str) -> tuple[Manifest, list[PlannedTrial]]:
    """The data and the trials of a study over the phantom, which is drawn where it is missing."""
    request = StudyRequest(study, profile=profile)
    resolved = resolve(request, cache, generate=lambda what, done, total: None)
    assert resolved.manifest is not None, "the phantom is drawn"
    nowhere = Store(cache / "no results")
    return resolved.manifest, list(planned(resolved.design, resolved.manifest, nowhere))


def with_features(study: Path, cache: Path, profile: str) -> tuple[Manifest, list[PlannedTrial]]:
    """The same, with the features of every trial on disk."""
    from bench.train.extract import extract

    manifest, trials = trials_of(study, cache, profile)
    for need in feature_needs([trial.spec for trial in trials], manifest, cache):
        extract(manifest, need.rows, need.backbone, cache, need.arithmetic)
    return manifest, trials


@contextmanager
def keras_own() -> Iterator[None]:
    """While entered, networks have Keras' own convolutions and its Adam, as in a plain script."""
    import keras

    from bench.models import convolutions
    from bench.train import fitting

    plain = {
        "TapwiseConv2D": keras.layers.Conv2D,
        "BlockwiseConv2DTranspose": keras.layers.Conv2DTranspose,
    }
    own_adam = patch.dict(fitting.OPTIMISERS, adam=keras.optimizers.Adam)
    with patch.multiple(convolutions, **plain), own_adam:
        yield


def bench(*words: object, environment: Mapping[str, str] | None = None) -> str:
    """What the command `bench` prints, from this checkout.

    Raises:
        RuntimeError: It failed.
    """
    return script("from bench.cli import main; main()", *words, environment=environment)


def script(source: str, *words: object, environment: Mapping[str, str] | None = None) -> str:
    """What a Python process prints that runs some lines, with this checkout on its path.

    Raises:
        RuntimeError: It failed.
    """
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", source, *map(str, words)],
        env=os.environ | {"PYTHONPATH": path} | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, words))}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout
