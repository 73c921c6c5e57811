"""A whole run, start to end: data, plan, features, trials, and what became of them.

Light until there is something to train: Ray and Keras are imported only then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
from bench.analysis.answers import answer
from bench.analysis.load import load_arms
from bench.data.manifest import Manifest
from bench.engine.config import RunOptions
from bench.engine.recorded import no_trace_of_what_never_ran
from bench.engine.request import ResolvedStudy, StudyRequest, check_only, resolve
from bench.engine.resources import Resources
from bench.engine.sizes import check_sizes
from bench.engine.training import GrowingStudy, Phases, TrialGroup, TrialsShown, train
from bench.engine.until_settled import UntilSettledStudy
from bench.errors import BenchError
from bench.files.disk import report_disk_full
from bench.store.plan import PlannedTrial, planned, study_record
from bench.store.trials import Store
from bench.study.design import Design
from bench.train.status import IN_STORE, TrialStatus
from bench.tuning.allowance import Allowance
from bench.tuning.tuned_study import TunedStudy

MOST_ANSWERED = 2000
"""Trials of a study whose question a run answers at its end; `bench report` answers any."""


@dataclass(frozen=True)
class Result:
    """What became of a study.

    Args:
        study: Name of the study.
        profile: Profile that it ran under.
        stored: Trials that were in the store already, or that an earlier study of the same run
            trained.
        finished: Trials trained now.
        diverged: Names of the trials whose loss became NaN or infinite, now or in an earlier run;
            they are not trained again unless asked for.
        failed: Names of the trials that failed.
        held_back: Trials left for later by `limit`.
        repaired: Damaged feature shards that the run extracted anew, for all of its studies.
        seconds: How long the run took, all of its studies together.
        notes: What a user should know of how the study met its data.
        answer: What the study's comparisons say, in sentences.
    """

    study: str
    profile: str
    stored: int
    finished: int
    diverged: tuple[str, ...]
    failed: tuple[str, ...]
    held_back: int
    repaired: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "study": self.study,
            "profile": self.profile,
            "stored": self.stored,
            "finished": self.finished,
            "diverged": list(self.diverged),
            "failed": list(self.failed),
            "held_back": self.held_back,
            "repaired": list(self.repaired),
            "seconds": self.seconds,
            "notes": list(self.notes),
            "answer": list(self.answer),
        }


@dataclass(frozen=True)
class StudyRun:
    """One study of a run.

    Args:
        resolved: The study over its data.
        manifest: Its data.
        stored: Trials that were in the store already.
        diverged: Trials that diverged in an earlier run.
        pending: Trials to train.
        shared: Trials that an earlier study of the run trains.
        held_back: Trials beyond `limit`.
        growing: The study itself where its trials are not known beforehand, and so not counted
            above: a tuned one whose searches are not complete, or one that goes on until it is
            settled.
        fruitless: Arms whose search is complete and has no winner.
    """

    resolved: ResolvedStudy
    manifest: Manifest
    stored: int
    diverged: list[PlannedTrial]
    pending: list[PlannedTrial]
    shared: list[PlannedTrial]
    held_back: int
    growing: GrowingStudy | None
    fruitless: list[str]

    def result(
        self,
        outcomes: dict[str, TrialStatus],
        repaired: tuple[str, ...],
        seconds: float,
        store: Store,
    ) -> Result:
        """What became of the study, given how the run's trials ended."""
        own = [outcomes.get(trial.id) for trial in self.pending]
        shared = [outcomes.get(trial.id) for trial in self.shared]
        growing = self.growing

        def ended(status: TrialStatus) -> list[str]:
            every = (*self.pending, *self.shared)
            return [trial.name for trial in every if outcomes.get(trial.id) == status]

        return Result(
            study=self.resolved.design.study.name,
            profile=self.resolved.design.profile,
            # Another run may have stored one meanwhile, an earlier study of this run trained it.
            stored=self.stored
            + own.count(TrialStatus.STORED)
            + sum(status in IN_STORE for status in shared)
            + (growing.stored if growing else 0),
            finished=own.count(TrialStatus.FINISHED) + (growing.finished if growing else 0),
            diverged=(
                *(trial.name for trial in self.diverged),
                *ended(TrialStatus.DIVERGED),
                *(growing.diverged if growing else ()),
            ),
            failed=(
                *ended(TrialStatus.FAILED),
                *(growing.failed if growing else self.fruitless),
            ),
            held_back=self.held_back + (growing.left if growing else 0),
            repaired=repaired,
            seconds=seconds,
            notes=(*self.resolved.notes, *self._without_weights(store)),
            answer=_answer(store, self.resolved.design.study.name),
        )

    def _without_weights(self, store: Store) -> Iterator[str]:
        """A note where weights are asked for that stored trials were trained without."""
        keep = self.resolved.design.keep_models
        study = store.study(self.resolved.design.study.name)
        if keep == "none" or study is None:
            return
        without = sum(
            store.has(trial)
            and not store.keeps(trial, keep)
            and store.summary(trial)["spec"]["train"] is not None
            for trial in study.trial_names()
        )
        if without:
            yield (
                f"{without:,} of the trials were trained earlier, without keeping the {keep} "
                "epoch's weights: `bench model` trains one again when it is wanted, `--rerun` all"
            )


