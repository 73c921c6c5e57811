"""Trials that are known beforehand, and which of them a worker gets together: small ones that share
a compiled network."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence

from bench.store.plan import PlannedTrial
from bench.study.cost import trial_flops
from bench.study.trial import TrialSpec, compiled_parts
from bench.train.status import TrialStatus

SMALL_FLOPS = 3e12
"""Most operations of a trial that goes with others: about a minute on one core.

A longer one gains little by what it shares, and a batch of them would keep one worker busy while
others have nothing left to do, and every arm but the first waiting for its first seed.
"""

MOST_TRIALS = 64
BATCHES_A_WORKER = 3
"""Batches for each worker, at least, so that workers end at about the same time."""


class TrialList:
    """The simplest source of trials: a list, in batches.

    Args:
        trials: The trials, each once.
        reuse_compiled: Whether trials of one shape may go together.
    """

    def __init__(self, trials: Sequence[PlannedTrial], *, reuse_compiled: bool) -> None:
        self._trials, self._reuse_compiled = trials, reuse_compiled
        self._batches: Iterator[list[PlannedTrial]] | None = None

    def next_batch(self, workers: int, busy: Container[str]) -> list[PlannedTrial]:
        """The next trials for a worker; none once all were handed out."""
        del busy  # nobody else was given a trial before this list
        if self._batches is None:
            self._batches = trial_batches(
                self._trials, workers, reuse_compiled=self._reuse_compiled
            )
        return next(self._batches, [])

    def ended(self, identity: str, status: TrialStatus) -> None:
        """Nothing here waits for a trial's end."""


def trial_batches(
    trials: Sequence[PlannedTrial], workers: int, *, reuse_compiled: bool
) -> Iterator[list[PlannedTrial]]:
    """Divide trials into batches, those of one form beside each other.

    Args:
        trials: The trials.
        workers: Trials that run at the same time.
        reuse_compiled: Whether trials of one shape may go together.
    """
    most = min(max(len(trials) // (workers * BATCHES_A_WORKER), 1), MOST_TRIALS)
    forms: dict[str, list[PlannedTrial]] = {}
    for trial in trials:
        alone = not reuse_compiled or most == 1 or not _is_small(trial.spec)
        form = trial.id if alone else json.dumps(compiled_parts(trial.spec), sort_keys=True)
        forms.setdefault(form, []).append(trial)
    for alike in forms.values():
        parts = -(-len(alike) // most)
        for part in range(parts):
            yield alike[part * len(alike) // parts : (part + 1) * len(alike) // parts]


def _is_small(spec: TrialSpec) -> bool:
    sizes = (spec.data.train_size, spec.data.validation_size, spec.data.test_size)
    if spec.train is None:
        return True
    if "all" in sizes:
        return False
    images = dict(zip(("train", "val", "test"), map(int, sizes), strict=True))
    return trial_flops(spec, images, classes=0) < SMALL_FLOPS
