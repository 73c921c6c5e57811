"""Which trials are handed to a worker together: small ones that share a compiled network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from bench.store.plan import PlannedTrial
from bench.study.cost import trial_flops
from bench.study.trial import TrialSpec, compiled_parts

SMALL_FLOPS = 3e12
"""Operations of a trial that is bundled, at most: about a minute on one core.

A longer one gains little by what it shares, and a batch of them would keep one worker busy while
others have nothing left to do, and every arm but the first waiting for its first seed.
"""

MOST_TRIALS = 64
SHARES_A_WORKER = 3
"""At least so many batches a worker, so that workers end at about the same time."""


def trial_batches(
    trials: Sequence[PlannedTrial], workers: int, *, share: bool
) -> Iterator[list[PlannedTrial]]:
    """Divide trials into batches, those of one form beside each other.

    Args:
        trials: The trials.
        workers: Trials that run at the same time.
        reuse_compiled: Whether trials may be bundled at all.
    """
    most = min(max(len(trials) // (workers * SHARES_A_WORKER), 1), MOST_TRIALS)
    forms: dict[str, list[PlannedTrial]] = {}
    for trial in trials:
        alone = not share or most == 1 or not _is_small(trial.spec)
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
