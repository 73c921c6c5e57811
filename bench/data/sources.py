"""Opens a data folder of any kind, recognised by its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.data.deepfashion import ANNOTATION_FOLDERS, is_deepfashion, load_deepfashion
from bench.data.folder import is_folder_of_classes, load_folder
from bench.data.issues import printable
from bench.data.manifest import Manifest
from bench.data.release import layout_label
from bench.errors import BenchError

PHANTOM_MARK = "phantom.json"
"""The file at its root by which a DeepFashion layout says that it is a phantom."""

_LISTED = 8


def open_source(
    root: Path,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Read a data folder of any kind.

    Args:
        root: The folder: DeepFashion's layout, a phantom, or a folder of classes.
        cache: Folder to keep image sizes in between runs.
        progress: Called with (image headers read, headers to read).

    Returns:
        The manifest of what is there.

    Raises:
        BenchError: It is none of these, or what it is has a fault that forbids using it.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise BenchError(
            f"expected a data folder, found {found}",
            where=str(root),
            fix="give the folder that holds the data, unpacked if it came as an archive",
        )
    if is_deepfashion(root):
        source = "phantom" if (root / PHANTOM_MARK).is_file() else "deepfashion"
        return load_deepfashion(root, source=source, cache=cache, progress=progress)
    _refuse_part(root)
    if is_folder_of_classes(root):
        return load_folder(root)
    raise BenchError(
        f"expected DeepFashion ({', '.join(f'{name}/' for name in ANNOTATION_FOLDERS)} with "
        "list_category_img.txt) or a folder of classes (<class>/*.jpg); "
        f"found {_listing(root)}",
        where=str(root),
        fix=_nearby(root),
    )


def data_label(manifest: Manifest) -> str:
    """Name of the data in tables and figures."""
    if manifest.source == "phantom":
        return f"phantom ({len(manifest):,} drawn images, not DeepFashion)"
    if manifest.release_differences is not None:
        return layout_label(manifest.class_counts, manifest.release_differences)
    return f"folder `{printable(manifest.root.name)}` ({len(manifest):,} images)"


def _refuse_part(root: Path) -> None:
    # Img/img inside DeepFashion looks like a folder of 5,620 classes: the products.
    for parent in list(root.resolve().parents)[:2]:
        if is_deepfashion(parent):
            raise BenchError(
                "this is a part of a DeepFashion folder, not the whole of it",
                where=str(root),
                fix=f"give {parent}",
            )


def _listing(root: Path) -> str:
    names = sorted(
        f"{printable(p.name)}/" if p.is_dir() else printable(p.name) for p in root.iterdir()
    )
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _nearby(root: Path) -> str:
    for child in sorted(root.iterdir()):
        if child.is_dir() and is_deepfashion(child):
            return f"DeepFashion is one folder further in: give {child}"
    return "give the folder that holds one of these layouts"
