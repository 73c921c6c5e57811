"""The phantom of DeepFashion2: rendered garments in its layout, in pairs, read by the same loader.

It stands in for data that must be asked for, and is never presented as DeepFashion2. The same seed
and version give the same bytes, whatever the number of processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.deepfashion2.garments import (
    LOWER,
    ORDER,
    UPPER,
    Garment,
    recoloured,
    sample_garment,
)
from bench.data.deepfashion2.photograph import Worn, render
from bench.data.drawn_folder import draw_folder, has_mark, ordered_pool

PHANTOM_VERSION = 1
"""Raised by hand whenever the same seed would give other images than before."""

FRACTIONS = {"train": 0.6, "validation": 0.3, "test": 0.1}
"""Images of each part; those of test come without annotations, as DeepFashion2's do."""

JPEG_QUALITY = 88
CHUNK = 32
_PRODUCT, _PHOTOGRAPH, _LAYOUT = 11, 12, 13

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Dressed:
    """A garment of a photograph: which product of which pair, and its style in it."""

    pair: int
    product: int
    category: str
    style: int
    recoloured: bool = False
    beside: bool = False


@dataclass(frozen=True)
class _Shot:
    """A photograph to take."""

    part: str
    number: int
    pair: int
    shop: bool
    wardrobe: tuple[_Dressed, ...]


def generate_deepfashion2(
    root: Path,
    *,
    images: int,
    seed: int,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Generate a phantom of DeepFashion2, unless it is there already.

    Args:
        root: Folder to make; it appears whole.
        images: How many photographs.
        seed: Seed of everything random in it.
        workers: Processes; None for one a core.
        progress: Called with (photographs done, photographs in all).

    Returns:
        `root`.

    Raises:
        BenchError: `root` holds something else.
    """
    if has_mark(root, mark(images, seed)):
        return root

    def draw(draft: Path) -> None:
        shots = _shots(images, seed)
        tasks = [(draft, seed, shots[at : at + CHUNK]) for at in range(0, images, CHUNK)]
        done = 0
        with ordered_pool(workers) as run:
            for taken in run(_take, tasks):
                done += taken
                if progress is not None:
                    progress(done, images)

    return draw_folder(root, mark(images, seed), draw)


def mark(images: int, seed: int) -> dict[str, object]:
    """What a phantom's folder says that it is."""
    made_by = "RopaNet Bench: drawn garments in DeepFashion2's layout; this is not DeepFashion2"
    return {"made_by": made_by, "version": PHANTOM_VERSION, "images": images, "seed": seed}


def _shots(images: int, seed: int) -> list[_Shot]:
    """All photographs: train pair by pair, the other parts with the users' first."""
    rng = np.random.default_rng([_LAYOUT, seed])
    ends = np.rint(np.cumsum(list(FRACTIONS.values())) * images).astype(int)
    shots: list[_Shot] = []
    pair = 0
    for part, count in zip(FRACTIONS, np.diff(ends, prepend=0).tolist(), strict=True):
        taken: list[tuple[int, bool, tuple[_Dressed, ...]]] = []
        first = pair
        while len(taken) < count:
            taken += [(pair, shop, wardrobe) for shop, wardrobe in _pair(pair, rng)]
            pair += 1
        taken = taken[:count]
        if part != "train":
            taken.sort(key=lambda shot: shot[1])
        # Numbers of images and of pairs begin anew in each part.
        shots += [
            _Shot(part, number, of - first + 1, shop, wardrobe)
            for number, (of, shop, wardrobe) in enumerate(taken, start=1)
        ]
    return shots


def _pair(pair: int, rng: np.random.Generator) -> Iterator[tuple[bool, tuple[_Dressed, ...]]]:
    """One to three photographs of a shop and one or two of users, of one garment and its variants.

    Style 1 is the garment, 2 the same in another colour, 3 what the shop wears with it. Users wear
    it with things of their own, too, which have no partner: style 0.
    """
    category = list(ORDER)[int(rng.integers(len(ORDER)))]
    with_it = (LOWER if category in UPPER else UPPER)[int(rng.integers(2))]
    main = _Dressed(pair, 0, category, 1)
    variant = _Dressed(pair, 0, category, 2, recoloured=True)
    companion = _Dressed(pair, 1, with_it, 3)
    in_colours, accompanied = rng.random(2) < (0.5, 0.6)
    shops, users = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    stranger = 2
    for number in range(shops + users):
        shop = number < shops
        other = in_colours and (number == 1 if shop else rng.random() < 0.3)
        wardrobe = [variant if other else main]
        if rng.random() < 0.55:
            of_the_shop = accompanied and rng.random() < (0.9 if shop else 0.4)
            own = _Dressed(pair, stranger, with_it, 0)
            wardrobe.append(companion if of_the_shop else own)
        if rng.random() < 0.15:
            beside = list(ORDER)[int(rng.integers(len(ORDER)))]
            wardrobe.append(_Dressed(pair, stranger + 1, beside, 0, beside=True))
        stranger += 2
        yield shop, tuple(wardrobe)


def _take(task: tuple[Path, int, list[_Shot]]) -> int:
    """Take some photographs; how many."""
    draft, seed, shots = task
    for shot in shots:
        part = list(FRACTIONS).index(shot.part)
        rng = np.random.default_rng([_PHOTOGRAPH, seed, part, shot.number])
        wardrobe = [
            Worn(_garment(dressed, seed), dressed.style, dressed.beside)
            for dressed in shot.wardrobe
        ]
        picture = render(wardrobe, shop=shot.shop, rng=rng)
        file = draft / shot.part / "image" / f"{shot.number:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.pixels).save(file, quality=JPEG_QUALITY)
        if shot.part == "test":
            continue
        keys: dict[str, object] = {"source": "shop" if shot.shop else "user", "pair_id": shot.pair}
        keys |= {f"item{n}": item for n, item in enumerate(picture.items, start=1)}
        # The release's keys come in any order.
        order = list(keys) if rng.random() < 0.8 else rng.permutation(list(keys)).tolist()
        said = draft / shot.part / "annos" / f"{shot.number:06d}.json"
        said.parent.mkdir(parents=True, exist_ok=True)
        said.write_text(json.dumps({key: keys[key] for key in order}), encoding="utf-8")
    return len(shots)


def _garment(dressed: _Dressed, seed: int) -> Garment:
    product = [_PRODUCT, seed, dressed.pair, dressed.product]
    garment = sample_garment(dressed.category, np.random.default_rng(product))
    if dressed.recoloured:
        return recoloured(garment, np.random.default_rng([*product, dressed.style]))
    return garment
