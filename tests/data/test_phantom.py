"""The phantom: deterministic, in DeepFashion's layout, atomic, neither too easy nor too hard."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.categories import categories
from bench.data.garment import render_photograph, sample_cloth
from bench.data.manifest import ABSENT, CHANNELS_OF_TYPE, VISIBLE
from bench.data.phantom import contact_sheet, generate_phantom, is_generated
from bench.data.sources import open_source
from bench.errors import BenchError


def digest(root: Path) -> str:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    parts = [f"{path.relative_to(root)}".encode() + path.read_bytes() for path in files]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_the_same_seed_gives_the_same_bytes_whatever_the_processes(
    phantom: Path, tmp_path: Path
) -> None:
    again = generate_phantom(tmp_path / "again", images=300, seed=0, workers=2)
    assert digest(again) == digest(phantom)
    other = generate_phantom(tmp_path / "other", images=60, seed=1, workers=1)
    assert digest(other) != digest(generate_phantom(tmp_path / "o", images=60, seed=2, workers=1))


def test_it_reads_as_deepfashion_without_an_oddity(phantom: Path) -> None:
    manifest = open_source(phantom)
    assert manifest.source == "phantom" and len(manifest) == 300
    assert not [oddity for oddity in manifest.issues if oddity.blocking]
    assert manifest.class_names == tuple(category.name for category in categories())
    for kind, channels in CHANNELS_OF_TYPE.items():
        of_kind = manifest.visibility[manifest.clothes_type == kind]
        assert (np.flatnonzero((of_kind != ABSENT).any(axis=0)) == channels).all()


def test_images_are_300_pixels_on_the_longest_side_and_mostly_not_square(phantom: Path) -> None:
    sizes = []
    for path in sorted(phantom.glob("Img/img/*/*.jpg"))[:60]:
        with Image.open(path) as image:
            sizes.append(image.size)
    assert {max(size) for size in sizes} == {300}
    assert np.mean([width != height for width, height in sizes]) > 0.9


def test_no_product_is_in_two_partitions_and_categories_follow_deepfashion(phantom: Path) -> None:
    manifest = open_source(phantom)
    for product in np.unique(manifest.product):
        assert len(set(manifest.partition[manifest.product == product])) == 1
    counts = np.bincount(manifest.category, minlength=50)
    share = np.array([category.images for category in categories()]) / 289_222
    assert np.abs(counts - 300 * share).max() < 1  # largest remainders
    assert sum(category.images for category in categories()) == 289_222


def test_visible_landmarks_lie_on_the_garment() -> None:
    dress = next(i for i, category in enumerate(categories()) if category.name == "Dress")
    inside = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        photograph = render_photograph(sample_cloth(dress, rng), rng)
        x1, y1, x2, y2 = photograph.box
        places = photograph.landmarks[photograph.visibility == VISIBLE]
        inside += list(((places > [x1 - 6, y1 - 6]) & (places < [x2 + 6, y2 + 6])).all(axis=1))
    assert np.mean(inside) > 0.98


def test_pixels_alone_tell_little(phantom: Path) -> None:
    manifest = open_source(phantom)
    pixels = []
    for path in manifest.paths:
        with Image.open(manifest.root / path) as image:
            pixels.append(np.asarray(image.convert("L").resize((16, 16)), np.float64).ravel() / 255)
    x, labels = np.stack(pixels), manifest.category
    train = manifest.partition == 0
    design = np.c_[x, np.ones(len(x))]
    target = np.eye(50)[labels]
    ridge = design[train].T @ design[train] + 10 * np.eye(design.shape[1])
    weights = np.linalg.solve(ridge, design[train].T @ target[train])
    right = (design[~train] @ weights).argmax(axis=1) == labels[~train]
    assert right.mean() < 0.40  # always answering `Dress` scores 0.25


def test_a_killed_drawing_leaves_nothing_that_is_taken_as_whole(tmp_path: Path) -> None:
    root = tmp_path / "phantom"
    script = (
        "from pathlib import Path; from bench.data.phantom import generate_phantom\n"
        f"generate_phantom(Path({str(root)!r}), images=2000, seed=0, workers=1)"
    )
    drawing = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".phantom.*.part/Img/img/*/*.jpg")):
        assert time.monotonic() < deadline and drawing.poll() is None
    drawing.send_signal(signal.SIGKILL)
    drawing.wait()
    assert not root.exists() and not is_generated(root, images=2000, seed=0)
    generate_phantom(root, images=60, seed=0, workers=1)
    assert is_generated(root, images=60, seed=0)
    assert not list(tmp_path.glob(".phantom.*.part"))


def test_another_folder_is_never_drawn_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BenchError, match="is not the phantom"):
        generate_phantom(tmp_path, images=60, seed=0, workers=1)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_contact_sheet_is_an_image(phantom: Path, tmp_path: Path) -> None:
    with Image.open(contact_sheet(phantom, tmp_path / "sheet.png", rows=2, columns=3)) as sheet:
        assert sheet.size == (600, 2 * 216)
