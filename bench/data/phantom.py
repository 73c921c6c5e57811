"""The phantom: rendered garments in DeepFashion's layout on disk, read by the same loader.

As in medical imaging, it stands in for data that cannot be shipped, and is never presented as
DeepFashion. The same seed and version give the same bytes, whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from bench.data.categories import categories
from bench.data.drawn_folder import draw_folder, has_mark, ordered_pool
from bench.data.garment import Cloth, Photograph, render_photograph, sample_cloth
from bench.data.manifest import ABSENT, CHANNELS_OF_TYPE, PARTITIONS
from bench.data.phantom_attributes import answers_of, has_attributes, write_attributes

PHANTOM_VERSION = 1
"""Raised by hand whenever the same seed would give other images than before."""

SPLIT_FRACTIONS = (0.6, 0.1, 0.3)
"""Train, val and test; more test images than DeepFashion's share, for tighter intervals."""

MOST_PHOTOGRAPHS = 6
JPEG_QUALITY = 88
CHUNK = 64
_PRODUCT, _PHOTOGRAPH, _LAYOUT = 1, 2, 3

Progress = Callable[[int, int], None]

_ADJECTIVES = (
    "Classic", "Fit_&_Flare", "Faded", "Striped", "Woven", "Boxy", "Relaxed", "Pleated", "Longline",
    "Sheer", "Soft", "Everyday", "Black_&_White", "Cropped", "Vintage", "Contrast",
)  # fmt: skip


@dataclass(frozen=True)
class _Product:
    number: int
    category: int
    photographs: int
    partition: int
    folder: str


