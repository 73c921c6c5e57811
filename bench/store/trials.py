"""Finished trials on disk: a folder each, that appears by one rename and never changes.

results/trials/<id>/                     a finished trial (`bench.store.record`)
results/common/<checksum>.parquet        what trials of a compact copy have in common
results/failures/<id>/<n>.json           a failed attempt, with its traceback
results/superseded/<id>-<n>/             what `--rerun` replaced
results/checkpoints/<id>/                the state of a trial in training
results/claims/<id>                      the lock of the process that trains a trial
results/damaged/<id>-<n>/                what could no longer be read, moved away
results/phone/<id>/<form>.json           what its model costs as LiteRT (`bench.store.phone`)
results/searches/<id>.jsonl              a search's proposals for an arm (`bench.store.searches`)
results/studies/<name>.json              which trials a study's arms are made of
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.atomic import new_folder, write_json
from bench.files.checksums import check_files, read_with_checksum, with_checksum
from bench.store.record import (
    WEIGHTS_SUFFIX,
    Epoch,
    TrialRecord,
    read_record,
    weights_name,
    write_record,
)
from bench.store.studies import STUDY_RECORD, StudyRecord
from bench.store.tables import check_common


class FailureKind(StrEnum):
    """How a trial without a result ended."""

    DIVERGED = "diverged"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"


class Store:
    """The results folder.

    Args:
        root: The folder; made on the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trials = root / "trials"
        self.common = root / "common"

    def has(self, trial_id: str) -> bool:
        """Whether a finished trial is in the store."""
        return (self.trials / trial_id / "trial.json").is_file()

    def stamp(self, trial_id: str) -> str:
        """A text that changes whenever a trial is stored, replaced, or fails again."""
        try:
            about = (self.trials / trial_id / "trial.json").stat()
            return f"{about.st_size} {about.st_mtime_ns}"
        except FileNotFoundError:
            return f"failed {len(self.failures(trial_id))}"

    def has_gate(self, trial_id: str) -> bool:
        """Whether a finished trial has a record of its gate."""
        return (self.trials / trial_id / "gate.parquet").is_file()

    def keeps(self, trial_id: str, epoch: Epoch) -> bool:
        """Whether the weights of a finished trial's best or last epoch are kept with it."""
        return (self.trials / trial_id / weights_name(epoch)).is_file()

    def ids(self) -> Iterator[str]:
        """Identities of all finished trials, sorted."""
        if self.trials.is_dir():
            yield from sorted(path.parent.name for path in self.trials.glob("*/trial.json"))

    def write(self, record: TrialRecord, *, replace: bool = False, share: bool = False) -> Path:
        """Put a finished trial into the store, whole or not at all.

        Args:
            record: The trial.
            replace: Whether a record of the same trial is moved to `superseded/` first. Without
                it, a record that is already there stays and the new one is dropped.
            share: Whether what it has in common with other trials is kept once for all of them.

        Returns:
            The trial's folder.
        """
        common = self.common if share else None
        return self._place(record.id, lambda draft: write_record(draft, record, common), replace)

    def adopt(self, trial_id: str, files: dict[str, bytes], *, replace: bool = False) -> Path:
        """Put a trial into the store that was written elsewhere; see `write`.

        Args:
            trial_id: Its identity.
            files: Name -> bytes of the files that `write_record` made.
            replace: As in `write`.
        """

        def write(draft: Path) -> None:
            for name, content in files.items():
                (draft / name).write_bytes(content)

        return self._place(trial_id, write, replace)

    def _place(self, trial_id: str, write: Callable[[Path], None], replace: bool) -> Path:
        target = self.trials / trial_id

        def make_way() -> None:
            if replace and target.exists():
                _move(target, self.root / "superseded")
            elif target.exists() and not self.has(trial_id):
                self.quarantine(target)  # no trial, and in the place of one

        try:
            with new_folder(target, drafts=self.root / "drafts", make_way=make_way) as draft:
                write(draft)
        except FileExistsError:
            # Another run finished the same trial first: its record stays.
            if not self.has(trial_id):
                raise
        return target

    def read(self, trial_id: str, *, gates: bool = True, weights: bool = False) -> TrialRecord:
        """A finished trial, after comparing each of its files with its checksum.

        Args:
            trial_id: Its identity.
            gates: Whether to read the record of its gate as well, which may be the largest part.
            weights: Whether to compare and read its weights as well, where they are kept.

        Raises:
            BenchError: It is not in the store, or is damaged.
        """
        plain = self.checked(trial_id, weights=weights)
        folder = self.trials / trial_id
        try:
            return read_record(folder, plain, self.common, gates=gates, weights=weights)
        except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
            raise _damaged(folder, error) from error

    def checked(self, trial_id: str, *, weights: bool = True) -> dict[str, Any]:
        """A finished trial's `trial.json`, after comparing each of its files with its checksum.

        Records from before there were checksums have no `files` in it, and nothing to compare.

        Args:
            trial_id: Its identity.
            weights: Whether to compare its weights as well, which may be large.

        Raises:
            BenchError: It is not in the store, or is damaged.
        """
        plain = self.summary(trial_id)
        folder = self.trials / trial_id
        try:
            if "files" in plain:
                files = plain["files"].items()
                compared = {n: c for n, c in files if weights or not n.endswith(WEIGHTS_SUFFIX)}
                check_files(folder, compared, (p.name for p in folder.glob("*.parquet")))
            for checksum in plain.get("common", {}).values():
                check_common(self.common, checksum)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise _damaged(folder, error) from error
        return plain

    def summary(self, trial_id: str) -> dict[str, Any]:
        """A finished trial's `trial.json`: everything but history, predictions and landmarks.

        Raises:
            BenchError: It is not in the store, or is damaged.
        """
        path = self.trials / trial_id / "trial.json"
        try:
            plain = read_with_checksum(path)
        except FileNotFoundError:
            raise BenchError(f"no trial {trial_id} in {self.root}") from None
        except (OSError, ValueError) as error:
            raise _damaged(path.parent, error) from error
        if plain.get("id") != trial_id:
            raise _damaged(path.parent, ValueError("trial.json names another trial"))
        return plain

    def claim(self, trial_id: str) -> Path:
        """The lock of the process that trains a trial (`bench.files.locks`)."""
        return self.root / "claims" / trial_id

    def checkpoint(self, trial_id: str) -> Path:
        """Folder of the state that a trial in training resumes from."""
        return self.root / "checkpoints" / trial_id

    def diverged(self, trial_id: str) -> bool:
        """Whether the last attempt at a trial ended with a loss that is not a number.

        Training it again would end the same, so it is not retried until asked for.
        """
        attempts = self.failures(trial_id)
        return bool(attempts) and attempts[-1].get("kind") == FailureKind.DIVERGED

    def write_failure(self, trial_id: str, failure: dict[str, Any]) -> Path:
        """Record a failed attempt: `spec`, `kind`, `error`, `traceback`."""
        folder = self.root / "failures" / trial_id
        folder.mkdir(parents=True, exist_ok=True)
        last = max((int(path.stem) for path in self.failure_paths(trial_id)), default=0)
        path = folder / f"{last + 1}.json"
        write_json(path, with_checksum({"id": trial_id, **failure}))
        return path

    def failures(self, trial_id: str) -> list[dict[str, Any]]:
        """Failed attempts at a trial, oldest first.

        Raises:
            BenchError: A record of one is damaged.
        """
        found = []
        for path in self.failure_paths(trial_id):
            try:
                found.append(read_with_checksum(path))
            except (OSError, ValueError) as error:
                raise _damaged(path, error) from error
        return found

    def failure_paths(self, trial_id: str) -> list[Path]:
        """Records of failed attempts at a trial, oldest first."""
        paths = (self.root / "failures" / trial_id).glob("*.json")
        return sorted((p for p in paths if p.stem.isdecimal()), key=lambda p: int(p.stem))

    def study_path(self, name: str) -> Path:
        """The file of a study's record."""
        return self.root / "studies" / f"{name}.json"

    def write_study(self, study: StudyRecord) -> Path:
        """Record which trials a study's arms are made of."""
        path = self.study_path(study.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, with_checksum(study.to_json()))
        return path

    def studies(self) -> list[StudyRecord]:
        """All recorded studies, by name.

        Raises:
            BenchError: A study's record cannot be read, or is of another version.
        """
        return [read_study(path) for path in sorted((self.root / "studies").glob("*.json"))]

    def study(self, name: str) -> StudyRecord | None:
        """The record of a study; None where there is none that can be read.

        For a run, which writes it anew: a record that is damaged or of another version is no reason
        not to, and another study's is none of its business.
        """
        path = self.study_path(name)
        try:
            return read_study(path) if path.is_file() else None
        except BenchError:
            return None

    def chosen(self, names: Sequence[str] | None) -> list[StudyRecord]:
        """The records of some studies, in the order named; of all, by name, for None.

        Raises:
            BenchError: There is no study, or none of that name, or one cannot be read.
        """
        recorded = {study.name: study for study in self.studies()}
        if not recorded:
            raise BenchError("holds no study", where=str(self.root), fix="bench run mask_gate")
        for name in names or ():
            if name not in recorded:
                raise BenchError(
                    f"holds no study `{name}`",
                    where=str(self.root),
                    fix=f"studies: {', '.join(recorded)}",
                )
        return [recorded[name] for name in names] if names else list(recorded.values())

    def quarantine(self, path: Path, folder: str | Path = "") -> Path:
        """Move a damaged file or folder of the store away; returns its new place.

        Args:
            path: What to move.
            folder: Where in `damaged/` to move it.
        """
        return _move(path, self.root / "damaged" / folder)


