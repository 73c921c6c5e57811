"""A copy of a results folder where there are no renames: object storage, or whatever fsspec knows.

The store's promise rests on renames, so runs work on a local folder. In the mirror a trial counts
from its `trial.json` on, which goes up last; what is there is never overwritten.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.checksums import check_files, read_with_checksum
from bench.store.studies import StudyRecord
from bench.store.trials import Store

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class MirrorResult:
    """What went where.

    Args:
        down: Trials that came from the mirror.
        up: Trials that went to it.
        damaged: Trials in the mirror that are not what was written, left there.
    """

    down: int
    up: int
    damaged: tuple[str, ...]


def mirror(store: Store, url: str, say: Say) -> MirrorResult:
    """Make a results folder and its mirror hold the same trials and studies.

    Args:
        store: The results folder.
        url: Such as `s3://bucket/folder`; made on the first trial.
        say: Called with (phase, done, total).

    Raises:
        BenchError: Nothing is known of such a URL, or it does not answer.
    """
    files, root = _opened(url)
    try:
        there = _trials(files, root)
        down, damaged = _fetch(store, files, root, sorted(there - set(store.ids())), say)
        up = sorted(set(store.ids()) - there)
        for done, trial in enumerate(up, start=1):
            _send(store.trials / trial, files, f"{root}/trials/{trial}")
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
        except (OSError, ValueError, KeyError, TypeError):
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
        about = read_with_checksum(folder / "trial.json")
        check_files(folder, about["files"], (p.name for p in folder.glob("*.parquet")))
    if about["id"] != trial:
        raise ValueError("trial.json names another trial")


def _send(folder: Path, files: Any, target: str) -> None:
    files.makedirs(target, exist_ok=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "trial.json"):
        files.pipe_file(f"{target}/{path.name}", path.read_bytes())


def _studies(store: Store, files: Any, root: str) -> None:
    """Records of studies: what is only in the mirror comes down, the others go up."""
    here = {study.name for study in store.studies()}
    for path in files.glob(f"{root}/studies/*.json"):
        name = path.split("/")[-1].removesuffix(".json")
        if name not in here:
            with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
                copy = Path(scratch) / "study.json"
                copy.write_bytes(files.cat_file(path))
                store.write_study(StudyRecord.from_json(read_with_checksum(copy)))
    files.makedirs(f"{root}/studies", exist_ok=True)
    for name in here:
        path = store.root / "studies" / f"{name}.json"
        files.pipe_file(f"{root}/studies/{name}.json", path.read_bytes())
