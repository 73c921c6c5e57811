"""DeepFashion2's layout: read item by item, once, and everything odd in it counted."""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.check import check
from bench.data.deepfashion2 import index
from bench.data.deepfashion2.annotation import Annotation, Fault, parse
from bench.data.deepfashion2.categories import CATEGORIES
from bench.data.deepfashion2.release import RELEASED, layout_label, release_differences
from bench.data.items import SHOP, USER
from bench.data.sources import data_label, open_source
from bench.data.split import split_of
from bench.engine.request import StudyRequest, resolve
from bench.errors import BenchError

SIZE = (200, 300)
SKIRT, TROUSERS = 9, 8


def item(category: int = SKIRT, style: int = 1, **changes: Any) -> dict[str, Any]:
    """An ordinary item: its box covers half of the image, its landmarks are seen."""
    name, landmarks = CATEGORIES[category - 1]
    plain = {
        "segmentation": [[20, 30, 170, 30, 170, 230, 20, 230]],
        "scale": 3,
        "viewpoint": 2,
        "zoom_in": 1,
        "landmarks": [value for n in range(landmarks) for value in (20 + n, 30 + n, 2)],
        "style": style,
        "bounding_box": [20, 30, 170, 230],
        "category_id": category,
        "occlusion": 1,
        "category_name": name,
    }
    return plain | changes


def annotation(source: str, *items: dict[str, Any], pair_id: int = 1) -> dict[str, Any]:
    return {"source": source, "pair_id": pair_id} | {
        f"item{number}": one for number, one in enumerate(items, start=1)
    }


def write(root: Path, annotations: list[Any], part: str = "train") -> Path:
    """Write images with annotations: objects as JSON, bytes as they are."""
    for folder in ("image", "annos"):
        (root / part / folder).mkdir(parents=True, exist_ok=True)
    for number, plain in enumerate(annotations, start=1):
        Image.new("RGB", SIZE, "grey").save(root / f"{part}/image/{number:06d}.jpg", quality=10)
        raw = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
        (root / f"{part}/annos/{number:06d}.json").write_bytes(raw)
    return root


PAIR = [annotation("user", item()), annotation("shop", item())]


