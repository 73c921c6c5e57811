"""A whole run, start to end: data, plan, features, trials, and what became of them.

Light until there is something to train: Ray and Keras are imported only then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bench
from bench.data.manifest import Manifest
from bench.engine.request import ResolvedStudy, StudyRequest, check_only, resolve
from bench.engine.resources import Resources
from bench.engine.training import Phases, TrialsShown, batch_of, train
from bench.errors import BenchError
from bench.files.disk import report_disk_full
from bench.store.plan import PlannedTrial, planned, study_record
from bench.store.trials import Store
from bench.study.design import Design
from bench.tuning.tuned_study import TunedStudy

DONE = ("finished", "stored")
"""Outcomes of a trial that is in the store."""


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


@dataclass(frozen=True)
class StudyRun:
    """One study of a run: `pending` are its own trials to train, `shared` an earlier study's.

    Of a tuned study whose searches are not complete, `tuned` brings them as it goes; of one whose
    are, `fruitless` names the arms without a winner.
    """

    prepared: ResolvedStudy
    manifest: Manifest
    stored: int
    diverged: list[PlannedTrial]
    pending: list[PlannedTrial]
    shared: list[PlannedTrial]
    held_back: int
    tuned: TunedStudy | None = None
    fruitless: tuple[str, ...] = ()

    @property
    def study(self) -> str:
        return self.prepared.design.study.name


def run(
    requests: Sequence[StudyRequest],
    resources: Resources,
    *,
    phases: Phases,
    trials_shown: TrialsShown,
) -> list[Result]:
    """Train whatever of some studies is not in the store, all of them in one Ray session.

    Args:
        requests: What the user asked for: a study each, all else alike. Their `limit` is for all
            of them together.
        resources: What may be used.
        phases: Shows the drawing of a phantom and the making of features.
        trials_shown: Shows the trials.

    Returns:
        What became of each study.

    Raises:
        BenchError: Something in a study, the data or the weights is not as it must be, and nothing
            was trained; or a disk takes nothing more.
    """
    begun = time.monotonic()
    with report_disk_full(requests[0].results, requests[0].cache):
        with phases() as say:
            design = [resolve(request, draw=say) for request in requests]
        _refuse_namesakes(design, requests)
        shares = _shares(design, requests)
        outcomes, repaired = _train(requests[0], resources, shares, phases, trials_shown)
    seconds = time.monotonic() - begun
    return [_result(share, outcomes, repaired, seconds) for share in shares]


def _result(
    share: StudyRun, outcomes: dict[str, str], repaired: tuple[str, ...], seconds: float
) -> Result:
    own, every = share.pending, [*share.pending, *share.shared]

    def ended(trials: Sequence[PlannedTrial], *how: str) -> list[PlannedTrial]:
        return [trial for trial in trials if outcomes.get(trial.id) in how]

    diverged = [*share.diverged, *ended(every, "diverged")]
    tuned = share.tuned
    return Result(
        study=share.study,
        profile=share.prepared.design.profile,
        # Another run may have stored one meanwhile, an earlier study of this run trained it.
        stored=share.stored
        + len(ended(own, "stored"))
        + len(ended(share.shared, *DONE))
        + (tuned.stored if tuned else 0),
        finished=len(ended(own, "finished")) + (tuned.finished if tuned else 0),
        diverged=(*(trial.name for trial in diverged), *(tuned.diverged if tuned else ())),
        failed=(
            *(trial.name for trial in ended(every, "failed")),
            *(tuned.failed if tuned else share.fruitless),
        ),
        held_back=share.held_back + (tuned.left if tuned else 0),
        repaired=repaired,
        seconds=seconds,
    )


def _refuse_namesakes(design: Sequence[ResolvedStudy], requests: Sequence[StudyRequest]) -> None:
    """Studies of one name would overwrite each other's record."""
    seen: dict[str, Path] = {}
    for prepared, request in zip(design, requests, strict=True):
        name = prepared.design.study.name
        if name in seen:
            raise BenchError(
                f"is named `{name}`, as is {seen[name]}",
                where=str(request.study),
                fix="give one of them another `name`, or name it once",
            )
        seen[name] = request.study


