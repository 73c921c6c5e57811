"""Data as people have it: cut lists, other releases and benchmarks, archives, spaces."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.attributes import attribute_files, load_attributes
from bench.data.categories import categories
from bench.data.check import check
from bench.data.deepfashion import load_deepfashion
from bench.data.manifest import ABSENT, OUTSIDE, VISIBLE, DataIssue, Manifest
from bench.data.sources import open_source
from bench.errors import BenchError

FULL = "3  0 020 030  0 180 030  0 010 150  0 190 150  0 040 160  0 160 160  0 030 270  0 170 270"
LOWER = "2  0 020 030  0 180 030  0 030 270  0 170 270"
TYPE_LINES = {1: "1" + "  0 020 030" * 6, 2: LOWER, 3: FULL}

OFFICIAL = [category.name for category in categories()]
TYPES = {category.name: category.clothes_type for category in categories()}
MERGED = ("Cape", "Nightdress", "Shirtdress", "Sundress")
CUT = [name for name in OFFICIAL if name not in MERGED]


def issues(manifest: Manifest) -> dict[str, DataIssue]:
    return {issue.kind: issue for issue in manifest.issues}


def with_list(layout: Any, names: Sequence[str], says: int, numbers: Sequence[str]) -> Path:
    """Images whose labels count by one list, in a folder that has another."""
    layout.categories = [f"{name}   {TYPES.get(name, 1)}" for name in names]
    layout.counts = {"list_category_cloth.txt": says}
    for index, name in enumerate(numbers):
        number = str(OFFICIAL.index(name) + 1) if name in OFFICIAL else name
        layout.add(f"img/Plain_{name}/{index}.jpg", number, None)
    return Path(layout.write())


OWN = ["Coat", "Gilet", "Shirt"]


@pytest.mark.parametrize(
    ("names", "says", "labels", "said"),
    [
        # As in a public repository: the count was not touched, and labels are the release's.
        (CUT, 50, ["Tee", "Dress", "Dress"], ["says 50, the file has 46", *MERGED,
         "number 41 (2 images): Jumpsuit here, Dress there"]),
        # The count was corrected, but labels go beyond the list.
        (CUT, 46, ["Romper", "Dress"], ["outside 1-46", *MERGED, "Jumpsuit here, Dress there"]),
        # Nothing but the folders says that the labels are the release's.
        (CUT, 46, ["Dress", "Tee"], [*MERGED, "Jumpsuit here, Dress there"]),
        # One line swapped with another.
        ([*OFFICIAL[:39], "Dress", "Coverup", *OFFICIAL[41:]], 50, ["Dress"],
         ["Coverup here, Dress there"]),
        (OWN, 4, ["1"], ["says 4, the file has 3"]),
        (OFFICIAL, 46, ["Dress"], ["says 46, the file has 50"]),
        (OWN, 3, ["1", "4"], ["outside 1-3"]),
    ],
)  # fmt: skip
def test_a_list_that_gives_labels_another_meaning_is_blocking_and_no_run_begins(
    layout: Any, names: list[str], says: int, labels: list[str], said: list[str]
) -> None:
    root = with_list(layout, names, says, labels)
    report = check(open_source(root, as_it_is=True))
    assert report.blocking
    told = "\n".join(text for row in report.tables()[-1][2] for text in row)
    with pytest.raises(BenchError) as refused:
        open_source(root)
    for words in said:
        assert words in told and words in refused.value.what
    assert refused.value.where == str(root)
    assert refused.value.fix and "bench data check" in refused.value.fix


@pytest.mark.parametrize(
    ("names", "labels"),
    [(OWN, ["1", "2", "3"]), (CUT, ["1", "46"]), (OFFICIAL, ["Dress", "Sundress"])],
)
def test_a_list_of_ones_own_that_is_consistent_is_right(
    layout: Any, names: list[str], labels: list[str]
) -> None:
    manifest = open_source(with_list(layout, names, len(names), labels))
    assert manifest.class_names == tuple(names)
    assert set(issues(manifest)) == {f"image without a {what} line" for what in ["landmark"]}


def test_an_own_numbering_of_deepfashions_names_is_told_by_its_folders(layout: Any) -> None:
    layout.categories = [f"{name}   {TYPES[name]}" for name in CUT]
    for name in ("Dress", "Romper", "Tee"):
        kind = TYPE_LINES[TYPES[name]]
        layout.add(f"img/Plain_{name}/1.jpg", str(CUT.index(name) + 1), kind)
    manifest = open_source(layout.write())
    assert manifest.issues == ()
    assert [manifest.class_names[c] for c in manifest.category] == ["Dress", "Romper", "Tee"]


def test_a_cut_list_of_attributes_is_named_and_no_system_is_trained_on_it(layout: Any) -> None:
    layout.add("img/A/1.jpg")
    root = Path(layout.write())
    (root / "Anno/list_attr_cloth.txt").write_text("3\nattribute_name  attribute_type\nlace 2\n")
    (root / "Anno/list_attr_img.txt").write_text("1\nimage_name  labels\nimg/A/1.jpg  1\n")
    with pytest.raises(BenchError, match="says 3, the file has 1"):
        load_attributes(open_source(root))
    report = check(open_source(root))
    assert report.blocking and report.images == 1 and report.attributes == {}
    assert "says 3, the file has 1" in report.issues[0].examples[0]


def write_fine(root: Path, parts: dict[str, list[tuple[str, str, str]]], where: str) -> Path:
    """The finer annotations: for each part, path, category and points of its images."""
    folder = root / where
    folder.mkdir(parents=True, exist_ok=True)
    listed = [f"{name}   {TYPES[name]}" for name in OFFICIAL]
    text = "\n".join(["50", "category_name  category_type", *listed])
    (folder / "list_category_cloth.txt").write_text(text + "\n")
    for part, images in parts.items():
        for what, column in (("", 0), ("_cate", 1), ("_landmarks", 2)):
            lines = [image[column] for image in images]
            (folder / f"{part}{what}.txt").write_text("\n".join(lines) + "\n")
        (folder / f"{part}_bbox.txt").write_text("1 1 9 9\n" * len(images))
        for path, _, _ in images:
            file = root / "Img" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (200, 100)).save(file)
    return root


TEE, SKIRT, DRESS = (str(OFFICIAL.index(name) + 1) for name in ("Tee", "Skirt", "Dress"))
FINE = {
    "train": [("img/A B/1.jpg", TEE, "20 30 40 30 0 0 60 30 80 90 100 100 0 0 0 0"),
              ("img/B/1.jpg", SKIRT, "20 30 40 30 60 90 80 90 0 0 0 0 0 0 0 0")],
    "val": [("img/C/1.jpg", DRESS, " ".join(["50 50"] * 8))],
    "test": [("img/C/2.jpg", DRESS, " ".join(["0 0"] * 8))],
}  # fmt: skip


@pytest.mark.parametrize("where", ["Anno_fine", "anno_fine", "Anno"])
def test_the_finer_annotations_are_read_by_part(tmp_path: Path, where: str) -> None:
    manifest = open_source(write_fine(tmp_path, FINE, where))
    assert manifest.source == "deepfashion" and len(manifest) == 4
    named = [manifest.class_names[c] for c in manifest.category]
    assert named == ["Tee", "Skirt", "Dress", "Dress"]
    assert manifest.partition.tolist() == [0, 0, 1, 2]
    # Channels: collars, sleeves, waistline, hem. The third point of the tee is cut off.
    o, no = VISIBLE, ABSENT
    assert manifest.visibility.tolist() == [
        [o, o, OUTSIDE, o, no, no, o, o], [no] * 4 + [o] * 4, [o] * 8, [no] * 8,
    ]  # fmt: skip
    np.testing.assert_allclose(manifest.landmarks[1, 4], [20 / 200, 30 / 100])
    np.testing.assert_allclose(manifest.landmarks[0, 6], [80 / 200, 90 / 100])
    found = issues(manifest)
    assert found.pop("image without a landmark line").examples == ("img/C/2.jpg",)
    ((kind, flags),) = found.items()
    assert kind.startswith("landmark line without flags") and flags.count == 4
    assert "official release has 289,222" in check(manifest).data


def test_the_finer_attributes_know_every_answer_and_write_0_for_no(tmp_path: Path) -> None:
    root = write_fine(tmp_path, FINE, "Anno_fine")
    names = "\n".join(["3", "attribute_name  attribute_type", "floral 1", "v neck 4", "tight 6"])
    (root / "Anno_fine/list_attr_cloth.txt").write_text(names)
    for part, lines in (("train", "1 0 0\n0 1 0"), ("val", "0 0 1"), ("test", "0 0 0")):
        (root / f"Anno_fine/{part}_attr.txt").write_text(lines)
    found = load_attributes(open_source(root))
    assert found is not None and found.types.tolist() == [1, 4, 3] and not found.left_out
    assert found.answers.tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [-1, -1, -1]]
    assert len(attribute_files(root) or ()) == 4


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("train_cate.txt", "3\n", "expected 2 lines, one for each image of train.txt, found 1"),
        ("train_landmarks.txt", "1 2\n" * 3, "expected 2 lines"),
        ("val_cate.txt", "Dress\n", "expected a category number, found 'Dress"),
        ("val_landmarks.txt", "1 2 3\n", "expected x and y of 8 points"),
        ("val_cate.txt", None, "expected val_cate.txt beside val.txt"),
        ("list_category_cloth.txt", None, "list_category_cloth.txt"),
    ],
)
def test_finer_annotations_that_do_not_fit_together_are_refused(
    tmp_path: Path, file: str, text: str | None, said: str
) -> None:
    root = write_fine(tmp_path, FINE, "Anno_fine")
    (root / "Anno_fine" / file).unlink() if text is None else (
        root / "Anno_fine" / file
    ).write_text(text)
    with pytest.raises(BenchError, match=said):
        open_source(root)


def test_points_of_another_order_than_the_types_are_blocking(tmp_path: Path) -> None:
    by_meaning = "0 0 0 0 0 0 0 0 20 30 40 30 60 90 80 90"
    parts = {"train": [("img/A/1.jpg", SKIRT, by_meaning), FINE["val"][0]]}
    report = check(open_source(write_fine(tmp_path, parts, "Anno_fine")))
    assert report.blocking and report.issues[0].kind.startswith("points beyond those of the")


def test_where_both_releases_are_there_the_full_one_is_read_and_the_other_named(
    layout: Any, oddity: Any
) -> None:
    layout.anno = "Anno_coarse"
    layout.add("img/A/1.jpg")
    root = write_fine(Path(layout.write()), FINE, "Anno_fine")
    manifest = open_source(root)
    assert len(manifest) == 1
    assert "take Anno_coarse/ out" in oddity(manifest, "finer annotations").examples[0]


def test_files_by_part_beside_the_lists_are_what_the_lists_say_again(layout: Any) -> None:
    layout.add("img/A/1.jpg")
    root = Path(layout.write())
    (root / "Anno/train.txt").write_text("img/A/1.jpg\n")
    (root / "Anno/train_cate.txt").write_text("1\n")
    assert open_source(root).issues == ()


def test_lists_of_the_finer_annotations_are_parted_by_their_own_files(layout: Any) -> None:
    layout.anno = "Anno_fine"
    layout.categories = [f"{name}   {TYPES[name]}" for name in OFFICIAL]
    layout.add("img/C/1.jpg", DRESS, FULL, "train")
    root = write_fine(Path(layout.root), {"val": FINE["val"]}, "Anno_fine")
    layout.write()
    assert open_source(root).partition.tolist() == [1]


@pytest.mark.parametrize(
    "path", ["img/My Own Top/1.jpg", "img/A/my photo 2 1.JPG", "img/Æ Ø/1.png"]
)
def test_the_path_is_what_stands_before_the_last_columns(layout: Any, path: str) -> None:
    layout.add(path, "3", FULL, "val")
    layout.add("img/B/1.jpg", "2", LOWER, "test")
    root = Path(layout.write())
    (root / "Anno/list_attr_cloth.txt").write_text("2\nattribute_name  type\nlace 2\nv neck 4\n")
    (root / "Anno/list_attr_img.txt").write_text(f"1\nimage_name  labels\n{path}  1 -1\n")
    manifest = open_source(root)
    assert manifest.paths.tolist() == [f"Img/{path}", "Img/img/B/1.jpg"]
    assert manifest.partition.tolist() == [1, 2] and manifest.issues == ()
    assert (manifest.visibility[0] == VISIBLE).all()
    attributes = load_attributes(manifest)
    assert attributes is not None and attributes.answers.tolist() == [[1, -1], [0, 0]]


def test_a_column_too_many_is_no_part_of_the_path(layout: Any) -> None:
    layout.add("img/A/1.jpg", "3 2")
    with pytest.raises(BenchError, match="an image path and a category number"):
        open_source(layout.write())


def test_landmark_lines_with_and_without_a_variation_are_read(layout: Any) -> None:
    pose = FULL.replace("3  ", "3  4  ", 1)
    layout.add("img/A/1.jpg", "3", FULL)
    layout.add("img/A B/2.jpg", "3", pose, "test")
    layout.add("img/A/3.jpg", "3", FULL.replace("3  ", "3  7  ", 1))
    manifest = open_source(layout.write())
    assert manifest.variation is not None and manifest.variation.tolist() == [0, 4, 0]
    assert (manifest.visibility == VISIBLE).all()
    assert [(i.kind, i.count) for i in manifest.issues] == [
        ("variation type that is not 1 to 5 (left out)", 1),
        ("landmark lines with and without a variation type in one file", 2),
    ]
    report = check(manifest)
    assert report.variations["medium zoom-in"] == {"train": 0, "val": 0, "test": 1, "none": 0}
    assert report.to_json()["variations"] == report.variations
    layout.landmarks = [line.replace("3  4  ", "3  ").replace("3  7  ", "3  ")
                        for line in layout.landmarks]  # fmt: skip
    without = open_source(layout.write())
    assert without.variation is None
    # Nothing is trained on it, so it does not make other trials of the same images.
    assert without.fingerprint == manifest.fingerprint


ITEM = "img/WOMEN/Tees/id_1/01_1_front.jpg"


@pytest.mark.parametrize(
    ("benchmark", "files"),
    [
        (
            "In-shop Clothes Retrieval",
            ["Anno/list_item_inshop.txt", "Eval/list_eval_partition.txt"],
        ),
        ("Consumer-to-shop Clothes Retrieval", ["Anno/list_bbox_consumer2shop.txt"]),
        ("Fashion Landmark Detection", ["Anno/list_landmarks.txt", "Anno/list_bbox.txt"]),
        ("Fashion Landmark Detection", ["Anno/list_joints.txt"]),
    ],
)
def test_another_benchmark_is_named_with_what_to_do(
    tmp_path: Path, benchmark: str, files: list[str]
) -> None:
    for file in (*files, f"Img/{ITEM}"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("1\n")
    with pytest.raises(BenchError, match=f"DeepFashion's {benchmark} Benchmark") as refused:
        open_source(tmp_path)
    assert files[0] in refused.value.what
    assert refused.value.fix and "list_category_img.txt" in refused.value.fix


@pytest.mark.parametrize(
    ("name", "header", "line", "part"),
    [
        ("inshop", "image_name item_id evaluation_status", "{} id_1 gallery", 2),
        ("inshop", "image_name item_id evaluation_status", "{} id_1 train", 0),
        ("consumer2shop", "image_pair_name_1 image_pair_name_2 item_id evaluation_status",
         "{0} {0} id_1 val", 1),
    ],
)  # fmt: skip
def test_with_categories_the_other_benchmarks_are_read_with_their_landmarks_and_parts(
    layout: Any, name: str, header: str, line: str, part: int
) -> None:
    layout.add(ITEM, "3", FULL.replace("3  ", "3  1  ", 1), None)
    root = Path(layout.write())
    (root / "Anno/list_landmarks.txt").rename(root / f"Anno/list_landmarks_{name}.txt")
    (root / "Eval/list_eval_partition.txt").write_text(f"1\n{header}\n{line.format(ITEM)}\n")
    manifest = open_source(root)
    assert manifest.has_landmarks and manifest.issues == ()
    assert manifest.partition.tolist() == [part]


@pytest.mark.parametrize(
    ("archives", "said"),
    [
        (["Img/img.zip"], "Img/img.zip is there: unpack it in Img/"),
        (["img.tar.gz"], "img.tar.gz is there: unpack it in this folder"),
        (["Img/img.zip.001", "Img/img.zip.002"], "Img/img.zip.001 with its 2 parts is there"),
        (["Img/img.z01", "Img/img.zip"], "Img/img.zip with its 2 parts is there"),
    ],
)
@pytest.mark.parametrize("there", ["no image", "a half"])
def test_images_that_are_still_packed_are_said_to_be(
    layout: Any, archives: list[str], said: str, there: str
) -> None:
    layout.add("img/A/1.jpg", on_disk=None if there != "a half" else "")
    layout.add("img/A/2.jpg", on_disk=None)
    root = Path(layout.write())
    (root / "Img").mkdir(exist_ok=True)
    for archive in archives:
        (root / archive).write_bytes(b"PK\x03\x04" + bytes(20))
    found = issues(open_source(root, as_it_is=True))
    assert said in found["archive that is not unpacked"].examples[0]
    assert found["missing image"].blocking
    if there == "a half":
        assert len(open_source(root)) == 1
    else:
        with pytest.raises(BenchError, match="unpack it in"):
            open_source(root)


def test_where_there_is_no_folder_of_images_the_archive_is_what_to_unpack(layout: Any) -> None:
    layout.add("img/A/1.jpg", on_disk=None)
    root = Path(layout.write())
    (root / "img.7z").write_bytes(b"")
    with pytest.raises(BenchError, match="neither is there") as refused:
        open_source(root)
    assert refused.value.fix == "img.7z is there: unpack it in this folder"


def test_an_archive_that_asks_for_a_password_and_one_in_place_of_everything(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "DeepFashion.zip", "w") as archive:
        archive.writestr("Anno/list_category_img.txt", "")
    raw = bytearray((tmp_path / "DeepFashion.zip").read_bytes())
    raw[6] |= 1
    with pytest.raises(BenchError) as refused:
        open_source(tmp_path)
    assert refused.value.fix == "DeepFashion.zip is there: unpack it in this folder"
    (tmp_path / "DeepFashion.zip").write_bytes(raw)
    with pytest.raises(BenchError, match="it asks for a password"):
        open_source(tmp_path)


def test_attributes_that_are_still_packed_are_said_to_be(layout: Any) -> None:
    layout.anno = "Anno_coarse"
    layout.add("img/A/1.jpg")
    root = Path(layout.write())
    (root / "Anno_coarse/list_attr_cloth.txt").write_text("1\nattribute_name  type\nlace 2\n")
    (root / "Anno_coarse/list_attr_img.zip").write_bytes(b"")
    (issue,) = check(open_source(root)).issues
    assert not issue.blocking
    assert issue.examples[0].startswith("Anno_coarse/list_attr_img.zip is there: unpack it in")


def test_the_right_benchmark_with_a_file_missing_is_not_called_another(layout: Any) -> None:
    layout.add("img/A/1.jpg")
    root = Path(layout.write())
    (root / "Anno/list_category_img.txt").unlink()
    with pytest.raises(BenchError, match="expected DeepFashion "):
        open_source(root)


def test_an_archive_kept_beside_its_images_is_nothing_to_speak_of(layout: Any) -> None:
    layout.add("img/A/1.jpg")
    root = Path(layout.write())
    (root / "Img/img.zip").write_bytes(b"")
    assert load_deepfashion(root).issues == ()


def turned(root: Path, orientation: int, *names: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20)).save(root / name, exif=exif)


def test_a_folder_of_classes_counts_images_it_turns_and_is_other_data_for_it(
    tmp_path: Path, oddity: Any
) -> None:
    for folder, orientation in (("plain", 1), ("turned", 6)):
        turned(tmp_path / folder, orientation, "coat/1.jpg", "hat/1.jpg")
    plain, other = open_source(tmp_path / "plain"), open_source(tmp_path / "turned")
    assert plain.upright and plain.issues == ()
    assert oddity(other, "image with an EXIF orientation (turned upright)").count == 2
    # The files differ by the number in their tag alone.
    assert plain.fingerprint != other.fingerprint
    cached = open_source(tmp_path / "turned", cache=tmp_path / "cache")
    again = open_source(tmp_path / "turned", cache=tmp_path / "cache")
    assert other.fingerprint == cached.fingerprint == again.fingerprint


def test_where_there_are_landmarks_images_with_an_orientation_are_counted_and_left(
    layout: Any, oddity: Any
) -> None:
    layout.add("img/A/1.jpg", "2", LOWER)
    plain = open_source(layout.write())
    turned(layout.root / "Img", 8, "img/A/1.jpg")
    manifest = open_source(layout.root)
    assert not manifest.upright and not plain.issues
    found = oddity(manifest, "image with an EXIF orientation (left as stored")
    assert found.count == 1 and not found.blocking


def test_classes_without_an_image_are_one_row_and_all_are_counted(layout: Any) -> None:
    layout.categories = [f"{name}   {TYPES[name]}" for name in OFFICIAL]
    layout.add("img/A/1.jpg", DRESS, FULL)
    report = check(open_source(layout.write()))
    title, _, rows = report.tables()[0]
    assert title == "Images by class"
    assert [row[0] for row in rows] == ["Dress", "49 more without an image", "total"]
    assert len(report.classes) == 50


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    part=st.sampled_from(["train", "val", "test"]),
    what=st.sampled_from(["", "_cate", "_landmarks"]),
    at=st.integers(0, 60),
    cut=st.integers(0, 40),
    put=st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"-1", b"9" * 400, b"nan", b"\xff", b"\0", b"/", b"../", b"_", b"\n\n"]),
    ),
)
def test_mutated_finer_annotations_give_a_manifest_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, part: str, what: str, at: int, cut: int, put: bytes
) -> None:
    root = tmp_path_factory.getbasetemp() / "mutated-fine"
    if not root.is_dir():
        write_fine(root, FINE, "Anno_fine")
    file = root / f"Anno_fine/{part}{what}.txt"
    original = file.read_bytes()
    file.write_bytes(original[:at] + put + original[at + cut :])
    try:
        manifest = open_source(root, as_it_is=True)
    except BenchError as error:
        assert error.where and error.fix
        assert str(error).replace("\n", " ").isprintable()
    else:
        assert ((manifest.category >= 0) & (manifest.category < 50)).all()
        assert np.isnan(manifest.landmarks[manifest.visibility == ABSENT]).all()
        assert np.isfinite(manifest.landmarks[manifest.visibility != ABSENT]).all()
        assert not any(".." in path for path in manifest.paths.tolist())
    finally:
        file.write_bytes(original)
