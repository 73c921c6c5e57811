"""Opens a data folder of any kind, recognised by its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.data.archives import packed
from bench.data.deepfashion import is_deepfashion, load_deepfashion
from bench.data.deepfashion2 import release as deepfashion2_release
from bench.data.deepfashion2.load import is_deepfashion2, load_deepfashion2
from bench.data.drawn_folder import MARK
from bench.data.folder import is_folder_of_classes, load_folder
from bench.data.issues import printable
from bench.data.layout import ANNOTATION_FOLDERS
from bench.data.manifest import Manifest
from bench.data.other_benchmarks import refuse_other_benchmark
from bench.data.release import layout_label
from bench.errors import BenchError

_LISTED = 8


def open_source(
    root: Path,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    as_it_is: bool = False,
) -> Manifest:
    """Read a data folder of any kind.

    Args:
        root: The folder: DeepFashion's or DeepFashion2's layout, a phantom of one of them, or a
            folder of classes.
        cache: Folder to keep image sizes in between runs, and DeepFashion2's annotations.
        progress: Called with (image headers read, headers to read).
        as_it_is: Also give data that no run may begin on, to look at its issues.

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
    layout = _layout_of(root)
    if layout is not None:
        source = "phantom" if (root / MARK).is_file() else layout.lower()
        load = load_deepfashion if layout == "DeepFashion" else load_deepfashion2
        manifest = load(root, source=source, cache=cache, progress=progress)
        if not as_it_is:
            _refuse_unusable(manifest)
        return manifest
    refuse_other_benchmark(root)
    _refuse_part(root)
    if is_folder_of_classes(root):
        return load_folder(root, cache=cache, progress=progress)
    raise BenchError(
        f"expected DeepFashion ({', '.join(f'{name}/' for name in ANNOTATION_FOLDERS)} with "
        "list_category_img.txt, or with train.txt and train_cate.txt), DeepFashion2 "
        "(train/annos/, train/image/) or a folder of classes (<class>/*.jpg); "
        f"found {_listing(root)}",
        where=str(root),
        fix=_nearby(root),
    )


def data_label(manifest: Manifest) -> str:
    """Name of the data in tables and figures."""
    if manifest.source == "phantom":
        layout = "DeepFashion" if manifest.items is None else "DeepFashion2"
        return f"phantom ({len(manifest):,} drawn images, not {layout})"
    if manifest.release_differences is not None and manifest.items is not None:
        return deepfashion2_release.layout_label(
            manifest.partition_counts, manifest.release_differences
        )
    if manifest.release_differences is not None:
        return layout_label(manifest.class_counts, manifest.release_differences)
    return f"folder `{printable(manifest.root.name)}` ({len(manifest):,} images)"


def _refuse_unusable(manifest: Manifest) -> None:
    """Refuse data on which every number would be of other labels than it says, or of no image.

    Raises:
        BenchError: An issue forbids a run.
    """
    issues = [issue for issue in manifest.issues if issue.fix]
    if issues:
        raise BenchError(
            "; ".join(
                f"{issue.count:,} x {issue.kind}: {', '.join(issue.examples)}" for issue in issues
            ),
            where=str(manifest.root),
            fix=f"{issues[0].fix}; `bench data check {manifest.root}` shows all of it",
        )


def _layout_of(root: Path) -> str | None:
    if is_deepfashion(root):
        return "DeepFashion"
    return "DeepFashion2" if is_deepfashion2(root) else None


def _refuse_part(root: Path) -> None:
    # Img/img inside DeepFashion looks like a folder of 5,620 classes, the products; train/ inside
    # DeepFashion2 like one of a single class.
    for parent in list(root.resolve().parents)[:2]:
        layout = _layout_of(parent)
        if layout is not None:
            raise BenchError(
                f"this is a part of a {layout} folder, not the whole of it",
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
        layout = _layout_of(child) if child.is_dir() else None
        if layout is not None:
            return f"{layout} is one folder further in: give {child}"
    return packed(root) or "give the folder that holds one of these layouts"
