"""Times reading DeepFashion's annotations at full size, beside what one would write instead.

Run it as `python benchmarks/annotations.py`. It draws a layout of 289,222 label lines over 5,620
product folders in a temporary folder (the images of a product are hard links to one small JPEG)
and removes it afterwards.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from measured import Comparison, write
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.data.deepfashion import load_deepfashion
from bench.data.manifest import CHANNELS_OF_TYPE, PARTITIONS

IMAGES, PRODUCTS, CLASSES = 289_222, 5_620, 50


def draw_layout(root: Path, images: int) -> None:
    """Write annotation files and image files of the given number in DeepFashion's layout."""
    draw = np.random.default_rng(0)
    types = [1] * 20 + [2] * 16 + [3] * 14
    category = draw.integers(0, CLASSES, PRODUCTS)
    folders = [f"img/Sheer_Pleated-Front_Product_{index:04d}" for index in range(PRODUCTS)]
    paths, labels, points, boxes, parts = [], [], [], [], []
    for index in range(images):
        product = index * PRODUCTS // images
        path = f"{folders[product]}/img_{index % 1000:08d}.jpg"
        kind = types[category[product]]
        paths.append(path)
        labels.append(f"{path:<70} {category[product] + 1}")
        values = " ".join(
            f"{flag} {x:03d} {y:03d}"
            for flag, x, y in draw.integers(0, (3, 200, 300), (len(CHANNELS_OF_TYPE[kind]), 3))
        )
        points.append(f"{path:<70} {kind}  {values}")
        boxes.append(f"{path:<70} 072 079 192 273")
        parts.append(f"{path:<70} {PARTITIONS[int(draw.choice(3, p=(0.72, 0.14, 0.14)))]}")
    names = [f"Class{index:02d}         {kind}" for index, kind in enumerate(types)]
    _write(root / "Anno/list_category_cloth.txt", "category_name  category_type", names)
    _write(root / "Anno/list_category_img.txt", "image_name  category_label", labels)
    _write(root / "Anno/list_landmarks.txt", "image_name  clothes_type  variation_type", points)
    _write(root / "Anno/list_bbox.txt", "image_name  x_1  y_1  x_2  y_2", boxes)
    _write(root / "Eval/list_eval_partition.txt", "image_name  evaluation_status", parts)

    jpeg = io.BytesIO()
    Image.new("RGB", (200, 300), "grey").save(jpeg, "JPEG", quality=10)
    first: dict[str, str] = {}
    for path in paths:
        target = f"{root}/Img/{path}"
        folder = path.rpartition("/")[0]
        if folder in first:
            os.link(first[folder], target)
        else:
            Path(target).parent.mkdir(parents=True)
            Path(target).write_bytes(jpeg.getvalue())
            first[folder] = target


def plain(root: Path) -> None:
    """Read labels, partition and landmarks with pandas and a loop, and match nothing."""
    for name in ("Anno/list_category_img.txt", "Eval/list_eval_partition.txt"):
        pd.read_csv(root / name, sep=r"\s+", skiprows=1)
    landmarks = {}
    with (root / "Anno/list_landmarks.txt").open() as file:
        for line in list(file)[2:]:
            path, kind, *values = line.split()
            landmarks[path] = int(kind), np.array(values, dtype=int).reshape(-1, 3)


def plain_sizes(root: Path) -> None:
    """Ask Pillow for the size of each image, one after the other."""
    for path in pd.read_csv(root / "Anno/list_category_img.txt", sep=r"\s+", skiprows=1).image_name:
        with Image.open(root / "Img" / path) as image:
            assert image.size


def _write(path: Path, header: str, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([str(len(lines)), header, *lines]) + "\n")


def _seconds(what: str, run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    spent = time.perf_counter() - start
    print(f"{what:<64}{spent:8.2f} s", flush=True)
    return spent


def main() -> None:
    """Draw the layout, time both ways of reading it, keep seconds and ratios."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        _seconds(f"(draw a layout of {images:,} images)", lambda: draw_layout(root, images))
        first = _seconds("bench, first load", lambda: load_deepfashion(root, cache=cache))
        second = _seconds("bench, second load (sizes kept)", lambda: _load(root, cache, images))
        alone = _seconds("plain: pandas and a loop, no images", lambda: plain(root))
        sizes = _seconds("plain: Pillow's size of each image", lambda: plain_sizes(root))
    both, labels = "pandas and a loop, Pillow for the sizes", "pandas and a loop, no image sizes"
    write(
        "annotations",
        "Once the images' sizes are kept, DeepFashion's annotations are read, matched with the "
        "images on disk and checked in less time than a script takes to read them and ask for "
        "each image's size.",
        comparisons=[
            Comparison(f"{images:,} images, first load", [first], [alone + sizes], both),
            Comparison(f"{images:,} images, later loads", [second], [alone + sizes], both),
            Comparison(f"{images:,} images, later loads", [second], [alone], labels),
        ],
    )


def _load(root: Path, cache: Path, images: int) -> None:
    assert len(load_deepfashion(root, cache=cache)) == images


if __name__ == "__main__":
    main()
