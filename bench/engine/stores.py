"""Where a worker puts what it trained: the results folder, or, on a cluster, the folder's actor.

Both have the same methods. On a cluster the workers of the actor's own machine use it, too: a trial
whose machine was lost may come to one of them, and the actor still holds its claim.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray

from bench.files.locks import locked
from bench.store.record import TrialRecord, write_record
from bench.store.trials import Store


class LocalStore:
    """The results folder, on this machine.

    Args:
        results: The folder.
    """

    def __init__(self, results: Path) -> None:
        self._store = Store(results)

    def has(self, trial: str) -> bool:
        """Whether the trial is stored."""
        return self._store.has(trial)

    @contextmanager
    def claim(self, trial: str) -> Iterator[bool]:
        """Claim a trial for the length of a block; yields whether nobody else has it."""
        with locked(self._store.claim(trial), wait=False) as mine:
            yield mine

    def write(self, record: TrialRecord, *, replace: bool) -> None:
        """Store a finished trial."""
        self._store.write(record, replace=replace)

    def write_failure(self, trial: str, failure: dict[str, Any]) -> None:
        """Record a failed attempt."""
        self._store.write_failure(trial, failure)


class RemoteStore:
    """The results folder of whatever machine, through its actor.

    Args:
        actor: Handle of the `StoreActor` on the machine of the results.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def has(self, trial: str) -> bool:
        """Whether the trial is stored."""
        return bool(ray.get(self._actor.has.remote(trial)))

    @contextmanager
    def claim(self, trial: str) -> Iterator[bool]:
        """Claim a trial for the length of a block; yields whether nobody else has it."""
        if not ray.get(self._actor.claim.remote(trial)):
            yield False
            return
        try:
            yield True
        finally:
            ray.get(self._actor.release.remote(trial))

    def write(self, record: TrialRecord, *, replace: bool) -> None:
        """Store a finished trial; returns once it is on the other machine's disk."""
        with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
            folder = Path(scratch)
            write_record(folder, record)
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
        ray.get(self._actor.adopt.remote(record.id, files, replace))

    def write_failure(self, trial: str, failure: dict[str, Any]) -> None:
        """Record a failed attempt."""
        ray.get(self._actor.write_failure.remote(trial, failure))


class StoreActor:
    """An actor on the machine of the results folder, for the workers of a cluster.

    Args:
        results: The folder.
    """

    def __init__(self, results: Path) -> None:
        self._store = Store(results)
        self._claims: dict[str, ExitStack] = {}

    def has(self, trial: str) -> bool:
        """Whether the trial is stored."""
        return self._store.has(trial)

    def claim(self, trial: str) -> bool:
        """Claim a trial until it is released, or this run ends; returns whether it was free.

        A claim of this run's own is granted again: its worker was lost with its machine, and the
        trial went to another.
        """
        if trial in self._claims:
            return True
        stack = ExitStack()
        if not stack.enter_context(locked(self._store.claim(trial), wait=False)):
            return False
        self._claims[trial] = stack
        return True

    def release(self, trial: str) -> None:
        """Release a trial."""
        self._claims.pop(trial, ExitStack()).close()

    def adopt(self, trial: str, files: dict[str, bytes], replace: bool) -> None:
        """Store a trial from the bytes of its files."""
        self._store.adopt(trial, files, replace=replace)

    def write_failure(self, trial: str, failure: dict[str, Any]) -> None:
        """Record a failed attempt."""
        self._store.write_failure(trial, failure)


def worker_store(results: Path, actor: Any | None) -> LocalStore | RemoteStore:
    """The store of a worker: the actor's where it was given one."""
    return LocalStore(results) if actor is None else RemoteStore(actor)
