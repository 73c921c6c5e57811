"""A trial that is stopped in the middle and goes on: nothing of it may differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data.sources import open_source
from bench.study.trial import TrialSpec, trial_id
from bench.train.checkpoint import ABOUT, STATE, Checkpoints, read_checkpoint
from bench.train.loop import TrialContext, run_trial
from tests.train.smoke import prepare, same, smoke_spec

EPOCHS = 5


class Killed(Exception):  # noqa: N818 - stands for a signal
    """The process was killed."""


def spec(preset: str = "ropanet", **settings: Any) -> TrialSpec:
    return smoke_spec(preset, epochs=EPOCHS, **settings)


@pytest.fixture(scope="module")
def context(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    context = TrialContext(open_source(phantom), tmp_path_factory.mktemp("features"))
    prepare(context, spec(), spec("fashionnet"))
    return context


@pytest.fixture
def kept(context: TrialContext, tmp_path: Path) -> Iterator[TrialContext]:
    yield replace(context, checkpoints=Checkpoints(tmp_path / "trial", seconds=0))


def killed_after(trial: TrialSpec, context: TrialContext, epochs: int) -> None:
    def kill(done: int, total: int) -> None:
        if done > epochs:  # the checkpoint of an epoch is written after this is told of it
            raise Killed

    with pytest.raises(Killed):
        run_trial(trial, context, kill)


@pytest.mark.parametrize(
    "settings",
    [
        # Two update rates, shadow variables, images sampled with replacement, the best weights.
        {"landmarks__steps": "separate", "train__balancing": "over_sampling",
         "train__selection": "best", "train__learning_rate": 0.05},
        {"train__patience": 2, "train__learning_rate": 0.05, "landmarks__update_ratio": 3},
        # Layers with a random state of their own, and weights that alternate by epoch.
        {"preset": "fashionnet", "model__dropout": 0.5},
    ],
)  # fmt: skip
def test_a_trial_that_goes_on_ends_as_if_nothing_had_happened(
    context: TrialContext, kept: TrialContext, settings: dict[str, Any]
) -> None:
    trial = spec(**settings)
    undisturbed = run_trial(trial, context)
    epochs = max(row[0] for row in undisturbed.history)
    for after in (1, min(3, epochs - 1)):
        killed_after(trial, kept, after)
    done: list[int] = []
    resumed = run_trial(trial, kept, lambda epoch, total: done.append(epoch))
    assert done[0] == min(3, epochs - 1) + 1
    assert undisturbed.landmarks is not None
    same(undisturbed, resumed)


def test_a_checkpoint_that_is_damaged_or_of_another_trial_is_not_gone_on_from(
    kept: TrialContext,
) -> None:
    assert kept.checkpoints is not None
    folder, trial = kept.checkpoints.folder, spec()
    identity = trial_id(trial, kept.manifest.fingerprint)
    killed_after(trial, kept, 2)
    standing = read_checkpoint(folder, identity)
    assert standing is not None and standing.epoch == 2
    assert read_checkpoint(folder, "another") is None

    about = (folder / ABOUT).read_text()
    for other in ("{", "[]", json.dumps(json.loads(about) | {"versions": {"keras": "2.0"}})):
        (folder / ABOUT).write_text(other)
        assert read_checkpoint(folder, identity) is None
    (folder / ABOUT).write_text(about)
    state = bytearray((folder / STATE).read_bytes())
    state[len(state) // 2] ^= 1
    (folder / STATE).write_bytes(state)
    assert read_checkpoint(folder, identity) is None


def test_best_weights_that_a_checkpoint_did_not_keep_are_trained_for_anew(
    context: TrialContext, kept: TrialContext
) -> None:
    trial = spec(train__learning_rate=0.05)
    undisturbed = run_trial(trial, replace(context, keep="best"))
    killed_after(trial, kept, 2)
    done: list[int] = []
    resumed = run_trial(trial, replace(kept, keep="best"), lambda epoch, _: done.append(epoch))
    assert done[0] == 1
    same(undisturbed, resumed)
    assert resumed.weights == undisturbed.weights
