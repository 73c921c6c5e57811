"""A study that goes on until it is settled, while it runs: trials up to a look, the look, and on.

What a look finds depends on the stored trials alone, and each look is on record before the next
begins, so a run that was killed goes on with the same decisions, and two runs on one store make
the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import chain

import numpy as np

import bench
from bench.analysis.arms import Effect, controls, effects
from bench.analysis.load import load_arms
from bench.analysis.power import beyond_seeds
from bench.analysis.sequential import Looks, growing
from bench.data.manifest import Manifest
from bench.engine.trial_batches import TrialList
from bench.errors import BenchError
from bench.metrics.catalogue import COMPARED
from bench.store.plan import PlannedTrial, planned_trial, study_record
from bench.store.studies import RecordedComparison, RecordedLook, RecordedUntil, StudyRecord
from bench.store.trials import Store
from bench.study.design import Design
from bench.study.space import at_draws
from bench.study.trial import TrialSpec
from bench.train.status import TrialStatus
from bench.tuning.allowance import Allowance

NO_TRIAL = "no trial of it has finished"


class UntilSettledStudy:
    """A study that goes on until it is settled: a source of trials (`bench.engine.scheduler`).

    Args:
        design: The study.
        manifest: Its data.
        store: The store.
        rerun: Begin anew: train again what is in the store, and forget the looks on record.
        reuse_compiled: Whether trials of one shape may go to a worker together.
        allowance: Trials that the run may still begin; None for any number.

    Attributes:
        looked: Called with the study's record after a look, and the trials before the next one.

    Raises:
        BenchError: It was looked at before with another last look or metric, or a stored trial
            cannot be read.
    """

    def __init__(
        self,
        design: Design,
        manifest: Manifest,
        store: Store,
        *,
        rerun: bool = False,
        reuse_compiled: bool = True,
        allowance: Allowance | None = None,
    ) -> None:
        assert design.until is not None, "only a study that goes on has looks"
        self._design, self._manifest, self._store = design, manifest, store
        self._rerun, self._reuse_compiled = rerun, reuse_compiled
        self._allowance = allowance or Allowance(None)
        self._arms = {arm.name: arm for arm in design.arms()}
        self._until, self._metric = design.until, COMPARED[design.until.metric]
        self._outcomes: dict[str, TrialStatus] = {}
        self._handed_out: set[str] = set()
        self.looked: Callable[[StudyRecord, int], None] = lambda record, trials: None
        before = None if rerun else self._recorded()
        self._looks, self._schedule = self._begun(before)
        self._waiting: dict[str, PlannedTrial] = {}
        self._batches = TrialList([], reuse_compiled=reuse_compiled)
        self._advance()

    def _recorded(self) -> StudyRecord | None:
        """The study's record, if it is of these arms and trials."""
        found = self._store.study(self._design.study.name)
        if found is None or {arm.name for arm in found.arms} != set(self._arms):
            return None
        for arm in found.arms:
            for seed, identity in arm.trials.items():
                if self._trial(arm.name, seed).id != identity:
                    return None
        return found

    def _begun(self, before: StudyRecord | None) -> tuple[list[RecordedLook], Looks]:
        """The looks on record, and the schedule that they are part of."""
        first, most = self._until.first, self._until.most
        if before is not None and before.until is not None:
            looks = Looks(before.until.looks)
            if before.looks and (looks.most, before.until.metric) != (most, self._metric.name):
                raise BenchError(
                    f"was looked at {len(before.looks)} times on the way to {looks.most} seeds at "
                    f"most, by {before.until.metric}; now {most} seeds and {self._metric.name} are "
                    "asked for, and its intervals would count other looks than there were",
                    where=str(self._design.source.where(("seeds",))),
                    fix=f"seeds: {{first: {looks.seeds[0]}, most: {looks.most}, metric: "
                    f"{before.until.metric}}}, or give the study another `name`",
                )
            if before.looks:
                return list(before.looks), looks
        elif before is not None and before.seeds == tuple(range(len(before.seeds))):
            # What was seen at fixed seeds was a look, the first one.
            first = min(max(first, len(before.seeds)), most)
        return [], growing(first, most)

    def _open(self) -> list[str]:
        """Arms that are not settled and go on."""
        if not self._looks:
            return [name for name in self._arms if self._control_of(name) is not None]
        if len(self._looks) == len(self._schedule.seeds):
            return []
        return [name for name, found in self._looks[-1].arms.items() if not found.stopped]

    def _control_of(self, arm: str) -> str | None:
        against = self._arms[arm].against or self._design.control.name
        return None if arm == against else against

    def _seeds(self) -> dict[str, int]:
        """Seeds that each arm is to have by now; a control has as many as any arm beside it."""
        first = self._schedule.seeds[0]
        found = dict.fromkeys(self._arms, first)
        for look in self._looks:
            found |= dict.fromkeys(look.arms, look.seeds)
        if open_ := self._open():
            found |= dict.fromkeys(open_, self._schedule.seeds[len(self._looks)])
        own = dict(found)
        for name in self._arms:
            if (control := self._control_of(name)) is not None:
                found[control] = max(found[control], own[name])
        return found

    def _trials(self) -> Iterator[PlannedTrial]:
        """The trials so far, seeds outermost."""
        seeds = self._seeds()
        for seed in range(max(seeds.values())):
            yield from (self._trial(name, seed) for name in self._arms if seed < seeds[name])

    def _trial(self, arm: str, seed: int) -> PlannedTrial:
        spec, keep = self._arms[arm].trial(seed), self._design.keep_models
        return planned_trial(arm, spec, self._manifest, self._store, keep)

    def _advance(self) -> None:
        """Look as often as the finished trials allow, then plan the trials up to the next look."""
        record = self.write()
        while True:
            trials = {trial.id: trial for trial in self._trials()}
            self._waiting = {i: t for i, t in trials.items() if not self._has_ended(t)}
            if self._waiting or not self._open():
                break
            self._looks.append(self._look())
            record = self.write()
        todo = list(self._waiting.values())
        self._batches = TrialList(todo, reuse_compiled=self._reuse_compiled)
        if record.looks:
            self.looked(record, len(todo))

    def _has_ended(self, trial: PlannedTrial) -> bool:
        if trial.id in self._outcomes:
            return True
        return not self._rerun and (trial.stored or self._store.diverged(trial.id))

    def _look(self) -> RecordedLook:
        """Compare the open arms with their controls at the seeds that all of them have now."""
        seeds, open_ = self._schedule.seeds[len(self._looks)], self._open()
        nothing = RecordedComparison(0, None, None, None, NO_TRIAL, stopped=True)
        provisional = RecordedLook(seeds, dict.fromkeys(open_, nothing))
        record = self._record([*self._looks, provisional])
        arms = load_arms(self._store, record)
        margin = record.margin_in(self._metric)
        found = chain.from_iterable(
            effects(arms, control, self._metric.name, margin) for control in controls(arms)
        )
        against = {arm.name: arm.against for arm in arms if arm.against is not None}
        beside = Counter(against.values())
        compared = {
            effect.arm: _compared(effect, margin, beside[against[effect.arm]])
            for effect in found
            if effect.arm in open_
        }
        return RecordedLook(seeds, {name: compared.get(name, nothing) for name in open_})

    def _record(self, looks: Sequence[RecordedLook]) -> StudyRecord:
        until = RecordedUntil(self._schedule.seeds, self._metric.name)
        trials = list(self._trials())
        return study_record(
            self._design, trials, self._manifest, bench.__version__, until=until, looks=looks
        )

    def write(self) -> StudyRecord:
        """Record the study as far as it is."""
        record = self._record(self._looks)
        self._store.write_study(record)
        return record

    @property
    def complete(self) -> bool:
        """Whether every arm is settled, or was looked at as often as it may be."""
        return not self._open()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to train."""
        return not self._waiting

    @property
    def left(self) -> int:
        """Trials that are left to train before the next look."""
        return len(self._waiting)

    def feature_specs(self) -> list[TrialSpec]:
        """Trials that between them need every feature that the study may need."""
        seeds = range(self._until.most)
        return [spec for arm in self._arms.values() for spec in at_draws(arm.spec, seeds)]

    def next_batch(self, workers: int, busy: Container[str]) -> list[PlannedTrial]:
        """Trials on the way to the next look; none where the look waits for one in training."""
        while batch := self._batches.next_batch(workers, busy):
            own = [t for t in batch if t.id in self._waiting and t.id not in busy]
            if own := own[: self._allowance.take(len(own))]:
                self._handed_out |= {trial.id for trial in own}
                return own
        return []

    def ended(self, identity: str, status: TrialStatus) -> None:
        """A trial ended, whoever handed it out; the last one before a look brings the look."""
        self._outcomes[identity] = status
        if self._waiting.pop(identity, None) is not None and not self._waiting:
            self._advance()

    @property
    def finished(self) -> int:
        """Trials that were trained for this study now."""
        return sum(
            self._outcomes.get(identity) is TrialStatus.FINISHED for identity in self._handed_out
        )

    @property
    def stored(self) -> int:
        """Trials that were in the store already, or that another study or run trained."""
        done = {trial.id for trial in self._trials() if self._store.has(trial.id)}
        return len(done) - self.finished if not self._rerun else 0

    @property
    def diverged(self) -> tuple[str, ...]:
        """Names of its trials that diverged, now or in an earlier run."""
        return tuple(
            trial.name
            for trial in self._trials()
            if self._outcomes.get(trial.id, TrialStatus.DIVERGED) is TrialStatus.DIVERGED
            and self._store.diverged(trial.id)
        )

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of its trials that failed now."""
        return tuple(
            trial.name
            for trial in self._trials()
            if self._outcomes.get(trial.id) is TrialStatus.FAILED
        )


def _compared(effect: Effect, margin: float | None, comparisons: int) -> RecordedComparison:
    """An effect as a look records it."""
    found = effect.difference
    low, high = (float(end) if np.isfinite(end) else None for end in (found.low, found.high))
    hopeless = beyond_seeds(found, margin, comparisons)
    return RecordedComparison(
        found.seeds,
        found.mean,
        low,
        high,
        effect.verdict,
        stopped=effect.settled or hopeless,
    )
