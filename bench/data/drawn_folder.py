"""A folder of drawn images: it appears whole, with a mark that says what it is, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError
from bench.files.atomic import new_folder
from bench.files.signals import ProcessPool

MARK = "phantom.json"
"""The file at its root by which a layout says that it is a phantom of data and not the data."""

Mark = Mapping[str, object]


def draw_folder(root: Path, mark: Mark, draw: Callable[[Path], None]) -> Path:
    """Make a drawn folder by one rename; a killed run leaves nothing that looks like one.

    Args:
        root: Folder to make.
        mark: What the folder says that it is: `images` and `seed` among it.
        draw: Called with where to draw.

    Returns:
        `root`.

    Raises:
        BenchError: `root` holds something else.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BenchError(
            f"is not the phantom of {mark['images']:,} images with seed {mark['seed']}",
            where=str(root),
            fix="give an empty or a new folder",
        )
    _remove_stale_drafts(root)
    try:
        with new_folder(root) as draft:
            draw(draft)
            (draft / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    except FileExistsError:
        # Another process drew the same folder first: it stays.
        if not has_mark(root, mark):
            raise
    return root


def has_mark(root: Path, mark: Mark) -> bool:
    """Whether a folder holds exactly what a mark says, whole."""
    try:
        found = json.loads((root / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == mark)


@contextmanager
def ordered_pool(workers: int | None) -> Iterator[Callable]:
    """An ordered parallel map; in this very process for one worker, None for one a core."""
    count = workers or os.cpu_count() or 1
    if count == 1:
        yield map
        return
    with ProcessPool(count) as pool:
        yield pool.map


def _remove_stale_drafts(root: Path) -> None:
    """Drafts of processes that are no more."""
    for draft in root.parent.glob(f".{root.name}.*.part"):
        pid = draft.name.split(".")[-2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(draft, ignore_errors=True)
