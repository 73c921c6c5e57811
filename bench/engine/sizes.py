"""The sizes that a study asks for, held against the images that its data has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from bench.data.manifest import PARTITIONS, Manifest
from bench.data.split import (
    SPLIT_FRACTIONS,
    Split,
    TooFewImagesError,
    last_of_each_path,
    make_split,
)
from bench.errors import BenchError
from bench.study.design import Arm, Design
from bench.study.scale import PARTS, Scale
from bench.study.settings.data import DataSpec
from bench.study.trial import TrialSpec

NAMED = 12
"""Arms that a message names; of more, it says how many."""

_PATHS = dict(zip(("train", "val", "test"), PARTS, strict=True))


def scale_to_data(design: Design, manifest: Manifest) -> Design:
    """A design whose sizes fit its data; the same one where they do already.

    Args:
        design: The study, with the sizes that it asks for.
        manifest: Its data.

    Raises:
        BenchError: Two arms are the same trial then.
    """
    scale = _scale(design, manifest)
    return design.scaled(scale) if scale else design


def check_sizes(design: Design, manifest: Manifest, arms: Iterable[Arm]) -> None:
    """Make sure that the data has the images that arms ask for.

    Args:
        design: The study.
        manifest: Its data.
        arms: Those of its arms that are to be trained.

    Raises:
        BenchError: It has not: names every arm that asks for too many, and what would fit.
    """
    short: dict[str, dict[str, tuple[int | str, int]]] = {}
    known: dict[DataSpec, dict[str, tuple[int | str, int]]] = {}
    for arm in arms:
        data = _data_of(arm.spec)
        if data not in known:
            known[data] = _shortage(data, manifest)
        if known[data]:
            short[arm.name] = known[data]
    if not short:
        return
    scale = _scale(design, manifest)
    lines = [
        f"  {arm}: " + ", ".join(_asked(scale, part, *found) for part, found in parts.items())
        for arm, parts in short.items()
    ]
    if len(lines) > NAMED:
        lines[NAMED:] = [f"  and {len(lines) - NAMED:,} more"]
    asking = f"{len(short):,} arms ask" if len(short) > 1 else "an arm asks"
    raise BenchError(
        "\n".join([f"{asking} for more images than there are", *lines]),
        where=str(manifest.root),
        fix="add --scale-to-data, which takes what fits, or write that into the study",
    )


def _asked(scale: Scale, part: str, size: int | str, there: int) -> str:
    path = _PATHS[part]
    fits = scale.fit(path, size)
    return f"{path} {size}, there are {there}" + (f" (fits: {fits})" if fits != there else "")


def _data_of(spec: TrialSpec) -> DataSpec:
    """What a trial asks for: one that is tested on the validation images needs no others."""
    if spec.eval.split == "validation" and spec.data.split == "official":
        return spec.data.model_copy(update={"test_size": 0})
    return spec.data


def _shortage(data: DataSpec, manifest: Manifest) -> dict[str, tuple[int | str, int]]:
    """Part of the split -> images asked for and images there, of parts that have too few."""
    if data.split != "official":
        try:
            _split(data, manifest)
        except TooFewImagesError as error:
            return dict(error.short)
        return {}
    if not manifest.has_partition:
        return {}  # said where it is split
    there = _official(manifest, merged=data.colliding_paths == "merged")
    sizes = {"train": data.train_size, "val": data.validation_size, "test": data.test_size}
    return {
        part: (size, there[part])
        for part, size in sizes.items()
        if isinstance(size, int) and size > there[part]
    }


def _scale(design: Design, manifest: Manifest) -> Scale:
    """How the sizes of a study fit its data."""
    asked: dict[str, set[int]] = defaultdict(set)
    kinds: set[DataSpec] = set()
    for arm in design.covering_arms():
        data = arm.spec.data
        kinds.add(data.model_copy(update=dict.fromkeys(_FIELDS, "all")))
        for path in PARTS:
            size = getattr(data, path.removeprefix("data."))
            if isinstance(size, int):
                asked[path].add(size)
    there = [_there(kind, manifest) for kind in kinds]
    return Scale(
        {path: tuple(sorted(sizes)) for path, sizes in asked.items()},
        {path: min(each[part] for each in there) for part, path in _PATHS.items()},
    )


_FIELDS = tuple(path.removeprefix("data.") for path in PARTS)


def _there(data: DataSpec, manifest: Manifest) -> dict[str, int]:
    """Images that each part of a split can have at the same time."""
    if data.split == "official" and not manifest.has_partition:
        return dict.fromkeys(PARTITIONS, len(manifest))
    if data.split == "official":
        return _official(manifest, merged=data.colliding_paths == "merged")
    images = len(_usable(manifest, merged=data.colliding_paths == "merged"))
    there = {part: int(images * SPLIT_FRACTIONS[part]) for part in ("val", "test")}
    cut = {"validation_size": there["val"], "test_size": max(there["test"], 1)}
    # Whole products go to a part, and what is left over of the last one to none.
    return there | {"train": len(_split(data.model_copy(update=cut), manifest).train)}


def _split(data: DataSpec, manifest: Manifest) -> Split:
    return make_split(
        manifest,
        merge_collisions=data.colliding_paths == "merged",
        by=data.split,
        sampling=data.sampling,
        train=data.train_size,
        val=data.validation_size,
        test=data.test_size,
        seed=data.split_seed,
    )


def _official(manifest: Manifest, *, merged: bool) -> dict[str, int]:
    partition = manifest.partition[_usable(manifest, merged=merged)]
    counts = np.bincount(partition[partition >= 0], minlength=len(PARTITIONS))
    return dict(zip(PARTITIONS, counts.tolist(), strict=True))


def _usable(manifest: Manifest, *, merged: bool) -> np.ndarray:
    return last_of_each_path(manifest.paths) if merged else np.arange(len(manifest))
