"""Checks results and cache for what rotted, was cut short, does not belong or is stale.

Whatever can be made again is repaired on request; nothing else is ever removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.store.fsck.cache import check_cache
from bench.store.fsck.findings import Finding, Say
from bench.store.fsck.results import StoreReferences, check_results
from bench.store.trials import Store


@dataclass(frozen=True)
class Found:
    """A finding, and what became of it.

    Args:
        kind: Short name, the same for all of a kind.
        path: File or folder.
        what: What is wrong with it.
        repair: What `--repair` does about it; None where it does nothing.
        repaired: Whether it did.
        retrain: Names of trials that must be trained again because of it.
    """

    kind: str
    path: str
    what: str
    repair: str | None
    repaired: bool
    retrain: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values, for `json.dumps`."""
        return {
            "kind": self.kind,
            "path": self.path,
            "what": self.what,
            "repair": self.repair,
            "repaired": self.repaired,
            "retrain": self.retrain,
        }


@dataclass(frozen=True)
class FsckReport:
    """What was checked and what was found.

    Args:
        trials: Trials in the store.
        without_checksums: Trials from before there were checksums, which could only be read.
        found: All findings.
    """

    trials: int
    without_checksums: int
    found: tuple[Found, ...]

    @property
    def retrain(self) -> tuple[str, ...]:
        """Names of the trials that must be trained again, or for the first time."""
        return tuple(name for one in self.found for name in one.retrain)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values, for `json.dumps`."""
        return {
            "trials": self.trials,
            "without_checksums": self.without_checksums,
            "found": [one.to_json() for one in self.found],
            "retrain": self.retrain,
        }


def fsck(results: Path, cache: Path, *, repair: bool, say: Say) -> FsckReport:
    """Check a results folder and a cache folder.

    Args:
        results: Results folder.
        cache: Cache folder.
        repair: Whether to drop what can be made again, and to move damaged records away so that
            the next run makes them again.
        say: Called with (phase, done, total).

    Raises:
        BenchError: There is neither, or a repair could not be made.
    """
    if not results.is_dir() and not cache.is_dir():
        raise BenchError(
            "neither results nor cache is there",
            where=f"{results}, {cache}",
            fix="name them with --results and --cache",
        )
    known = StoreReferences()
    # The results first: they say what of the cache is in use.
    findings = list(
        chain(check_results(Store(results), known, say), check_cache(cache, known, say))
    )
    found = [_found(finding) for finding in findings]
    if repair:
        found = [_repaired(finding, one) for finding, one in zip(findings, found, strict=True)]
    return FsckReport(known.trials, known.without_checksums, tuple(found))


def _found(finding: Finding) -> Found:
    does = finding.repair.does if finding.repair else None
    return Found(
        finding.kind, str(finding.path), finding.what, does, repaired=False, retrain=finding.retrain
    )


def _repaired(finding: Finding, one: Found) -> Found:
    if finding.repair is None:
        return one
    try:
        finding.repair.act()
    except OSError as error:
        raise BenchError(
            f"cannot be repaired: {error.strerror}",
            where=one.path,
            fix="free space or make it writable, and repair again: what is repaired stays so",
        ) from error
    return replace(one, repaired=True)