def ordinary(count: int) -> list[Any]:
    return [annotation(PAIR[n % 2]["source"], item(), pair_id=n // 2) for n in range(count)]


def test_items_are_read_in_order_with_landmarks_polygons_and_identity(tmp_path: Path) -> None:
    trousers = item(
        TROUSERS, style=0, scale=1, occlusion=2, zoom_in=3, viewpoint=1,
        segmentation=[[0, 0, 9, 0, 9, 9], [50, 50, 60, 50, 60, 60, 50, 60.5]],
    )  # fmt: skip
    manifest = open_source(write(tmp_path, [annotation("user", item(), trousers), PAIR[1]]))
    items = manifest.items
    assert items is not None and manifest.source == "deepfashion2" and len(manifest) == 2
    assert items.image.tolist() == [0, 0, 1] and items.domain.tolist() == [USER, SHOP]
    assert [manifest.class_names[c] for c in items.category] == ["skirt", "trousers", "skirt"]
    assert items.identity[0] == items.identity[2] >= 0 > items.identity[1]
    assert [items.scale[1], items.occlusion[1], items.zoom_in[1], items.viewpoint[1]] == [
        1,
        2,
        3,
        1,
    ]
    assert items.landmarks_of(1).shape == (14, 3) and items.landmarks_of(1)[3].tolist() == [
        23,
        33,
        2,
    ]
    first, second = items.polygons_of(1)
    assert first.tolist() == [[0, 0], [9, 0], [9, 9]] and second[-1].tolist() == [50, 60.5]
    assert items.box[2].tolist() == [20, 30, 170, 230]
    assert manifest.image_size.tolist() == [[200, 300]] * 2
    assert manifest.product[0] == manifest.product[1]


def test_positive_pairs_are_joined_by_part_pair_and_style(tmp_path: Path) -> None:
    train = [
        annotation("user", item(style=1), item(style=2)),
        annotation("shop", item(style=1), item(style=0)),
        annotation("shop", item(style=1), item(style=3)),
        annotation("user", item(style=0), pair_id=2),
        annotation("shop", item(style=0), pair_id=2),
    ]
    write(tmp_path, train)
    write(tmp_path, [annotation("shop", item(style=1))], "validation")
    items = open_source(tmp_path).items
    assert items is not None
    assert items.positive_pairs().tolist() == [[0, 2], [0, 4]]  # user's item 0; shops' 2 and 4


def test_test_images_have_no_annotations_and_stay(tmp_path: Path) -> None:
    write(tmp_path, PAIR)
    (tmp_path / "test/image").mkdir(parents=True)
    for name in "12":
        Image.new("RGB", SIZE).save(tmp_path / f"test/image/00000{name}.jpg")
    manifest = open_source(tmp_path)
    assert manifest.partition.tolist() == [0, 0, 2, 2]
    assert len(set(manifest.product.tolist())) == 3
    counts = {issue.kind: issue.count for issue in manifest.issues}
    assert counts == {"no validation images": 1, "test image without annotation, as released": 2}


QUIRKS: dict[str, tuple[str, dict[str, Any]]] = {
    "no landmarks": ("item without landmarks", {"landmarks": [0] * 24}),
    "no list of landmarks": ("item without landmarks", {"landmarks": []}),
    "place unlabelled": (
        "item with a place for a landmark that is not labelled (ignored)",
        {"landmarks": [7, 7, 0] + [30, 40, 2] * 7},
    ),
    "landmark beyond": (
        "item with a landmark beyond the image", {"landmarks": [30, 40, 2] * 7 + [201, 9, 1]},
    ),
    "box beyond": ("box beyond the image (clipped)", {"bounding_box": [-5, 30, 210, 230]}),
    "box empty": ("box without area", {"bounding_box": [20, 30, 20, 230]}),
    "small": ("scale that the box's share of the image contradicts", {"scale": 1}),
    "no polygon": ("item without a polygon", {"segmentation": []}),
    "flat polygon": ("item whose polygons have no area", {"segmentation": [[1, 1, 9, 9, 5, 5]]}),
    "sliver": (
        "polygon of fewer than three points (left out)",
        {"segmentation": [[1, 1, 9, 9], [20, 30, 170, 30, 170, 230]]},
    ),
    "overlap": (
        "item whose polygons overlap (its mask is their union)",
        {"segmentation": [[20, 30, 90, 30, 90, 99, 20, 99], [60, 60, 170, 60, 170, 230, 60, 230]]},
    ),
    "figure's order": (
        "short sleeve outwear with point 2 below point 4 (ordered as in the figure)",
        item(3, landmarks=[30, 40, 2, 60, 90, 2, 40, 60, 2, 35, 45, 1] + [50, 50, 2] * 27, style=0),
    ),
    "other style": ("style without a partner on the other side", {"style": 14}),
    "other category": ("pair_id and style under two categories", item(TROUSERS)),
}  # fmt: skip


@pytest.mark.parametrize("name", QUIRKS)
def test_each_quirk_is_counted_named_and_forbids_nothing(name: str, tmp_path: Path) -> None:
    kind, changes = QUIRKS[name]
    root = write(tmp_path, [annotation("user", item(), item(**changes), pair_id=1), *PAIR])
    plain = open_source(write(tmp_path / "plain", PAIR)).issues
    found = {issue.kind: issue for issue in open_source(root).issues}
    assert kind not in {issue.kind for issue in plain} and found[kind].count == 1
    assert "000001" in " ".join(found[kind].examples) or name == "other category"
    assert not any(issue.blocking for issue in found.values())


def test_neighbouring_polygons_that_share_an_edge_do_not_overlap() -> None:
    beside = [[20, 30, 90, 30, 90, 99, 20, 99], [90, 30, 170, 30, 170, 99, 90, 99]]
    crossed = [[0, 0, 40, 40, 0, 40], [10, 0, 50, 0, 50, 40]]  # only their boxes meet
    for segmentation in (beside, crossed):
        plain = annotation("user", item(segmentation=segmentation))
        assert parse(json.dumps(plain).encode()).oddities == []


def test_files_and_pairs_are_counted_too(tmp_path: Path) -> None:
    twin = annotation("user", item(), item())
    backwards = dict(reversed(annotation("shop", item(), item(TROUSERS, style=2)).items()))
    alone = annotation("user", item(style=0), pair_id=9)
    write(tmp_path, [twin, backwards, alone, annotation("shop")])
    Image.new("RGB", SIZE).save(tmp_path / "train/image/000077.jpg")
    (tmp_path / "train/annos/000088.json").write_text("{}")
    manifest = open_source(tmp_path)
    counts = {issue.kind: issue.count for issue in manifest.issues}
    assert counts["annotation file with keys out of order"] == 1
    assert counts["item with the category and box of another"] == 1
    assert counts["pair_id with images of one side only"] == 1
    assert counts["image without an item"] == 1
    assert counts["image without an annotation file (left out)"] == 1
    assert counts["annotation file without an image (left out)"] == 1
    assert manifest.items is not None  # in the order of their numbers all the same
    assert manifest.items.category[2:4].tolist() == [SKIRT - 1, TROUSERS - 1]


COCO = {"images": [], "annotations": [], "categories": []}
FAULTS: dict[str, tuple[Any, str]] = {
    "cut": (json.dumps(PAIR[0]).encode()[:200], "not JSON, or cut"),
    "empty": (b"", "not JSON, or cut"),
    "nested": (b"[" * 100_000, "not JSON, or cut"),
    "NaN": (json.dumps(PAIR[0]).replace("20, 30", "NaN, 30").encode(), "not JSON, or cut"),
    "list": ([1], "of another schema (expected an object, found a list)"),
    "COCO": (COCO, "of another schema (COCO's: one file for many images)"),
    "DeepFashion": (b"52712\nimage_name  category_label\nimg/A/1.jpg 3\n", "not JSON, or cut"),
    "no pair": ({"source": "user", "item1": item()}, "of another schema (pair_id: field required)"),
    "source": (annotation("street", item()), "of another schema (source: input should be 'user'"),
    "landmarks": (
        annotation("user", item(landmarks=[1, 1, 2] * 9)),
        "landmarks of the wrong number for the category (item1: skirt has 8 landmarks of 3 values,"
        " found 27 values)",
    ),
    "odd polygon": (
        annotation("user", item(), item(segmentation=[[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5]])),
        "polygon with an odd number of values (item2: polygon 2 has 5 values)",
    ),
    "names": (
        annotation("user", item(category_name="trousers")), "category number and name that differ",
    ),
    "category": (annotation("user", item() | {"category_id": 14}), "item1.category_id: input"),
    "box": (annotation("user", item(bounding_box=[1, 2, 3])), "item1.bounding_box: list should"),
    "huge": (annotation("user", item(bounding_box=[1, 2, 3, 10**400])), "item1.bounding_box.3"),
    "visibility": (annotation("user", item(landmarks=[1, 1, 3] * 8)), "visibility is not 0, 1 or"),
    "item": (annotation("user") | {"item1": 5}, "item1: input should be"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_of_another_kind_is_counted_and_many_are_one_message(
    name: str, tmp_path: Path
) -> None:
    spoiled, expected = FAULTS[name]
    with pytest.raises(BenchError) as error:
        open_source(write(tmp_path / "few", [*PAIR, spoiled]))
    assert expected in str(error.value) and "1 of 3 annotation files" in str(error.value)
    assert str(error.value).startswith("train/annos/000003.json: ")
    assert "unpack" in str(error.value)


def test_images_without_any_item_are_a_source_without_items(tmp_path: Path) -> None:
    manifest = open_source(write(tmp_path, [annotation("user"), annotation("shop")]))
    assert manifest.items is not None and len(manifest.items) == 0 and len(manifest) == 2
    assert check(manifest).tables() and manifest.items.positive_pairs().shape == (0, 2)


def test_a_fault_in_a_hundred_is_left_out_and_forbids_training(tmp_path: Path) -> None:
    manifest = open_source(write(tmp_path, [*ordinary(100), FAULTS["landmarks"][0]]))
    (found,) = [issue for issue in manifest.issues if issue.blocking]
    assert found.kind.startswith("annotation file left out: landmarks of the wrong number")
    assert found.count == 1 and len(manifest) == 100 and check(manifest).blocking


def spoil(raw: bytes, rng: random.Random) -> bytes:
    """One of the ways in which a file can be wrong: in its bytes, or in one of its values."""
    if rng.random() < 0.5:
        at, end = sorted((rng.randrange(len(raw)), rng.randrange(len(raw))))
        kept = (raw[:at], raw[:at] + raw[end:], raw[:at] + rng.randbytes(3) + raw[at + 3 :])
        return rng.choice(kept)
    plain = json.loads(raw)
    place: Any = plain
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
            break
        place = place[key]
    odd = (None, "", "1", -1, 0, 3, 1.5, 1e300, 10**30, True, [], {}, [[]], [1, 2], {"item1": []})
    if rng.random() < 0.3:
        del place[key]
    else:
        place[key] = copy.deepcopy(rng.choice(odd))
    return json.dumps(plain).encode()


def test_ten_thousand_spoiled_files_are_read_or_refused_and_nothing_else() -> None:
    rng = random.Random(0)
    whole = json.dumps(annotation("shop", item(), item(TROUSERS))).encode()
    kinds: dict[str, int] = {}
    for _ in range(10_000):
        try:
            found = parse(spoil(whole, rng))
        except Fault as fault:
            kinds[fault.kind] = kinds.get(fault.kind, 0) + 1
            continue
        assert isinstance(found, Annotation)
        for one in found.items:
            assert len(one.landmarks) in (0, 3 * CATEGORIES[one.category_id - 1].landmarks)
            assert np.isfinite([*one.bounding_box, *one.landmarks]).all()
            assert all(len(polygon) % 2 == 0 for polygon in one.segmentation)
    assert len(kinds) >= 6 and 5_000 < sum(kinds.values()) < 10_000


def test_what_was_read_is_not_read_again_and_a_stopped_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_PART", 4)
    root, cache = write(tmp_path / "data", ordinary(10)), tmp_path / "cache"

    def stop(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_source(root, cache=cache, progress=stop)
    unread = open_source(root)

    def corrupt(number: int) -> None:
        # The same length and time: only who reads it again would notice.
        file = root / f"train/annos/{number:06d}.json"
        status = file.stat()
        file.write_bytes(b" " * status.st_size)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    for number in range(1, 9):
        corrupt(number)
    steps: list[tuple[int, int]] = []
    manifest = open_source(root, cache=cache, progress=lambda *step: steps.append(step))
    assert steps == [(4, 10), (8, 10), (10, 10)]
    assert manifest.fingerprint == unread.fingerprint and manifest.issues == unread.issues
    corrupt(9)
    assert open_source(root, cache=cache).fingerprint == unread.fingerprint
    for damaged in cache.rglob("part-0002.npz"):
        damaged.write_bytes(b"PK")
    with pytest.raises(BenchError, match="not JSON, or cut"):
        open_source(root, cache=cache)


def test_the_fingerprint_is_of_the_annotations_and_not_of_the_place(tmp_path: Path) -> None:
    one, same = (open_source(write(tmp_path / name, PAIR)) for name in "ab")
    moved = annotation("shop", item(segmentation=[[20, 30, 171, 30, 170, 230, 20, 230]]))
    other = open_source(write(tmp_path / "c", [PAIR[0], moved]))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_only_the_released_counts_are_called_deepfashion2(tmp_path: Path) -> None:
    released, sides = list(RELEASED.values()), (10_844, 21_309)
    assert release_differences(released, sides) == ()
    assert release_differences([*released[:2], 0], sides) == ()  # test images tell nothing
    assert layout_label(released, ()).startswith("DeepFashion2 as released (191,961 / 32,153")
    assert release_differences([191_960, *released[1:]], sides) == (
        "191,960 train images instead of 191,961",
    )
    assert len(release_differences(released, (10_990, 21_163))) == 1
    manifest = open_source(write(tmp_path, PAIR))
    assert manifest.release_differences and data_label(manifest) == (
        "photographs in DeepFashion2's layout (2 / 0 / 0 images; the release has "
        "191,961 / 32,153 / 62,629)"
    )


def test_the_check_counts_items_sizes_and_shares(tmp_path: Path) -> None:
    write(tmp_path, [*PAIR, annotation("shop", item(), item(TROUSERS, style=0, scale=1))])
    report = check(open_source(tmp_path))
    plain = json.loads(json.dumps(report.to_json()))
    sizes = plain["items"]["sizes"]
    assert sizes["images"] == {"train": 3, "val": 0, "test": 0}
    assert sizes["images: paper"]["train"] == 390_884
    assert [sizes[f"pairs of {what} (user, shop)"]["train"] for what in ("items", "images")] == [
        2,
        2,
    ]
    assert sizes["gallery (a shop's items)"]["train"] == 3
    assert plain["items"]["categories"]["skirt"]["total"] == 3 and plain["classes"] == {}
    large = plain["items"]["grades"]["scale: large"]
    assert large["total"] == 3 and large["here, %"] == 75 and large["published, %"] == 24
    assert plain["items"]["landmarks"]["visible"]["train"] == 3 * 8 + 14
    assert [title for title, _, _ in report.tables()][:2] == ["Sizes", "Items by category"]
    for _, headers, rows in report.tables():
        assert all(len(row) == len(headers) for row in rows)


def test_a_part_a_wrong_place_and_a_study_for_one_garment_are_one_message(tmp_path: Path) -> None:
    root = write(tmp_path / "data", PAIR)
    with pytest.raises(BenchError, match="part of a DeepFashion2 folder"):
        open_source(root / "train")
    with pytest.raises(BenchError, match="DeepFashion2 is one folder further in"):
        open_source(tmp_path)
    study = tmp_path / "study.yaml"
    study.write_text("base: {preset: ropanet_baseline}\nseeds: 1\n")
    resolved = resolve(StudyRequest(study, root), tmp_path / "cache")
    assert resolved.manifest is not None
    with pytest.raises(BenchError, match="this data has several garments an image"):
        split_of(resolved.design.control.spec, resolved.manifest)
    for image in (root / "train/image").iterdir():
        image.rename(root / image.name)
    with pytest.raises(BenchError, match="none that can be used"):
        open_source(root)
    (root / "train/image").rmdir()
    with pytest.raises(BenchError, match="expected the images of train/annos/ in train/image/"):
        open_source(root)
