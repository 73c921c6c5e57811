"""What `bench status` shows: how far the studies in a store are. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.store.studies import StudyRecord, searched_trials
from bench.store.trials import FailureKind, Store


@dataclass(frozen=True)
class TrialFailure:
    """A trial that ended without a result.

    Args:
        trial: Its id.
        name: Its name for a person.
        kind: `diverged`, `crashed`, `timed out` or `out of memory`.
        error: What was wrong.
    """

    trial: str
    name: str
    kind: str
    error: str

    def to_json(self) -> dict[str, Any]:
        """The failure as plain values, for `json.dumps`."""
        return {"trial": self.trial, "name": self.name, "kind": self.kind, "error": self.error}


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Args:
        study: Its name.
        profile: The profile it ran under.
        data: The data as every table and figure names it.
        trials: Number of trials; of a tuned study, those that are known so far.
        done: Trials in the store.
        missing: Trials that are neither in the store nor ended.
        errors: Trials that ended without a result, at their last attempt.
    """

    study: str
    profile: str
    data: str
    trials: int
    done: int
    missing: int
    errors: tuple[TrialFailure, ...]

    @property
    def diverged(self) -> int:
        """Trials whose loss became NaN or infinite."""
        return sum(error.kind == FailureKind.DIVERGED for error in self.errors)

    @property
    def failed(self) -> int:
        """Trials that failed: all kinds but those that diverged."""
        return len(self.errors) - self.diverged

    def to_json(self) -> dict[str, Any]:
        """The status as plain values, for `json.dumps`."""
        return {
            "study": self.study,
            "profile": self.profile,
            "data": self.data,
            "trials": self.trials,
            "done": self.done,
            "diverged": self.diverged,
            "failed": self.failed,
            "missing": self.missing,
            "errors": [error.to_json() for error in self.errors],
        }


def study_status(store: Store) -> list[StudyStatus]:
    """How far each study in a store is, by name.

    Raises:
        BenchError: A study's record or a search cannot be read.
    """
    return [_status(store, study) for study in store.studies()]


def _status(store: Store, study: StudyRecord) -> StudyStatus:
    names = searched_trials(store.root, study) | study.trial_names()
    left = [identity for identity in names if not store.has(identity)]
    attempts = {identity: store.failures(identity) for identity in left}
    errors = tuple(
        TrialFailure(
            identity,
            names[identity],
            failures[-1].get("kind", FailureKind.CRASHED),
            failures[-1]["error"],
        )
        for identity, failures in attempts.items()
        if failures
    )
    return StudyStatus(
        study=study.name,
        profile=study.profile,
        data=study.data.label,
        trials=len(names),
        done=len(names) - len(left),
        missing=len(left) - len(errors),
        errors=errors,
    )
