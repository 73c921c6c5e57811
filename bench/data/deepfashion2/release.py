"""Sizes of DeepFashion2 as released and as published: the released counts alone bear its name.

Half of the paper's training images were released. Counts of the release are those that its README,
its users and its authors give; `None` where none of them says.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.items import SHOP, USER

RELEASED = {"train": 191_961, "val": 32_153, "test": 62_629}
"""Images of each part of the release."""

PAPER = {"train": 390_884, "val": 33_669, "test": 67_342}
"""Images as the paper's Table 1 has them (Ge et al. 2019)."""

PAPER_ITEMS = {"train": 636_624, "val": 54_910, "test": 109_198}
RELEASED_IMAGE_PAIRS = {"train": 337_293}
RELEASED_ITEM_PAIRS = {"train": 394_661}
PAPER_PAIRS = {"train": 685_584}
PAPER_QUERIES = {"val": 12_550, "test": 24_402}
PAPER_GALLERY = {"val": 37_183, "test": 75_347}

VALIDATION_DOMAINS = {USER: 10_844, SHOP: 21_309}
"""Validation images of users and of shops."""


def release_differences(images: Sequence[int], validation: Sequence[int]) -> tuple[str, ...]:
    """How some data differs from what was released.

    Args:
        images: Images of train, val and test; of test, none where it is not there.
        validation: Validation images of users and of shops.

    Returns:
        One phrase a difference; empty where every count is the release's.
    """
    found = [
        f"{here:,} {name} images instead of {there:,}"
        for (name, there), here in zip(RELEASED.items(), images, strict=True)
        if here != there and (name != "test" or here)
    ]
    if tuple(validation) != tuple(VALIDATION_DOMAINS.values()):
        there = " / ".join(f"{count:,}" for count in VALIDATION_DOMAINS.values())
        here = " / ".join(f"{count:,}" for count in validation)
        found.append(f"{here} validation images of users / shops instead of {there}")
    return tuple(found)


def layout_label(images: Sequence[int], differences: Sequence[str]) -> str:
    """Name of data in DeepFashion2's layout, in tables and figures.

    Args:
        images: Images of train, val and test.
        differences: What `release_differences` found.
    """
    here = " / ".join(f"{count:,}" for count in images)
    if not differences:
        return f"DeepFashion2 as released ({here} images)"
    there = " / ".join(f"{count:,}" for count in RELEASED.values())
    return f"photographs in DeepFashion2's layout ({here} images; the release has {there})"
