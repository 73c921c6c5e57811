"""Whether data in DeepFashion's layout is the official release: told by its counts alone.

A subset, a made-up set or a copy with images missing is called what it is, and is never held
against published figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.data.categories import categories

PARTITION = {"train": 209_222, "val": 40_000, "test": 40_000}
"""Images of the official partition."""

MOST_NAMED = 3
"""Of the categories that differ, so many are named and the rest are counted."""


def release_differences(
    names: Sequence[str], counts: Sequence[int], partition: Sequence[int] | None = None
) -> tuple[str, ...]:
    """How some data differs from DeepFashion's official release.

    Args:
        names: Names of its categories.
        counts: Images of each.
        partition: Images of train, val and test; None where they are not known.

    Returns:
        One phrase a difference, the largest in scope first; empty where every count is the
        release's.
    """
    official = {category.name: category.images for category in categories()}
    here: Counter[str] = Counter()
    for name, count in zip(names, counts, strict=True):
        here[name] += count
    found = [
        f"{is_:,} {what} instead of {should:,}"
        for what, is_, should in (
            ("images", here.total(), sum(official.values())),
            ("categories with images", _occurring(counts), _occurring(official.values())),
        )
        if is_ != should
    ]
    if partition is not None and tuple(partition) != tuple(PARTITION.values()):
        found.append(f"partition {_parts(partition)} instead of {_parts(PARTITION.values())}")
    odd = [_odd(name, here, official) for name in dict.fromkeys((*official, *here))]
    named = [phrase for phrase in odd if phrase]
    found += named[:MOST_NAMED]
    if len(named) > MOST_NAMED:
        found.append(f"{len(named) - MOST_NAMED} categories more")
    return tuple(found)


def layout_label(counts: Sequence[int], differences: Sequence[str]) -> str:
    """Name of data in DeepFashion's layout, in tables and figures.

    Args:
        counts: Images of each category.
        differences: What `release_differences` found.
    """
    official = [category.images for category in categories()]
    images, kinds = f"{sum(counts):,} images", _occurring(counts)
    if not differences:
        return f"DeepFashion ({images})"
    there = f"the official release has {sum(official):,} and {_occurring(official)}"
    if (sum(counts), kinds) == (sum(official), _occurring(official)):
        there = f"not the official release: {', '.join(differences)}"
    word = "category" if kinds == 1 else "categories"
    return f"photographs in DeepFashion's layout ({images}, {kinds} {word}; {there})"


def _occurring(counts: Iterable[int]) -> int:
    return sum(count > 0 for count in counts)


def _parts(partition: Iterable[int]) -> str:
    return " / ".join(f"{count:,}" for count in partition)


def _odd(name: str, here: Counter[str], official: dict[str, int]) -> str:
    """What is odd about a category; empty where nothing is."""
    if name not in official:
        return f"a category {name} that the release does not have"
    if name not in here:
        return f"no category {name}"
    if here[name] != official[name]:
        return f"{name} {here[name]:,} images instead of {official[name]:,}"
    return ""