def _answer(store: Store, name: str) -> tuple[str, ...]:
    """What a recorded study's comparisons say, unless it is too large to read in a moment."""
    study = store.study(name)
    if study is None or len(study.trial_names()) > MOST_ANSWERED:
        return ()
    return tuple(answer(study, load_arms(store, study)))


def run(
    requests: Sequence[StudyRequest],
    options: RunOptions,
    resources: Resources,
    *,
    phases: Phases,
    trials_shown: TrialsShown,
) -> list[Result]:
    """Train whatever of some studies is not in the store, all of them in one Ray session.

    Args:
        requests: The studies.
        options: How to run them.
        resources: What may be used.
        phases: Shows the generation of a phantom and the making of features.
        trials_shown: Shows the trials.

    Returns:
        What became of each study.

    Raises:
        BenchError: Something in a study, the data or the weights is not as it must be, and nothing
            was trained; or a disk is full.
    """
    begun = time.monotonic()
    with report_disk_full(options.results, options.cache):
        with phases() as say:
            resolved = [resolve(request, options.cache, generate=say) for request in requests]
        _refuse_namesakes(resolved, requests)
        names = [study.design.study.name for study in resolved]
        store = Store(options.results)
        with no_trace_of_what_never_ran(store, names):
            groups, studies, outcomes = _trained(
                resolved, requests, options, resources, phases=phases, trials_shown=trials_shown
            )
    repaired = tuple(shard for group in groups for shard in group.dropped)
    seconds = time.monotonic() - begun
    return [study.result(outcomes, repaired, seconds, store) for study in studies]


def _trained(
    resolved: Sequence[ResolvedStudy],
    requests: Sequence[StudyRequest],
    options: RunOptions,
    resources: Resources,
    *,
    phases: Phases,
    trials_shown: TrialsShown,
) -> tuple[list[TrialGroup], list[StudyRun], dict[str, TrialStatus]]:
    """Record studies, and train what they lack; how the trials ended."""
    for study, request in zip(resolved, requests, strict=True):
        check_only(study.design, request)
        assert study.manifest is not None, "a run generates its phantom"
        arms = (a for a in study.design.covering_arms() if a.name in (request.only or (a.name,)))
        check_sizes(study.design, study.manifest, arms)
    allowance, taken = Allowance(options.limit), set[str]()
    studies = [
        _study_run(study, request, options, allowance, taken)
        for study, request in zip(resolved, requests, strict=True)
    ]
    groups = _groups(studies, options)
    if not groups:
        return groups, studies, {}
    proposed = sum(study.growing.left for study in studies if study.growing)
    outcomes = train(
        groups,
        resources,
        sum(len(study.pending) for study in studies) + int(min(proposed, allowance.left)),
        stored=sum(
            # A tuned study tells of its own, one by one, as they come up.
            study.stored
            + (study.growing.stored if isinstance(study.growing, UntilSettledStudy) else 0)
            for study in studies
        ),
        phases=phases,
        trials_shown=trials_shown,
    )
    store = Store(options.results)
    for study, request, one in zip(resolved, requests, studies, strict=True):
        # Another run of it that came to nothing may have put its record back meanwhile.
        if not store.study_path(study.design.study.name).exists():
            if one.growing is not None:
                one.growing.write()
            else:
                _recorded(study, request, one.manifest, store)
    return groups, studies, outcomes


def _refuse_namesakes(resolved: Sequence[ResolvedStudy], requests: Sequence[StudyRequest]) -> None:
    """Studies of one name would overwrite each other's record."""
    seen: dict[str, Path] = {}
    for study, request in zip(resolved, requests, strict=True):
        name = study.design.study.name
        if name in seen:
            raise BenchError(
                f"is named `{name}`, as is {seen[name]}",
                where=str(request.study),
                fix="give one of them another `name`, or name it once",
            )
        seen[name] = request.study


