"""Checks the results folder: trials, failures, drafts, searches and studies' records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError
from bench.files.checksums import check_files, file_checksum, read_with_checksum
from bench.files.locks import is_locked
from bench.store.fsck.findings import Finding, Repair, Say, foreign, is_left, leftover, leftovers
from bench.store.phone import FORMS, read_phone
from bench.store.searches import read_search
from bench.store.studies import StudyRecord
from bench.store.tables import CHECKSUM
from bench.store.trials import Store, check_whole

OLD_FILES = frozenset(
    ("history.parquet", "predictions.parquet", "landmarks.parquet", "gate.parquet")
)
"""Files of a trial from before its trial.json listed them."""

_IDENTITY = re.compile(r"[0-9a-f]{16}")


@dataclass
class StoreReferences:
    """What the results folder refers to, gathered while it is checked.

    Args:
        names: Trial id -> how its study names it.
        fingerprints: Data that studies and trials are on.
        unfinished: Data of studies that lack trials.
        damaged: Trials that are not what was written.
        weights: Digests of the weights that trials were trained with.
        trials: Trials checked.
        without_checksums: Those from before there were checksums.
    """

    names: dict[str, str] = field(default_factory=dict)
    fingerprints: set[str] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)
    trials: int = 0
    without_checksums: int = 0


def check_results(store: Store, known: StoreReferences, say: Say) -> Iterator[Finding]:
    """Check a results folder.

    Args:
        store: The store.
        known: What it refers to, filled in here.
        say: Called with (phase, done, total).
    """
    studies = []
    for path in sorted((store.root / "studies").glob("*")):
        if path.suffix != ".json":
            yield from _draft_or_foreign(path, "the studies' records")
            continue
        try:
            study = StudyRecord.from_json(read_with_checksum(path))
        except (OSError, ValueError) as error:
            yield Finding(
                "damaged study record", path, f"cannot be read: {error}", _quarantine(store, path)
            )
            continue
        _learn(study, known)
        studies.append((path, study))
    yield from _trials(store, known, say)
    yield from _common(store)
    yield from _drafts(store)
    yield from _failures(store)
    yield from _claims_and_checkpoints(store)
    yield from _searches(store, known)
    yield from _phone(store)
    for path, study in studies:
        yield from _missing(store, path, study, known)


def _learn(study: StudyRecord, known: StoreReferences) -> None:
    known.names |= {i: f"{study.name}: {name}" for i, name in study.trial_names().items()}
    known.fingerprints.add(study.data.fingerprint)


def _trials(store: Store, known: StoreReferences, say: Say) -> Iterator[Finding]:
    kept = sorted(store.trials.glob("*")) if store.trials.is_dir() else []
    old = sorted((store.root / "superseded").glob("*"))
    for done, path in enumerate([*kept, *old], start=1):
        identity = path.name if path.parent == store.trials else path.name.rpartition("-")[0]
        if not (path.is_dir() and _IDENTITY.fullmatch(identity)):
            yield foreign(path, "the trials")
        elif path.parent == store.trials:
            yield from _trial(store, identity, known)
        else:
            yield from _superseded(store, path)
        say("trials", done, len(kept) + len(old))


def _trial(store: Store, identity: str, known: StoreReferences) -> Iterator[Finding]:
    folder = store.trials / identity
    known.trials += 1
    try:
        if not store.has(identity):
            raise BenchError("trial.json is missing")
        plain = store.checked(identity)
        if "files" not in plain:
            known.without_checksums += 1
            store.read(identity)  # nothing to compare it with: that it can be read must do
        known.fingerprints.add(str(plain["data"]["fingerprint"]))
        known.weights.add(str(plain["environment"].get("backbone_weights")))
    except (BenchError, KeyError, TypeError, AttributeError) as error:
        known.damaged.add(identity)
        name = known.names.get(identity)
        yield Finding(
            "damaged trial",
            folder,
            error.what if isinstance(error, BenchError) else f"trial.json lacks {error}",
            Repair(
                "moved to damaged/; the next run trains it again",
                lambda: store.quarantine(folder),
            ),
            retrain=(f"{name} ({identity})" if name else identity,),
        )
        return
    for path in sorted(folder.iterdir()):
        if path.name not in {"trial.json", *plain.get("files", OLD_FILES)}:
            yield foreign(path, "the trial's files")


def _common(store: Store) -> Iterator[Finding]:
    """What trials have in common; a trial that lacks its own is damaged, and found as such."""
    for path in sorted(store.common.glob("*")):
        if not (path.suffix == ".parquet" and CHECKSUM.fullmatch(path.stem)):
            yield from _draft_or_foreign(path, "the columns that trials have in common")
        elif file_checksum(path) != path.stem:
            what = "is not what was written: its checksum differs"
            yield Finding("damaged common columns", path, what, _quarantine(store, path))


def _superseded(store: Store, folder: Path) -> Iterator[Finding]:
    try:
        check_files(folder, read_with_checksum(folder / "trial.json").get("files", {}), ())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        repair = Repair("moved to damaged/", lambda: store.quarantine(folder))
        yield Finding("damaged superseded trial", folder, str(error), repair)


def _drafts(store: Store) -> Iterator[Finding]:
    for draft in sorted((store.root / "drafts").glob("*")):
        identity = draft.name.strip(".").partition(".")[0]
        if not (draft.is_dir() and _IDENTITY.fullmatch(identity)):
            yield foreign(draft, "the trials' drafts")
        elif not is_left(draft):
            continue
        elif _is_whole(draft, identity) and not store.has(identity):
            # Its process died between its last byte and its place among the trials.
            yield Finding(
                "finished trial in drafts/", draft, "is whole", _adoption(store, draft, identity)
            )
        else:
            yield leftover(draft)


def _is_whole(draft: Path, identity: str) -> bool:
    try:
        check_whole(draft, identity)
    except (OSError, ValueError):
        return False
    return True


def _adoption(store: Store, draft: Path, identity: str) -> Repair:
    def adopt() -> None:
        store.trials.mkdir(parents=True, exist_ok=True)
        draft.rename(store.trials / identity)

    return Repair("moved to its place among the trials", adopt)


def _failures(store: Store) -> Iterator[Finding]:
    for folder in sorted((store.root / "failures").glob("*")):
        if not (folder.is_dir() and _IDENTITY.fullmatch(folder.name)):
            yield foreign(folder, "the failed trials")
            continue
        records = set(store.failure_paths(folder.name))
        for path in sorted(folder.iterdir()):
            if path not in records:
                yield from _draft_or_foreign(path, "the failed attempts")
                continue
            try:
                read_with_checksum(path)
            except (OSError, ValueError) as error:
                what = f"cannot be read: {error}"
                yield Finding("damaged failure record", path, what, _quarantine(store, path))


def _claims_and_checkpoints(store: Store) -> Iterator[Finding]:
    """Checkpoints and locks of trials in training; those of stored trials are leftovers."""
    for path in sorted((store.root / "checkpoints").glob("*")):
        identity = path.name.strip(".").partition(".")[0]
        if not _IDENTITY.fullmatch(identity):
            yield foreign(path, "the checkpoints")
        elif (store.has(identity) or path.name.startswith(".")) and is_left(path):
            yield leftover(path)
    for path in sorted((store.root / "claims").glob("*")):
        if not _IDENTITY.fullmatch(path.name.partition(".")[0]):
            yield foreign(path, "the claims")
        elif is_left(path) and not is_locked(path):
            yield leftover(path)


def _searches(store: Store, known: StoreReferences) -> Iterator[Finding]:
    """What was proposed, event by event; a last line that was cut off counts as not written."""
    for path in sorted((store.root / "searches").glob("*")):
        if not (path.suffix == ".jsonl" and _IDENTITY.fullmatch(path.name.partition(".")[0])):
            yield foreign(path, "the searches")
            continue
        try:
            search = read_search(path)
            if search is not None:
                data = str(search.content["data"]).partition("+")[0]  # attributes follow
                known.fingerprints.add(data)
                if not search.complete:
                    known.unfinished.add(data)
        except (BenchError, KeyError) as error:
            what = error.what if isinstance(error, BenchError) else f"lacks {error}"
            yield Finding("damaged search", path, what, _quarantine(store, path))


def _phone(store: Store) -> Iterator[Finding]:
    """What was measured of trials' forms for a phone; it can be measured again."""
    for folder in sorted((store.root / "phone").glob("*")):
        if not (folder.is_dir() and _IDENTITY.fullmatch(folder.name)):
            yield foreign(folder, "what was measured for phones")
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix != ".json" or path.stem not in FORMS:
                yield from _draft_or_foreign(path, "a trial's forms for a phone")
                continue
            try:
                read_phone(path)
            except BenchError as error:
                yield Finding("damaged phone record", path, error.what, _quarantine(store, path))


def _missing(
    store: Store, path: Path, study: StudyRecord, known: StoreReferences
) -> Iterator[Finding]:
    named = list(study.trial_names())
    lost = [i for i in named if not store.has(i) and not store.failure_paths(i)]
    if lost or known.damaged.intersection(named):
        known.unfinished.add(study.data.fingerprint)
    # What is there and damaged is named already.
    lost = [identity for identity in lost if identity not in known.damaged]
    if lost:
        yield Finding(
            "missing trials",
            path,
            f"{len(lost)} of the {len(named)} trials it names are not in the store: not trained "
            "yet, or lost",
            retrain=tuple(f"{known.names[identity]} ({identity})" for identity in lost),
        )


def _draft_or_foreign(path: Path, belongs: str) -> Iterator[Finding]:
    return leftovers([path]) if path.name.startswith(".") else iter([foreign(path, belongs)])


def _quarantine(store: Store, path: Path) -> Repair:
    folder = path.parent.relative_to(store.root)
    return Repair(f"moved to {folder.name}/ in damaged/", lambda: store.quarantine(path, folder))
