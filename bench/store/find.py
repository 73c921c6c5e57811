"""Finds a stored trial by what a person calls it: its identity, or its study, arm and seed."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from bench.files.yaml import did_you_mean
from bench.store.studies import RecordedArm, StudyRecord
from bench.store.trials import Store

FEWEST_DIGITS = 4
"""Of an identity, where its beginning stands for it."""


def find_trial(store: Store, words: Sequence[str]) -> tuple[str, int]:
    """The stored trial that some words begin with.

    Args:
        store: The store.
        words: An identity, or the beginning of one; or a study's name, an arm's and a seed. More
            may follow.

    Returns:
        Its identity, and how many of the words name it.

    Raises:
        BenchError: There is no such trial, more than one, or it is not trained.
    """
    studies = {study.name: study for study in store.studies()}
    if words[0] in studies:
        return _of_study(store, studies[words[0]], words[1:3]), 3
    return _of_identity(store, words[0], list(studies)), 1


def _of_identity(store: Store, word: str, studies: list[str]) -> str:
    found = [trial for trial in store.ids() if trial.startswith(word)]
    if word in found or (len(found) == 1 and len(word) >= FEWEST_DIGITS):
        return word if word in found else found[0]
    if found and len(word) >= FEWEST_DIGITS:
        raise BenchError(
            f"`{word}` begins the identities of {len(found):,} trials",
            where=str(store.root),
            fix=f"write more of it: {', '.join(found[:5])}",
        )
    raise BenchError(
        f"no trial has the identity `{word}`, and no study this name",
        where=str(store.root),
        fix=f"write an identity, or STUDY ARM SEED; studies: {', '.join(studies) or 'none yet'}",
    )


def _of_study(store: Store, study: StudyRecord, words: Sequence[str]) -> str:
    if len(words) < 2:
        raise BenchError(
            f"`{study.name}` is a study; a trial of it is named by its arm and its seed, too",
            where=str(store.root),
            fix=f"such as: {study.name} '{study.control}' {study.seeds[0]}",
        )
    return trial_in(store, study, words[0], words[1])


def trial_in(store: Store, study: StudyRecord, name: str, seed: str) -> str:
    """The identity of a study's finished trial, by its arm's name and its seed.

    Raises:
        BenchError: There is no such trial, or it is not trained.
    """
    arm = arm_named(study, name)
    known = {str(number): trial for number, trial in arm.trials.items()}
    if seed not in known:
        raise BenchError(
            f"the arm `{arm.name}` has no seed `{seed}`",
            where=f"study {study.name}",
            fix=f"its seeds: {', '.join(sorted(known, key=int)) or 'none yet'}",
        )
    trial = known[seed]
    if not store.has(trial):
        failures = store.failures(trial)
        raise BenchError(
            f"{arm.name}, seed {seed} "
            + (f"was not finished: {failures[-1]['error']}" if failures else "is not trained yet"),
            where=f"study {study.name}",
            fix="`bench run` trains what is missing",
        )
    return trial


def arm_named(study: StudyRecord, name: str) -> RecordedArm:
    """The arm of a study that has a name.

    Raises:
        BenchError: None has it.
    """
    arms = {arm.name: arm for arm in study.arms}
    if name in arms:
        return arms[name]
    raise BenchError(
        f"the study has no arm `{name}`",
        where=f"study {study.name}",
        fix=did_you_mean(name, arms, f"its arms: {'; '.join(list(arms)[:20])}"),
    )
