"""Reads the list of categories, and finds labels that it gives another meaning than they had.

Labels are numbers of its lines: with a line too few, every later number means another category, and
nothing else about the data looks wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.data.annotations import WRONG_COUNT, AnnotationFile, is_count
from bench.data.categories import categories
from bench.data.image_lines import BEYOND, NUMBER_BY_LIST
from bench.data.issues import IssueLog, printable
from bench.data.manifest import CLOTHES_TYPES

MOST_CATEGORIES = 10_000

LACKING = "category of DeepFashion's 50 that the list lacks"
RENAMED = "image whose category number means another category in the release"

SIMILAR = 0.5
"""The share of DeepFashion's 50 names above which a list is taken for a copy of its list."""


def read_categories(file: AnnotationFile) -> tuple[list[str], list[int]]:
    """Read the category names and their clothes types.

    Args:
        file: `list_category_cloth.txt`.

    Returns:
        Names and clothes types in the file's order.

    Raises:
        BenchError: A line is not a new name and a type: the numbers of all later categories
            would be off by one.
    """
    expected = "a category name and a type from 1 to 3"
    names: dict[str, int] = {}
    for number, line in file.lines():
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2 or not is_count(parts[1]) or int(parts[1]) not in CLOTHES_TYPES:
            file.refuse(number, line, expected)
        name = printable(parts[0].strip())
        if name in names:
            file.refuse(number, line, "a category name that no earlier line has")
        if len(names) == MOST_CATEGORIES:
            file.refuse(number, line, f"at most {MOST_CATEGORIES:,} categories")
        names[name] = int(parts[1])
    if not names:
        file.refuse(file.first_line, "", expected)
    return list(names), list(names.values())


def check_numbers(
    names: Sequence[str], paths: Sequence[str], labels: Sequence[int], log: IssueLog
) -> None:
    """Count the images that a list gives another category than DeepFashion's own list would.

    A list that is shorter or ordered otherwise is somebody's own, and right, unless something
    speaks against it: its first line gives another count; labels go beyond it, and it is a copy of
    DeepFashion's; or folders are named by the categories that the release means by these numbers.

    Args:
        names: Names of the categories, in the list's order.
        paths: Path of each image.
        labels: Its category, an index into `names`.
        log: Where they are counted; what reading the list and the labels found is there.
    """
    official = [category.name for category in categories()]
    missing = [name for name in official if name not in names]
    if list(names) == official or len(missing) > SIMILAR * len(official):
        return
    kinds = [issue.kind for issue in log.issues()]
    faulty = WRONG_COUNT in kinds or any(kind.startswith(BEYOND) for kind in kinds)
    if not faulty and not _folders_speak_against(names, official, paths, labels):
        return
    renamed = Counter(
        label for label in labels if label >= len(official) or names[label] != official[label]
    )
    if missing:
        listed = ", ".join(missing)
        log.add(LACKING, listed, blocking=True, count=len(missing), fix=NUMBER_BY_LIST)
    for label, count in renamed.most_common():
        there = official[label] if label < len(official) else "nothing"
        example = f"number {label + 1} ({count:,} images): {names[label]} here, {there} there"
        log.add(RENAMED, example, blocking=True, count=count, fix=NUMBER_BY_LIST)


def _folders_speak_against(
    names: Sequence[str], official: Sequence[str], paths: Sequence[str], labels: Sequence[int]
) -> bool:
    """Whether more folders end in what DeepFashion means by their images' number than otherwise.

    Its folders are named after a product, and end in the category: `Sheer_Pleated-Front_Blouse`.
    """
    here = there = 0
    for path, label in zip(paths, labels, strict=True):
        if label < len(official) and names[label] != official[label]:
            last = path.rpartition("/")[0].rpartition("_")[2]
            here += last == names[label]
            there += last == official[label]
    return there > here
