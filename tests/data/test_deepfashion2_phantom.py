"""DeepFashion2's phantom: deterministic, in its layout, in pairs, landmarks where they belong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bench.data.check import check
from bench.data.deepfashion2.categories import CATEGORIES, NAMES
from bench.data.deepfashion2.garments import ORDER, cut_garment, landmark_places, sample_garment
from bench.data.deepfashion2.outline import outlines
from bench.data.deepfashion2.phantom import generate_deepfashion2
from bench.data.deepfashion2.sheet import items_sheet
from bench.data.items import HIDDEN, SEEN, SHOP, USER, Items
from bench.data.manifest import Manifest
from bench.data.sources import data_label, open_source
from bench.errors import BenchError

IMAGES = 160


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("deepfashion2") / "phantom"
    return open_source(generate_deepfashion2(root, images=IMAGES, seed=0))


@pytest.fixture(scope="module")
def items(drawn: Manifest) -> Items:
    assert drawn.items is not None
    return drawn.items


def digest(root: Path) -> str:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    parts = [f"{path.relative_to(root)}".encode() + path.read_bytes() for path in files]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def mask_of(items: Items, item: int, size: tuple[int, int]) -> np.ndarray:
    """An item's mask: the union of its polygons, `(height, width)` bool."""
    mask = Image.new("1", size)
    for polygon in items.polygons_of(item):
        ImageDraw.Draw(mask).polygon([tuple(corner) for corner in polygon.tolist()], fill=1)
    return np.asarray(mask)


def test_the_same_seed_gives_the_same_bytes_whatever_the_processes(tmp_path: Path) -> None:
    one, two = (
        generate_deepfashion2(tmp_path / f"{workers}", images=40, seed=1, workers=workers)
        for workers in (1, 2)
    )
    assert digest(one) == digest(two)
    again = generate_deepfashion2(one, images=40, seed=1)  # it is there already
    assert digest(again) == digest(two)
    with pytest.raises(BenchError, match="is not the phantom of 40 images with seed 2"):
        generate_deepfashion2(one, images=40, seed=2)


def test_it_is_read_as_deepfashion2_and_never_called_so(drawn: Manifest, items: Items) -> None:
    assert drawn.source == "phantom"
    assert data_label(drawn) == f"phantom ({IMAGES} drawn images, not DeepFashion2)"
    assert drawn.partition_counts == [96, 48, 16]
    assert not [issue for issue in drawn.issues if issue.blocking]
    assert {issue.kind for issue in drawn.issues} <= {
        "test image without annotation, as released",
        "annotation file with keys out of order",
        "style without a partner on the other side",
        "pair_id with images of one side only",
        "item without landmarks",
    }
    assert {drawn.class_names[c] for c in np.unique(items.category)} == set(ORDER)
    count = np.bincount(items.image, minlength=IMAGES)[drawn.partition < 2]
    assert set(count.tolist()) == {1, 2, 3}


def test_pairs_join_users_with_shops_and_are_numbered_as_in_the_release(
    drawn: Manifest, items: Items
) -> None:
    pairs = items.positive_pairs()
    assert len(pairs) > IMAGES / 4
    assert (items.category[pairs[:, 0]] == items.category[pairs[:, 1]]).all()
    assert 0.5 < np.mean(items.style > 0) < 0.9
    train = items.pair_id[drawn.partition == 0]
    assert (np.diff(train) >= 0).all()  # images of a pair follow one another
    validation = items.domain[drawn.partition == 1]
    assert (np.diff(validation) >= 0).all() and set(validation) == {USER, SHOP}  # users first


def test_grades_are_about_as_often_as_published(drawn: Manifest) -> None:
    counted = check(drawn).items
    assert counted is not None
    for name, row in counted.grades.items():
        assert abs((row["here, %"] or 0) - (row["published, %"] or 0)) < 13, name


def test_the_order_has_every_landmark_of_its_category_and_mirrors() -> None:
    # Axis and mirror pairs as DeepFashion2's figure numbers them: i and `fold` - i, from 1.
    folds = {"short sleeve top": (32, 7, 15), "vest": (22, 7, 10), "trousers": (18, 4, 8),
             "skirt": (12, 4, 5)}  # fmt: skip
    for name, order in ORDER.items():
        assert len(order) == CATEGORIES[NAMES.index(name)].landmarks
        fold, first, last = folds[name]
        for number in range(first, last + 1):
            (left, share), (right, other) = order[number - 1], order[fold - number - 1]
            assert left.startswith("left ") and right == left.replace("left", "right")
            assert share == other


