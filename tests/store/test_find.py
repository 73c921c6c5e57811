"""A trial by what a person calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.store.find import find_trial
from bench.store.record import Predictions, TrialRecord
from bench.store.trials import Store
from tests.store.recorded import recorded

ONE, OTHER, LATER = "0a1b" + "c" * 12, "0a1b" + "d" * 12, "e" * 16


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    answers = Predictions(np.array(["a"]), np.array([0]), np.ones((1, 1), "f4"))
    for identity in (ONE, OTHER):
        store.write(TrialRecord(identity, {}, {}, {}, [], answers))
    store.write_study(recorded("s", {"gate=none": {"0": ONE, "1": LATER}, "b": {"2": OTHER}}))
    return store


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([ONE], (ONE, 1)),
        (["0a1bc", "photo.jpg"], (ONE, 1)),
        (["s", "gate=none", "0", "photo.jpg"], (ONE, 3)),
        (["s", "b", "2"], (OTHER, 3)),
    ],
)
def test_a_trial_is_named_by_its_identity_or_its_study_arm_and_seed(
    store: Store, words: list[str], found: tuple[str, int]
) -> None:
    assert find_trial(store, words) == found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0a1b"], "begins the identities of 2 trials"),
        (["0a1"], "no trial has the identity `0a1`"),
        (["0a2b"], r"no trial has the identity `0a2b`.*\n.*studies: s"),
        (["s"], r"named by its arm and its seed, too\n.*s 'gate=none' 0"),
        (["s", "gate=non", "0"], r"no arm `gate=non`\n.*did you mean `gate=none`"),
        (["s", "gate=none", "7"], r"no seed `7`\n.*its seeds: 0, 1"),
        (["s", "gate=none", "1"], "gate=none, seed 1 is not trained yet"),
    ],
)
def test_what_names_no_one_trial_is_an_error_that_says_what_does(
    store: Store, words: list[str], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        find_trial(store, words)
