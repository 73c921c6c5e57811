"""Phantoms of both layouts: where in a cache they lie, whether they are there, how they are made.

A phantom is known by its layout, how many images it has, and its seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.data import phantom
from bench.data.deepfashion2 import phantom as deepfashion2
from bench.data.drawn_folder import MARK, has_mark
from bench.errors import BenchError
from bench.files.locks import locked
from bench.study.settings.data import PhantomSource

_MARKS = {"deepfashion": phantom.mark, "deepfashion2": deepfashion2.mark}


def phantom_folder(source: PhantomSource) -> Path:
    """Where in a cache folder a phantom is generated."""
    before = "" if source.layout == "deepfashion" else f"{source.layout}-"
    return Path("phantom", f"{before}{source.images}-images-seed-{source.seed}")


def source_of_folder(root: Path) -> PhantomSource:
    """What a `phantom_folder` is of, by its name."""
    *layout, images, _, _, seed = root.name.split("-")
    settings = {"images": int(images), "seed": int(seed)}
    return PhantomSource.model_validate(settings | ({"layout": layout[0]} if layout else {}))


def generate_once(
    source: PhantomSource,
    root: Path,
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Generate a phantom, unless it is there already: of two runs that begin together, one waits.

    Args:
        source: The phantom.
        root: Folder to make.
        cache: Cache folder, in which it is locked.
        progress: Called with (photographs done, photographs in all).

    Raises:
        BenchError: `root` holds something else.
    """
    generate = {
        "deepfashion": phantom.generate_phantom,
        "deepfashion2": deepfashion2.generate_deepfashion2,
    }[source.layout]
    with locked(cache / "phantom.lock", wait=True):
        return generate(root, images=source.images, seed=source.seed, progress=progress)


def is_generated(source: PhantomSource, root: Path) -> bool:
    """Whether a folder holds exactly this phantom, whole."""
    return has_mark(root, _MARKS[source.layout](source.images, source.seed))


def generated_as(root: Path) -> dict[str, Any]:
    """The settings that a generated phantom has beside its kind.

    Raises:
        BenchError: Its mark is not what the bench writes.
    """
    try:
        mark = json.loads((root / MARK).read_text(encoding="utf-8"))
        images, seed = mark["images"], mark["seed"]
        if type(images) is type(seed) is int:
            for layout, made in _MARKS.items():
                if mark == made(images, seed):
                    usual = layout == "deepfashion"
                    return {"images": images, "seed": seed} | ({} if usual else {"layout": layout})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # it is not, then
    raise BenchError(
        "is not the mark of a phantom of this version",
        where=str(root / MARK),
        fix="generate it with `bench data phantom`, or remove the mark where it is real data",
    )