def generate_phantom(
    root: Path,
    *,
    images: int,
    seed: int,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Generate a phantom, unless it is there already.

    It appears whole, by one rename; a killed run leaves nothing that looks like a phantom. One
    from before phantoms had attributes is given them; nothing else in it changes.

    Args:
        root: Folder to make.
        images: How many photographs.
        seed: Seed of everything random in it.
        workers: Processes; None for one a core.
        progress: Called with (photographs done, photographs in all).

    Returns:
        `root`.

    Raises:
        BenchError: `root` holds something else.
    """
    if is_generated(root, images=images, seed=seed):
        if not has_attributes(root):
            write_attributes(root, _attributes(_products(images, seed), seed))
        return root
    return draw_folder(
        root, mark(images, seed), lambda draft: _generate(draft, images, seed, workers, progress)
    )


def is_generated(root: Path, *, images: int, seed: int) -> bool:
    """Whether a folder holds exactly this phantom, whole."""
    return has_mark(root, mark(images, seed))


def contact_sheet(root: Path, out: Path, rows: int = 6, columns: int = 8) -> Path:
    """A sheet of a phantom's photographs with their categories and landmarks, to look at.

    Landmarks are green where visible, orange where occluded, red where outside the image.

    Args:
        root: A generated phantom.
        out: PNG to write.
        rows: Rows of the sheet.
        columns: Columns of the sheet.
    """
    from bench.data.sources import open_source

    manifest = open_source(root)
    # One of each category first, then whatever comes.
    first = np.unique(manifest.category, return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(manifest)), first)
    chosen = np.concatenate([first, rest])[: rows * columns]
    side, head = 200, 16
    sheet = Image.new("RGB", (columns * side, rows * (side + head)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, row in enumerate(chosen):
        with Image.open(manifest.root / manifest.paths[row]) as file:
            picture = file.convert("RGB")
        dots = ImageDraw.Draw(picture)
        for point, seen in zip(manifest.landmarks[row], manifest.visibility[row], strict=True):
            if seen != ABSENT:
                x, y = point * picture.size
                dots.ellipse((x - 5, y - 5, x + 5, y + 5), fill=("lime", "orange", "red")[seen])
        picture.thumbnail((side - 6, side - 6))
        corner = (place % columns * side, place // columns * (side + head))
        pen.text(
            (corner[0] + 4, corner[1] + 2), manifest.class_names[manifest.category[row]], "black"
        )
        sheet.paste(picture, (corner[0] + 3, corner[1] + head))
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)
    return out


def _generate(
    draft: Path, images: int, seed: int, workers: int | None, progress: Progress | None
) -> None:
    products = _products(images, seed)
    tasks, task, size = [], [], 0
    for product in products:
        task.append(product)
        size += product.photographs
        if size >= CHUNK:
            tasks.append((draft, seed, task))
            task, size = [], 0
    if task:
        tasks.append((draft, seed, task))
    lines: list[tuple[str, str, str, str]] = []
    with ordered_pool(workers) as run:
        for written in run(_render_products, tasks):
            lines += written
            if progress is not None:
                progress(len(lines), images)
    _write_annotations(draft, lines)
    write_attributes(draft, _attributes(products, seed))


def _products(images: int, seed: int) -> list[_Product]:
    """Categories by DeepFashion's frequencies (largest remainders), 1 to 6 photographs each."""
    rng = np.random.default_rng([_LAYOUT, seed])
    kinds = categories()
    share = np.array([kind.images for kind in kinds]) * images / sum(k.images for k in kinds)
    counts = np.floor(share).astype(int)
    counts[np.argsort(counts - share, kind="stable")[: images - counts.sum()]] += 1
    products: list[_Product] = []
    for category, count in enumerate(counts.tolist()):
        sizes, left = [], count
        while left > 0:
            sizes.append(int(min(rng.integers(1, MOST_PHOTOGRAPHS + 1), left)))
            left -= sizes[-1]
        for partition, size in zip(_partitions(sizes, rng), sizes, strict=True):
            number = len(products)
            look = _ADJECTIVES[int(rng.integers(len(_ADJECTIVES)))]
            folder = f"{look}_{kinds[category].name}_{number:05d}"
            products.append(_Product(number, category, size, partition, folder))
    order = rng.permutation(len(products))
    return [products[i] for i in order]


def _partitions(sizes: list[int], rng: np.random.Generator) -> list[int]:
    """Give each product of a category to the partition that is furthest behind its share."""
    given = rng.uniform(0, 0.5, 3)
    chosen = []
    for size in sizes:
        behind = np.array(SPLIT_FRACTIONS) * (given.sum() + size) - given
        chosen.append(int(behind.argmax()))
        given[chosen[-1]] += size
    return chosen


def _render_products(task: tuple[Path, int, list[_Product]]) -> list[tuple[str, str, str, str]]:
    """Render some products; their annotation lines: category, landmarks, box, partition."""
    draft, seed, products = task
    lines = []
    for product in products:
        folder = draft / "Img" / "img" / product.folder
        folder.mkdir(parents=True, exist_ok=True)
        cloth = _cloth(product, seed)
        for number, path in _photographs(product):
            rng = np.random.default_rng([_PHOTOGRAPH, seed, product.number, number])
            photograph = render_photograph(cloth, rng)
            name = path.rpartition("/")[2]
            Image.fromarray(photograph.pixels).save(folder / name, quality=JPEG_QUALITY)
            lines.append(
                (
                    f"{path:<70} {product.category + 1}",
                    f"{path:<70} {_landmark_fields(product.category, photograph)}",
                    f"{path:<70} {' '.join(f'{edge:03d}' for edge in photograph.box)}",
                    f"{path:<70} {PARTITIONS[product.partition]}",
                )
            )
    return lines


def _cloth(product: _Product, seed: int) -> Cloth:
    return sample_cloth(product.category, np.random.default_rng([_PRODUCT, seed, product.number]))


def _photographs(product: _Product) -> Iterator[tuple[int, str]]:
    """Number, from 1, and path of each photograph of a product."""
    for number in range(1, product.photographs + 1):
        yield number, f"img/{product.folder}/img_{number:08d}.jpg"


def _attributes(products: list[_Product], seed: int) -> Iterator[tuple[str, list[int]]]:
    """Path and attributes of each photograph, in the order in which they are rendered."""
    for product in products:
        cloth = _cloth(product, seed)
        answers = answers_of(product.category, cloth.pattern, cloth.texture)
        yield from ((path, answers) for _, path in _photographs(product))


def _landmark_fields(category: int, photograph: Photograph) -> str:
    kind = categories()[category].clothes_type
    points = [
        f"{photograph.visibility[c]} {round(x):03d} {round(y):03d}"
        for c in CHANNELS_OF_TYPE[kind]
        for x, y in [photograph.landmarks[c]]
    ]
    return f"{kind}  {'  '.join(points)}"


def _write_annotations(draft: Path, lines: list[tuple[str, str, str, str]]) -> None:
    kinds = [f"{kind.name:<15} {kind.clothes_type}" for kind in categories()]
    category, landmarks, boxes, partition = (list(column) for column in zip(*lines, strict=True))
    columns = "clothes_type  variation_type  " + "  ".join(
        f"landmark_visibility_{i}  landmark_location_x_{i}  landmark_location_y_{i}"
        for i in range(1, 9)
    )
    for name, header, rows in (
        ("Anno/list_category_cloth.txt", "category_name  category_type", kinds),
        ("Anno/list_category_img.txt", "image_name  category_label", category),
        ("Anno/list_landmarks.txt", f"image_name  {columns}", landmarks),
        ("Anno/list_bbox.txt", "image_name  x_1  y_1  x_2  y_2", boxes),
        ("Eval/list_eval_partition.txt", "image_name  evaluation_status", partition),
    ):
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([str(len(rows)), header, *rows]) + "\n", encoding="utf-8")


def mark(images: int, seed: int) -> dict[str, object]:
    """What a phantom's folder says that it is."""
    # Compared as a whole: another word here would be another phantom.
    made_by = "RopaNet Bench: drawn garments in DeepFashion's layout; this is not DeepFashion"
    return {"made_by": made_by, "version": PHANTOM_VERSION, "images": images, "seed": seed}