def check_whole(folder: Path, trial_id: str) -> None:
    """Compare a trial's folder, wherever it is, with its checksums.

    Raises:
        OSError: Its `trial.json` cannot be read.
        ValueError: It is not whole, not what was written, or another trial's.
    """
    plain = read_with_checksum(folder / "trial.json")
    if plain.get("id") != trial_id:
        raise ValueError("trial.json names another trial")
    try:
        check_files(folder, plain["files"], (path.name for path in folder.glob("*.parquet")))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"trial.json lists no files ({error!r})") from None


def read_study(path: Path) -> StudyRecord:
    """A study from its file.

    Raises:
        BenchError: It cannot be read, lacks a key, or is of another version.
    """
    try:
        plain = read_with_checksum(path)
        if (version := plain.get("record")) != STUDY_RECORD:
            raise BenchError(
                f"is a study's record of version {version}; this bench reads {STUDY_RECORD}",
                where=str(path),
                fix="run the study again (what is in the store is not trained again), or "
                "move the file away",
            )
        return StudyRecord.from_json(plain)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _move(path: Path, folder: Path) -> Path:
    """Move a file or folder into another folder, under a number of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    number = sum(1 for _ in folder.glob(f"{path.name}-*")) + 1
    return path.rename(folder / f"{path.name}-{number}")


def _damaged(path: Path, error: Exception) -> BenchError:
    return BenchError(
        f"cannot be read: {error}",
        where=str(path),
        fix="`bench fsck --repair` moves it out of the way; then run the study again: only what "
        "is missing is trained",
    )