def _shares(design: Sequence[ResolvedStudy], requests: Sequence[StudyRequest]) -> list[StudyRun]:
    taken: set[str] = set()
    room = requests[0].limit
    shares = []
    for prepared, request in zip(design, requests, strict=True):
        assert prepared.manifest is not None, "a run draws its phantom"
        store = Store(request.results)
        tuned = _tuned(prepared.design, request, prepared.manifest, store)
        settled = tuned is not None and tuned.searched
        wanted = (
            _chosen(prepared.design, request, prepared.manifest, store)
            if tuned is None
            else tuned.tested()
        )
        absent = [trial for trial in wanted if request.rerun or not trial.stored]
        diverged = [t for t in absent if not request.rerun and store.diverged(t.id)]
        missing = [trial for trial in absent if trial not in diverged]
        shared = [trial for trial in missing if trial.id in taken]
        pending = [trial for trial in missing if trial.id not in taken]
        kept = pending if room is None else pending[: max(room - len(taken), 0)]
        taken |= {trial.id for trial in kept}
        shares.append(
            StudyRun(
                prepared,
                prepared.manifest,
                stored=len(wanted) - len(absent) + (tuned.stored if tuned and settled else 0),
                diverged=diverged,
                pending=kept,
                shared=shared,
                held_back=len(pending) - len(kept),
                tuned=None if settled else tuned,
                fruitless=tuple(tuned.fruitless) if tuned else (),
            )
        )
        if tuned is not None:
            continue  # it writes its own record, again when its winners are known
        store.write_study(
            study_record(
                prepared.design,
                planned(prepared.design, prepared.manifest, store),
                prepared.manifest,
                bench.__version__,
            ),
        )
    return shares


def _tuned(
    design: Design, request: StudyRequest, manifest: Manifest, store: Store
) -> TunedStudy | None:
    if design.tuning is None:
        return None
    check_only(design, request)
    return TunedStudy(design, manifest, store, request.only, request.rerun)


def _chosen(
    design: Design, request: StudyRequest, manifest: Manifest, store: Store
) -> list[PlannedTrial]:
    check_only(design, request)
    chosen: dict[str, PlannedTrial] = {}
    for trial in planned(design, manifest, store):
        if not request.only or trial.arm in request.only:
            chosen.setdefault(trial.id, trial)
    return list(chosen.values())


def _train(
    request: StudyRequest,
    resources: Resources,
    shares: Sequence[StudyRun],
    phases: Phases,
    trials_shown: TrialsShown,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Train what is pending; outcomes by trial, and the damaged shards that were made anew."""
    # One batch for each place that data lies in, as a rule one: its workers are started once.
    places: dict[Path, list[StudyRun]] = {}
    for share in shares:
        if share.pending or share.tuned:
            places.setdefault(share.prepared.data_root, []).append(share)
    if not places:
        return {}, ()
    batches = [
        batch_of(
            [trial for share in of_place for trial in share.pending],
            of_place[0].manifest,
            data,
            cache=request.cache,
            results=request.results,
            log=request.results / "logs" / f"{_log_name(shares)}.{os.getpid()}.log",
            profile=of_place[0].prepared.design.profile,
            sources=[share.tuned for share in of_place if share.tuned is not None],
            replace=request.rerun,
            trial_timeout=request.trial_timeout,
            checkpoint_seconds=request.checkpoint_seconds,
            reuse_compiled=request.reuse_compiled,
        )
        for data, of_place in places.items()
    ]
    stored = sum(share.stored for share in shares)
    outcomes = train(
        batches,
        resources,
        phases=phases,
        trials_shown=trials_shown,
        stored=stored,
        limit=request.limit,
    )
    return outcomes, tuple(shard for batch in batches for shard in batch.dropped)


def _log_name(shares: Sequence[StudyRun]) -> str:
    return shares[0].study if len(shares) == 1 else f"{len(shares)}-studies"
