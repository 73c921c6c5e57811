"""Reads DeepFashion's `list_*.txt`: one file a task, each line with its image's path."""

from __future__ import annotations

from pathlib import Path

from bench.data.category_list import read_categories
from bench.data.image_lines import Annotations, read_labels, read_landmarks, read_partition
from bench.data.issues import IssueLog
from bench.data.layout import (
    ANNOTATION_FOLDERS,
    CATEGORIES,
    EVALUATION_FOLDERS,
    LABELS,
    LANDMARKS,
    PARTITION,
    locate,
    open_annotation,
    require,
)
from bench.data.split_files import FINE_FOLDER, has_split_files, read_split_partition


def has_list_files(root: Path) -> bool:
    """Whether a folder holds the categories of its images in a `list_*.txt`."""
    return locate(root, ANNOTATION_FOLDERS, LABELS) is not None


def is_finer(root: Path) -> bool:
    """Whether the images of a folder are those of DeepFashion's finer annotations."""
    labels = locate(root, ANNOTATION_FOLDERS, LABELS)
    return has_split_files(root) and (labels is None or _of_fine(labels))


def read_list_files(root: Path, log: IssueLog) -> Annotations:
    """Read what the `list_*.txt` of a folder say.

    Args:
        root: The data folder.
        log: Where issues are counted.

    Raises:
        BenchError: A file is missing, or not what it should be.
    """
    listed = require(root, ANNOTATION_FOLDERS, CATEGORIES)
    names, types = read_categories(
        open_annotation(root, listed, "category_name", log, numbered=True)
    )
    labelled = require(root, ANNOTATION_FOLDERS, LABELS)
    paths, categories = read_labels(open_annotation(root, labelled, "image_name", log), len(names))
    of_fine = _of_fine(labelled)
    if has_split_files(root, [FINE_FOLDER]) and not of_fine:
        log.add(
            "finer annotations that are not read",
            f"{FINE_FOLDER}/: to read them instead, take {labelled.parent.name}/ out of the folder",
        )
    places = (locate(root, ANNOTATION_FOLDERS, name) for name in LANDMARKS)
    landmarks = next(filter(None, places), None)
    return Annotations(
        names,
        types,
        paths,
        categories,
        # The finer annotations are of a part of the images, which they divide anew.
        (read_split_partition(root, log) if of_fine else None) or _partition(root, log),
        None
        if landmarks is None
        else read_landmarks(open_annotation(root, landmarks, "image_name", log)),
    )


def _partition(root: Path, log: IssueLog) -> dict[str, int] | None:
    path = locate(root, EVALUATION_FOLDERS, PARTITION)
    return None if path is None else read_partition(open_annotation(root, path, "image_", log))


def _of_fine(labels: Path) -> bool:
    return labels.parent.name.lower() == FINE_FOLDER.lower()