def test_landmarks_go_down_the_left_side_of_the_picture_and_up_the_right() -> None:
    rng = np.random.default_rng(0)
    for name in ORDER:
        garment = sample_garment(name, rng)
        places = landmark_places(garment, cut_garment(garment, back=False, rng=rng))
        x, y = places.T
        tops = name in ("short sleeve top", "vest")
        first, hem = (6, 15 if name == "short sleeve top" else 10) if tops else (3, None)
        assert y[:3].max() < y[first:].max()
        if tops:
            assert abs(x[0]) < 1e-9 and x[1] < x[2] < x[3] < x[4] < x[5]  # along the neckline
            assert abs(x[hem]) < 1e-9 and y[hem] > y[3] and x[first] < 0 < x[-1]
        else:
            assert x[0] < x[1] < x[2] and y[first] < y[first + 1] and x[first] < 0 < x[-1]


def test_visible_landmarks_lie_on_what_is_outlined_and_hidden_ones_are_covered(
    drawn: Manifest, items: Items
) -> None:
    near, covered = [], []
    for item in range(len(items)):
        width, height = drawn.image_size[items.image[item]].tolist()
        mask = mask_of(items, item, (width, height))
        for x, y, flag in items.landmarks_of(item).astype(int).tolist():
            around = mask[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
            if flag == SEEN:
                near.append(around.any())
            elif flag == HIDDEN:
                covered.append(not around.all())
    assert np.mean(near) > 0.95 and np.mean(covered) > 0.95


def test_a_shops_backdrop_is_plain_and_a_users_is_not(drawn: Manifest, items: Items) -> None:
    spread: dict[int, list[float]] = {USER: [], SHOP: []}
    for row in np.flatnonzero(drawn.partition < 2)[:80].tolist():
        with Image.open(drawn.root / drawn.paths[row]) as file:
            rim = np.asarray(file.convert("L"), np.float64)[:, :4]
        spread[int(items.domain[row])].append(float(rim.std()))
    assert np.median(spread[SHOP]) < 4 < np.median(spread[USER])


def test_garments_of_one_identity_are_alike_in_colour(drawn: Manifest, items: Items) -> None:
    colour = np.zeros((len(items), 3))
    for item in range(len(items)):
        with Image.open(drawn.root / drawn.paths[items.image[item]]) as file:
            mask = mask_of(items, item, file.size)
            colour[item] = np.asarray(file.convert("RGB"), np.float64)[mask].mean(axis=0)
    gallery = np.flatnonzero(items.domain[items.image] == SHOP)
    hits, chance = [], []
    for query in np.unique(items.positive_pairs()[:, 0]).tolist():
        right = items.identity[gallery] == items.identity[query]
        nearest = np.hypot.reduce(colour[gallery] - colour[query], axis=1).argsort()[:5]
        hits.append(right[nearest].any())
        chance.append(5 * right.mean())
    assert np.mean(hits) > 3 * np.mean(chance)


def test_an_outline_is_that_of_each_piece_and_leaves_out_specks() -> None:
    cover = np.zeros((40, 60))
    cover[5:25, 0:10] = cover[5:25, 30:50] = 1
    cover[35, 55] = 1
    left, right = sorted(outlines(cover), key=lambda polygon: polygon[:, 0].min())
    assert left[:, 0].min() == 0 and 8.5 <= left[:, 0].max() <= 10
    assert right.min(axis=0) == pytest.approx([29.5, 4.5], abs=0.6) and len(right) <= 8


def test_test_images_have_no_annotations_and_a_sheet_shows_the_others(
    drawn: Manifest, tmp_path: Path
) -> None:
    assert not (drawn.root / "test/annos").exists()
    said = json.loads((drawn.root / "train/annos/000001.json").read_text())
    assert said["source"] in ("user", "shop") and said["pair_id"] == 1 and "item1" in said
    with Image.open(items_sheet(drawn.root, tmp_path / "sheet.png", rows=1, columns=3)) as sheet:
        assert sheet.size == (900, 314)
