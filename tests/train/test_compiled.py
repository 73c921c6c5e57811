"""Trials that share a compiled network, and the same trials alone: nothing may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data.sources import open_source
from bench.study.trial import TrialSpec
from bench.train import compiled
from bench.train.checkpoint import Checkpoints
from bench.train.compiled import Compiled
from bench.train.loop import TrialContext, run_trial
from tests.train.smoke import prepare, same, smoke_spec


def spec(preset: str = "ropanet", **settings: Any) -> TrialSpec:
    return smoke_spec(preset, epochs=2, **settings)


@pytest.fixture(scope="module")
def context(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    context = TrialContext(open_source(phantom), tmp_path_factory.mktemp("features"))
    prepare(context, spec(), spec("fashionnet"))
    return context


BASELINE = {"preset": "ropanet_baseline"}
SHADOWS = {"landmarks__steps": "separate", "landmarks__counters": "shared"}
SMALLER = {"data__train_size": 40, "train__batch_size": 16}
LOGITS = BASELINE | {"train__balancing": "logit_adjustment"}
FASHIONNET = {"preset": "fashionnet", "model__dropout": 0.5}
"""A model with a random state of its own."""


@pytest.mark.parametrize(
    ("trials", "compiled_networks"),
    [
        # Seeds, learning rates, rules that change the batches, sizes, early stopping: one network.
        (
            [
                BASELINE,
                BASELINE | {"seed": 1},
                BASELINE | {"seed": 2, "train__learning_rate": 0.05},
                BASELINE | {"train__balancing": "class_weights"},
                BASELINE | {"seed": 1, "train__balancing": "over_sampling"},
                BASELINE | SMALLER,
                BASELINE | {"train__patience": 1, "train__learning_rate": 0.5, "train__epochs": 6},
                BASELINE | {"train__selection": "best", "train__learning_rate": 0.5},
            ],
            1,
        ),
        # Seeds that keep the weights or draw their images, among others that do not.
        (
            [
                BASELINE | {"seed": seed, "vary": vary}
                for vary in (["order"], ["weights", "order"], ["order"])
                for seed in (1, 2)
            ],
            1,
        ),
        # A rule whose loss holds the class counts, and back again.
        ([LOGITS, LOGITS | {"data__train_size": 40}, BASELINE], 3),
        # Optimisers with states of their own, and weights that follow others.
        ([SHADOWS, SHADOWS | {"seed": 1}, SHADOWS | {"seed": 2, "train__learning_rate": 0.01}], 1),
        ([FASHIONNET, FASHIONNET | {"seed": 1}], 1),
    ],
)
def test_a_trial_gives_the_same_whatever_it_shares(
    context: TrialContext,
    trials: Sequence[dict[str, Any]],
    compiled_networks: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    kept = compiled._Kept
    monkeypatch.setattr(compiled, "_Kept", lambda *args: made.append(args[0]) or kept(*args))
    sharing = replace(context, compiled=Compiled())
    for settings in trials:
        trial = spec(**settings)
        same(run_trial(trial, context), run_trial(trial, sharing))
    assert len(made) == compiled_networks


def test_more_maps_than_are_held_in_memory_are_read_batch_by_batch(
    context: TrialContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "MOST_BYTES", 1000)
    sharing = Compiled()
    for seed in (0, 1):
        trial = spec(**BASELINE, seed=seed)
        same(run_trial(trial, context), run_trial(trial, replace(context, compiled=sharing)))
    assert not sharing._maps


def test_a_large_network_is_compiled_for_each_trial_and_its_beginning_not_kept(
    context: TrialContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "MOST_BYTES", 1000)
    sharing = replace(context, compiled=Compiled())
    networks = []
    for seed in (0, 1):
        trial = spec(seed=seed)
        same(run_trial(trial, context), run_trial(trial, sharing))
        kept = sharing.compiled._kept
        assert kept.begun == []
        networks.append(kept.network)
    assert networks[0] is not networks[1]


def test_a_killed_trial_goes_on_from_its_checkpoint_in_a_shared_network(
    context: TrialContext, tmp_path: Path
) -> None:
    trial = spec(train__epochs=4, train__selection="best", train__learning_rate=0.05)
    sharing = replace(
        context, compiled=Compiled(), checkpoints=Checkpoints(tmp_path / "trial", seconds=0)
    )
    run_trial(spec(seed=1), replace(sharing, checkpoints=None))

    def kill(done: int, total: int) -> None:
        if done == 3:  # the checkpoint of an epoch is written after this is told of it
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_trial(trial, sharing, kill)
    run_trial(spec(seed=2), replace(sharing, checkpoints=None))
    assert (tmp_path / "trial").is_dir()
    same(run_trial(trial, context), run_trial(trial, sharing))


def test_a_loss_that_diverges_leaves_nothing_behind_for_the_next_trial(
    context: TrialContext,
) -> None:
    sharing = replace(context, compiled=Compiled())
    with pytest.raises(FloatingPointError):
        run_trial(spec(train__optimizer="sgd", landmarks__weight=1e30), sharing)
    trial = spec(train__optimizer="sgd", landmarks__weight=1e30, seed=1, train__learning_rate=1e-32)
    same(run_trial(trial, context), run_trial(trial, sharing))
