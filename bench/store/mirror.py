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
        url: Such as `s3://bucket/folder`; made on the first trial.
        say: Called with (phase, done, total).

    Raises:
        BenchError: The URL is of no known file system, or cannot be reached.
    """
    files, root = _opened(url)
    try:
        there = _trials(files, root)
        down, damaged = _fetch(store, files, root, sorted(there - set(store.ids())), say)
        up = sorted(set(store.ids()) - there)
        for done, trial in enumerate(up, start=1):
            with _whole(store, trial) as folder:
                _send(folder, files, f"{root}/trials/{trial}")
            say("to the mirror", done, len(up))
        _studies(store, files, root)
    except BenchError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise BenchError(
            f"{type(error).__name__}: {error}", where=url, fix="see the file system's settings"
        ) from error
    return MirrorResult(down, len(up), damaged)


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
    files.makedirs(target, exist_ok=True)
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
    files.makedirs(f"{root}/studies", exist_ok=True)
    for name in here:
        path = store.root / "studies" / f"{name}.json"
        files.pipe_file(f"{root}/studies/{name}.json", path.read_bytes())
