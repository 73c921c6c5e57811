"""Divides a manifest into train, val and test, and samples each to the size a study asks for.

A sample of N is the first N of a pool in one seeded order: so a smaller training set is always part
of a larger one, and test and val stay the same whatever the training size. Trials whose seeds draw
their own images (`vary: [sampling, ...]`) have the seed as the number of the draw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bench.data.manifest import PARTITIONS, Manifest
from bench.errors import BenchError
from bench.study.trial import TrialSpec

Size = int | Literal["all"]

SPLIT_FRACTIONS = {"train": 0.72, "val": 0.14, "test": 0.14}
"""Fractions of the parts where all images are divided: DeepFashion's 209,222 / 40,000 / 40,000."""

BY = ("official", "image", "product")
SAMPLING = ("stratified", "plain")


@dataclass(frozen=True)
class Split:
    """Which images are trained on, validated on and tested on.

    Args:
        train: Indices into the manifest, int64, in the order of sampling.
        val: Likewise; may be empty.
        test: Likewise.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


class TooFewImagesError(BenchError):
    """A source has fewer images than are asked for.

    Args:
        short: Part of the split -> images asked for, and images there.
        root: Folder of the data.
    """

    def __init__(self, short: dict[str, tuple[Size, int]], root: Path) -> None:
        self.short = short
        most = [f"{there} for {name}" for name, (_, there) in short.items() if there]
        super().__init__(
            "; ".join(
                f"{name}: {size} images asked for, {there} there"
                for name, (size, there) in short.items()
            ),
            where=str(root),
            fix=f"ask for at most {', '.join(most)}, or for 'all'" if most else "use more data",
        )


def split_of(spec: TrialSpec, manifest: Manifest) -> Split:
    """The images that a trial is trained, validated and tested on.

    The same for every model: an image without landmarks stays in and has no landmark loss, so
    that arms are tested on the same images. A trial that is scored on the validation images has
    them in the place of the test images, which it never sees.

    Raises:
        TooFewImagesError: It has fewer images than the spec asks for.
        BenchError: The data cannot give what the spec asks for.
    """
    if spec.model.of_items != (manifest.items is not None):
        found, wanted = "one category an image", "several garments an image"
        if manifest.items is not None:
            found, wanted = wanted, found
        raise BenchError(
            f"the model {spec.model.kind} is trained on {wanted}, and this data has {found}",
            where=str(manifest.root),
            fix="use another model, or data in the layout of "
            + ("DeepFashion2 (docs/deepfashion2.md)" if spec.model.of_items else "DeepFashion"),
        )
    if spec.model.has_landmarks and not manifest.has_landmarks:
        raise BenchError(
            f"the model {spec.model.kind} is trained on landmarks, and this data has none",
            where=str(manifest.root),
            fix="use a model without a landmark branch (base: ropanet_baseline), or data with "
            "landmarks in DeepFashion's layout",
        )
    data = spec.data
    instead = spec.eval.split == "validation"
    split = make_split(
        manifest,
        merge_collisions=data.colliding_paths == "merged",
        by=data.split,
        sampling=data.sampling,
        train=data.train_size,
        val=data.validation_size,
        # Of an official partition the test images need not be there: DeepFashion2 keeps its own.
        test=0 if instead and data.split == "official" else data.test_size,
        seed=data.split_seed,
        draw=spec.seed_of("sampling"),
    )
    return replace(split, test=split.val) if instead else split


def make_split(
    manifest: Manifest,
    *,
    by: str,
    sampling: str,
    train: Size,
    val: Size,
    test: Size,
    seed: int,
    merge_collisions: bool = False,
    draw: int = 0,
) -> Split:
    """Divide and sample a manifest.

    By image or by product, test is taken first, then val, and train is sampled from the rest;
    `"all"` takes `SPLIT_FRACTIONS` for test and val and the whole rest for train. By product, whole
    products go to a part until it is full; surplus images of the last one are not used.

    Stratified sampling keeps the proportions of the classes by the Sainte-Laguë rule: the image
    of rank r among the m of its class is at (r + 1/2) / m, and the first N are taken. Largest
    remainders would come closer for one N, but do not nest. A class rarer than 1 in 2N may be
    absent from a sample of N.

    Args:
        manifest: The source.
        by: `"official"` keeps the source's partition, `"image"` divides the images, `"product"`
            the products.
        sampling: `"stratified"` or `"plain"` (every image alike).
        train: How many images, or `"all"`.
        val: How many, or `"all"`; 0 is allowed.
        test: How many, or `"all"`; 0 is allowed.
        seed: Not negative; the same seed gives the same split on any machine.
        merge_collisions: Of images whose paths differ by case alone, use only the last.
        draw: Which draw, from 0: added to the seed of all but official pools that are used whole.

    Returns:
        Three disjoint sets of indices.

    Raises:
        TooFewImagesError: The source has fewer images than asked for.
        BenchError: A setting is not one of its choices, or the source lacks what is asked for.
    """
    _check_settings(by, sampling, {"train": train, "val": val, "test": test}, seed)
    usable = last_of_each_path(manifest.paths) if merge_collisions else np.arange(len(manifest))
    stratified = sampling == "stratified"
    short: dict[str, tuple[Size, int]] = {}
    if by == "official":
        pools = _official_pools(manifest, usable)
    else:
        groups = manifest.product[usable] if by == "product" else np.arange(len(usable))
        sizes = {"test": test, "val": val}
        pools = _divided(manifest, usable, groups, sizes, stratified, seed + draw, short)

    wanted: dict[str, Size] = {"train": train, "val": val, "test": test}
    for name, size in wanted.items():
        if _is_short(name, size, len(pools[name])):
            short.setdefault(name, (size, len(pools[name])))
    if short:
        raise TooFewImagesError(
            {name: short[name] for name in wanted if name in short}, manifest.root
        )
    sampled = {}
    for index, (name, size) in enumerate(wanted.items()):
        pool = pools[name]
        drawn = seed if by == "official" and size in ("all", len(pool)) else seed + draw
        order = _order(manifest.category[pool], stratified, (drawn, index))
        sampled[name] = pool[order if size == "all" else order[:size]].astype(np.int64)
    return Split(**sampled)


def _official_pools(manifest: Manifest, usable: np.ndarray) -> dict[str, np.ndarray]:
    if not manifest.has_partition:
        raise BenchError(
            "the source has no official partition",
            where=str(manifest.root),
            fix="split by: image, or by: product",
        )
    partition = manifest.partition[usable]
    return {name: usable[partition == index] for index, name in enumerate(PARTITIONS)}


def _divided(
    manifest: Manifest,
    left: np.ndarray,
    groups: np.ndarray,
    sizes: dict[str, Size],
    stratified: bool,
    seed: int,
    short: dict[str, tuple[Size, int]],
) -> dict[str, np.ndarray]:
    """Whole groups of images for each part in turn; `train` is what is left.

    A part that asks for more than is left gets that, and is added to `short`.
    """
    usable = len(left)
    pools = {}
    for index, (name, size) in enumerate(sizes.items()):
        wanted = round(SPLIT_FRACTIONS[name] * usable) if size == "all" else size
        if _is_short(name, wanted, len(left)):
            short[name] = (size, len(left))
            wanted = len(left)
        inside = _pool(groups, manifest.category[left], wanted, stratified, (seed, 10 + index))
        pools[name], left, groups = left[inside], left[~inside], groups[~inside]
    return pools | {"train": left}


def _check_settings(by: str, sampling: str, sizes: dict[str, Size], seed: int) -> None:
    for name, value, choices in (("by", by, BY), ("sampling", sampling, SAMPLING)):
        if value not in choices:
            raise BenchError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")
    for name, size in sizes.items():
        least = 1 if name == "train" else 0
        whole = isinstance(size, int) and not isinstance(size, bool)
        if size != "all" and not (whole and int(size) >= least):
            raise BenchError(f"{name}: expected a number from {least} or 'all', found {size!r}")
    if seed < 0:
        raise BenchError(f"seed: expected a number from 0, found {seed}")


def last_of_each_path(paths: np.ndarray) -> np.ndarray:
    """Images that are left when paths that differ by case alone are merged (ledger row 19).

    Args:
        paths: `(n,)` paths.

    Returns:
        Ascending indices; of each set of colliding paths the last one.
    """
    last = {str(path).lower(): index for index, path in enumerate(paths)}
    return np.array(sorted(last.values()), dtype=np.int64)


def _is_short(name: str, size: Size, available: int) -> bool:
    return available == 0 and name != "val" if size == "all" else size > available


def _pool(
    groups: np.ndarray,
    category: np.ndarray,
    wanted: int,
    stratified: bool,
    seed: tuple[int, int],
) -> np.ndarray:
    """Which images belong to the first whole groups that together hold `wanted` images."""
    if wanted == 0:
        return np.zeros(len(groups), dtype=bool)
    _, first, member, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    # A product has one category, apart from a few mistakes; that of its first image is used.
    order = _order(category[first], stratified, seed, sizes)
    filled = np.cumsum(sizes[order])
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[: int(np.searchsorted(filled, wanted)) + 1]] = True
    return chosen[member]


def _order(
    category: np.ndarray,
    stratified: bool,
    seed: tuple[int, int],
    sizes: np.ndarray | None = None,
) -> np.ndarray:
    """A seeded order of items of given sizes; stratified, each prefix keeps the proportions."""
    # The raw stream is fixed for good; NumPy may change how its shuffles draw from it.
    draws = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(len(category))
    shuffled = np.argsort(np.atleast_1d(draws), kind="stable")
    if not stratified:
        return shuffled
    sizes = np.ones(len(category)) if sizes is None else sizes.astype(np.float64)
    position = np.empty(len(category))
    for kind in np.unique(category):
        members = shuffled[category[shuffled] == kind]
        upto = np.cumsum(sizes[members])
        position[members] = (upto - sizes[members] / 2) / upto[-1]
    return shuffled[np.argsort(position[shuffled], kind="stable")]
