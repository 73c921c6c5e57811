"""What holds for all trials of a run: what was asked for, and what its workers must know. Light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.systems.settings import BackboneSettings


@dataclass(frozen=True)
class RunOptions:
    """How to run, whatever is run.

    Args:
        results: Results folder.
        cache: Cache folder.
        limit: Most trials to train, of all studies together; None for all.
        rerun: Train again what is in the store, and replace it; also what diverged.
        trial_timeout: Seconds that a trial may take; None for any.
        checkpoint_seconds: Seconds between two checkpoints of a trial.
        reuse_compiled: Whether trials of one shape reuse a compiled network
            (`bench.train.compiled`); the same bytes.
    """

    results: Path = Path("results")
    cache: Path = Path(".cache")
    limit: int | None = None
    rerun: bool = False
    trial_timeout: float | None = None
    checkpoint_seconds: float = 60.0
    reuse_compiled: bool = True


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker must know.

    Args:
        run: Identity of the run.
        options: The run's options, its folders absolute.
        data_root: Root of the data.
        fingerprint: Fingerprint of the data.
        features: Backbones, the digest of each one's weights, and the rows of the manifest that it
            is applied to.
        arithmetic: How the workers compute.
        log: File to which everything is added that a worker prints.
        profile: Profile, for the record.
        commit: Version of the bench's code, where it runs from a git checkout.
    """

    run: str
    options: RunOptions
    data_root: Path
    fingerprint: str
    features: tuple[tuple[BackboneSettings, str, tuple[int, ...]], ...]
    arithmetic: str
    log: Path
    profile: str
    commit: str | None = None