def _study_run(
    resolved: ResolvedStudy,
    request: StudyRequest,
    options: RunOptions,
    allowance: Allowance,
    taken: set[str],
) -> StudyRun:
    """What is to be done for a study; records it.

    Args:
        resolved: The study over its data.
        request: What the user asked for.
        options: The run's options.
        allowance: Trials that the run may still begin; what is pending is taken off.
        taken: Identities of trials that the run trains; what is pending is added.
    """
    design, manifest, store = resolved.design, resolved.manifest, Store(options.results)
    assert manifest is not None, "a run generates its phantom"
    tuned: TunedStudy | None = None
    growing: GrowingStudy | None = None
    wanted: list[PlannedTrial] = []
    if design.until is not None:
        growing = _settling(design, request, manifest, store, options, allowance)
    elif design.tuning is not None:
        tuned = TunedStudy(design, manifest, store, request.only, options.rerun, allowance)
        wanted, growing = tuned.tested(), None if tuned.searched else tuned
    else:
        wanted = _recorded(resolved, request, manifest, store)
    absent = [trial for trial in wanted if options.rerun or not trial.stored]
    settled = {t.id for t in absent if not options.rerun and store.diverged(t.id)}
    missing = [trial for trial in absent if trial.id not in settled]
    own = [trial for trial in missing if trial.id not in taken]
    pending = own[: allowance.take(len(own))]
    found = StudyRun(
        resolved,
        manifest,
        stored=len(wanted) - len(absent) + (tuned.stored if tuned and not growing else 0),
        diverged=[trial for trial in absent if trial.id in settled],
        pending=pending,
        shared=[trial for trial in missing if trial.id in taken],
        held_back=len(own) - len(pending),
        growing=growing,
        fruitless=tuned.fruitless if tuned else [],
    )
    taken.update(trial.id for trial in pending)
    return found


def _settling(
    design: Design,
    request: StudyRequest,
    manifest: Manifest,
    store: Store,
    options: RunOptions,
    allowance: Allowance,
) -> UntilSettledStudy:
    """A study that goes on until it is settled, as far as the store has it."""
    if request.only:
        raise BenchError(
            "a study that goes on until it is settled looks at all of its arms together",
            where="--only",
            fix="leave it out, or give the study fixed seeds",
        )
    return UntilSettledStudy(
        design,
        manifest,
        store,
        rerun=options.rerun,
        reuse_compiled=options.reuse_compiled,
        allowance=allowance,
    )


def _recorded(
    resolved: ResolvedStudy, request: StudyRequest, manifest: Manifest, store: Store
) -> list[PlannedTrial]:
    """Record a study that is not tuned; returns the trials that were asked for, each once."""
    design = resolved.design
    trials = list(planned(design, manifest, store))
    before = store.study(design.study.name)
    looks = before.looks if before else ()
    store.write_study(study_record(design, trials, manifest, bench.__version__, looks=looks))
    chosen: dict[str, PlannedTrial] = {}
    for trial in trials:
        if not request.only or trial.arm in request.only:
            chosen.setdefault(trial.id, trial)
    return list(chosen.values())


def _groups(studies: Sequence[StudyRun], options: RunOptions) -> list[TrialGroup]:
    """What is to be trained, by data and arithmetic; a group's workers are started once."""
    first = studies[0].resolved.design
    name = first.study.name if len(studies) == 1 else f"{len(studies)}-studies"
    groups: dict[tuple[Path, str], tuple[StudyRun, list[PlannedTrial], list[GrowingStudy]]] = {}
    for study in studies:
        # A trial that trains nothing goes with the others.
        usual = study.resolved.design.control.spec.arithmetic or "native"
        asked = [(trial.spec.arithmetic or usual, trial) for trial in study.pending]
        growing = [study.growing] if study.growing and not study.growing.idle else []
        wanted = [arithmetic for arithmetic, _ in asked] + ([usual] if growing else [])
        for arithmetic in dict.fromkeys(wanted):
            where = (study.resolved.data_root, arithmetic)
            _, trials, others = groups.setdefault(where, (study, [], []))
            trials += [trial for own, trial in asked if own == arithmetic]
            others += growing if arithmetic == usual else []
    return [
        TrialGroup.over(
            one.manifest,
            data_root,
            trials,
            growing,
            arithmetic=arithmetic,
            options=options,
            profile=one.resolved.design.profile,
            log=options.results / "logs" / f"{name}.{os.getpid()}.log",
        )
        for (data_root, arithmetic), (one, trials, growing) in groups.items()
    ]
