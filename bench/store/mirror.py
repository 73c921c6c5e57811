"""A copy of a results folder on object storage, or on any other file system of fsspec.

A store needs renames, which object storage lacks, so runs work on a local folder. In the mirror a
trial counts once its `trial.json` is there, which is sent last; nothing there is overwritten.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.checksums import without_checksum
from bench.store.record import write_record
from bench.store.studies import StudyRecord
from bench.store.trials import Store, check_whole

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MirrorResult:
    """What was copied.

    Args:
        down: Trials copied from the mirror.
        up: Trials copied to it.
        damaged: Trials in the mirror that are damaged, left there.
    """

    down: int
    up: int
    damaged: tuple[str, ...]


def mirror(store: Store, url: str, say: Say) -> MirrorResult:
    """Give a results folder and its mirror the same trials and studies.

    Args:
        store: The results folder.
        url: Such as `s3://bucket/folder`; the folder is made on the first trial, the bucket never.
        say: Called with (phase, done, total).

    Raises:
        BenchError: The URL is of no known file system, its bucket does not exist, or it cannot be
            reached.
    """
    doing = _Doing()
    try:
        files, root = _opened(url)
        doing.what = "listing its trials"
        _check_bucket(files, root, url)
        there = _trials(files, root)
        here = set(store.ids())
        doing.what = "copying trials from it"
        down, damaged = _fetch(store, files, root, sorted(there - here), say)
        up = sorted(set(store.ids()) - there)
        for done, trial in enumerate(up, start=1):
            doing.what = f"copying trial {done:,} of {len(up):,} to it"
            with _whole(store, trial) as folder:
                _send(folder, files, f"{root}/trials/{trial}")
            say("to the mirror", done, len(up))
        doing.what = "copying the studies' records"
        _studies(store, files, root)
    except BenchError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise _failed(url, doing.what, error) from error
    return MirrorResult(down, len(up), damaged)


@dataclass
class _Doing:
    """What is being done, for the message where it fails."""

    what: str = "opening it"


def _failed(url: str, what: str, error: Exception) -> BenchError:
    """What to say of a mirror that does not answer, or refuses."""
    todo = "see that this machine reaches the server, and that the URL is right"
    if isinstance(error, PermissionError):
        todo = "see that the file system's credentials are set, and allow to list, read and write"
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return BenchError(
        f"failed at {what}: {said}",
        where=url,
        fix=f"{todo}; then `bench mirror {url}` goes on (what is in the results folder is kept)",
    )


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise BenchError(
            str(error),
            where=url,
            fix="install that file system's package, such as s3fs for s3://",
        ) from error
    return files, root.rstrip("/")


def _has_buckets(root: str) -> bool:
    """Whether the first part of a path is a bucket: elsewhere paths begin with a slash."""
    return not root.startswith("/")


def _check_bucket(files: Any, root: str, url: str) -> None:
    """Make sure that a bucket exists: to make one is not ours, least of all of a mistyped name.

    Raises:
        BenchError: It does not.
    """
    bucket, _, _ = root.partition("/")
    if _has_buckets(root) and not files.exists(bucket):
        raise BenchError(
            f"there is no bucket `{bucket}`, or these credentials do not see it",
            where=url,
            fix="correct the name, or make the bucket first",
        )


def _make_folder(files: Any, path: str) -> None:
    """Make a folder, where there are any: object storage has none, and would make a bucket."""
    if not _has_buckets(path):
        files.makedirs(path, exist_ok=True)


def _trials(files: Any, root: str) -> set[str]:
    return {path.split("/")[-2] for path in files.glob(f"{root}/trials/*/trial.json")}


def _fetch(
    store: Store, files: Any, root: str, trials: list[str], say: Say
) -> tuple[int, tuple[str, ...]]:
    damaged = []
    for done, trial in enumerate(trials, start=1):
        content = {
            path.split("/")[-1]: files.cat_file(path)
            for path in files.ls(f"{root}/trials/{trial}", detail=False)
        }
        try:
            _check(trial, content)
        except (OSError, ValueError):
            damaged.append(trial)
        else:
            store.adopt(trial, content)
        say("from the mirror", done, len(trials))
    return len(trials) - len(damaged), tuple(damaged)


def _check(trial: str, content: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        folder = Path(scratch)
        for name, data in content.items():
            (folder / Path(name).name).write_bytes(data)
        check_whole(folder, trial)


@contextmanager
def _whole(store: Store, trial: str) -> Iterator[Path]:
    """A trial's folder, with what a compact copy keeps once for all trials put back into it."""
    if "common" not in store.summary(trial):
        yield store.trials / trial
        return
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        write_record(Path(scratch), store.read(trial))
        yield Path(scratch)


def _send(folder: Path, files: Any, target: str) -> None:
    _make_folder(files, target)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "trial.json"):
        files.pipe_file(f"{target}/{path.name}", path.read_bytes())


def _studies(store: Store, files: Any, root: str) -> None:
    """Copy records of studies: down what is only in the mirror, up all others."""
    here = {study.name for study in store.studies()}
    for path in files.glob(f"{root}/studies/*.json"):
        name = path.split("/")[-1].removesuffix(".json")
        if name not in here:
            plain = without_checksum(json.loads(files.cat_file(path)))
            store.write_study(StudyRecord.from_json(plain))
    _make_folder(files, f"{root}/studies")
    for name in here:
        path = store.root / "studies" / f"{name}.json"
        files.pipe_file(f"{root}/studies/{name}.json", path.read_bytes())
