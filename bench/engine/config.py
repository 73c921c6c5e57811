"""Where a run's workers read and write. Light: it is laid out before Ray is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.systems.settings import BackboneSettings


@dataclass(frozen=True)
class WorkerConfig:
    """Where a run's workers read and write, and what holds for all of its trials.

    Args:
        run: Identity of the run.
        data: Root of the data.
        fingerprint: Fingerprint of the data.
        needs: Backbones, and the rows of the manifest that each is applied to.
        cache: Cache folder.
        results: Results folder.
        log: File that everything a worker prints is added to.
        profile: Profile, for the record.
        replace: Whether a stored trial is replaced (`--rerun`).
        trial_timeout: Seconds that a trial may take; None for any.
        checkpoint_seconds: Seconds between two checkpoints of a trial.
        commit: Version of the bench's code, where it runs from a git checkout.
        reuse_compiled: Whether trials of one shape reuse a network (`bench.train.compiled`).
    """

    run: str
    data: Path
    fingerprint: str
    needs: tuple[tuple[BackboneSettings, tuple[int, ...]], ...]
    cache: Path
    results: Path
    log: Path
    profile: str
    replace: bool = False
    trial_timeout: float | None = None
    checkpoint_seconds: float = 60.0
    commit: str | None = None
    reuse_compiled: bool = True
