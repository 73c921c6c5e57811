"""Tells the other three of DeepFashion's four benchmarks, which are not read, by their files."""

from __future__ import annotations

from pathlib import Path

from bench.data.layout import ANNOTATION_FOLDERS, CATEGORIES, locate
from bench.errors import BenchError

_BENCHMARKS = {
    "In-shop Clothes Retrieval": ("list_item_inshop.txt", "list_landmarks_inshop.txt",
                                  "list_bbox_inshop.txt"),
    "Consumer-to-shop Clothes Retrieval": (
        "list_item_consumer2shop.txt", "list_landmarks_consumer2shop.txt",
        "list_bbox_consumer2shop.txt"),
    "Fashion Landmark Detection": ("list_joints.txt", "list_landmarks.txt"),
}  # fmt: skip
"""Benchmark -> files that only it has, of those in an annotation folder without categories."""


def refuse_other_benchmark(root: Path) -> None:
    """Name a folder that holds another benchmark of DeepFashion than the one that is read.

    Args:
        root: A folder without the categories of its images.

    Raises:
        BenchError: It does.
    """
    if locate(root, (*ANNOTATION_FOLDERS, ""), CATEGORIES) is not None:
        return  # the right one, from which a file is missing
    for benchmark, files in _BENCHMARKS.items():
        for file in files:
            found = locate(root, (*ANNOTATION_FOLDERS, ""), file)
            if found is not None:
                raise BenchError(
                    f"this is DeepFashion's {benchmark} Benchmark "
                    f"({found.relative_to(root).as_posix()}): it names no category of its images, "
                    "which is what is predicted here",
                    where=str(root),
                    fix="give the Category and Attribute Prediction Benchmark; or write the "
                    "categories to Anno/list_category_cloth.txt and Anno/list_category_img.txt "
                    "(docs/data.md)",
                )
