"""DeepFashion's layout is read as it is, and whatever is odd about it is counted."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.deepfashion import is_deepfashion, load_deepfashion
from bench.data.manifest import ABSENT, OUTSIDE, Manifest
from bench.data.sources import open_source
from bench.errors import BenchError

FULL = "3  0 020 030  0 180 030  0 010 150  0 190 150  0 040 160  0 160 160  0 030 270  0 170 270"
LOWER = "2  0 020 030  0 180 030  0 030 270  0 170 270"


@pytest.mark.parametrize("anno", ["Anno", "Anno_coarse", "Anno_fine", "anno"])
@pytest.mark.parametrize("images", ["Img", ".", "img"])
@pytest.mark.parametrize("evaluation", ["Eval", "beside", "."])
def test_every_release_variant_is_read_with_the_same_content(
    layout, anno, images, evaluation, tmp_path
):
    layout.add("img/A/img_00000001.jpg", "3", FULL, "val")
    usual = load_deepfashion(layout.write())
    layout.root = tmp_path / "variant"
    layout.anno, layout.images = anno, images
    layout.evaluation = anno if evaluation == "beside" else evaluation
    layout.image("img/A/img_00000001.jpg")
    root = layout.write()
    assert is_deepfashion(root)
    manifest = load_deepfashion(root)
    assert (root / manifest.paths[0]).is_file()
    assert manifest.partition.tolist() == [1]
    assert manifest.issues == ()
    assert manifest.fingerprint == usual.fingerprint


def test_rows_keep_the_order_of_the_label_lines(layout):
    layout.add("img/B/img_00000002.jpg", "2", LOWER, "test")
    layout.add("img/A/img_00000001.jpg", "003", FULL, "train")
    layout.add("img/B/img_00000001.jpg", "1", part="val")
    manifest = load_deepfashion(layout.write())
    assert manifest.paths.tolist() == [
        "Img/img/B/img_00000002.jpg",
        "Img/img/A/img_00000001.jpg",
        "Img/img/B/img_00000001.jpg",
    ]
    assert manifest.category.tolist() == [1, 2, 0]
    assert manifest.clothes_type.tolist() == [2, 3, 1]
    assert manifest.partition.tolist() == [2, 0, 1]
    assert manifest.product[0] == manifest.product[2] != manifest.product[1]
    assert manifest.class_names == ("Anorak", "Jeans", "Dress")


def test_points_go_to_channels_by_meaning_and_are_scaled_by_each_image(layout):
    layout.add("img/A/1.jpg", "1", size=(200, 300))
    layout.add("img/A/2.jpg", "2", LOWER, size=(400, 300))
    layout.add("img/A/3.jpg", "3", FULL)
    manifest = load_deepfashion(layout.write())
    assert manifest.visibility.tolist() == [
        [0, 0, 1, 0, ABSENT, ABSENT, 0, OUTSIDE],
        [ABSENT, ABSENT, ABSENT, ABSENT, 0, 0, 0, 0],
        [0] * 8,
    ]
    np.testing.assert_allclose(manifest.landmarks[0, 0], [20 / 200, 30 / 300])
    np.testing.assert_allclose(manifest.landmarks[0, 6], [30 / 200, 270 / 300])
    np.testing.assert_allclose(manifest.landmarks[1, 4], [20 / 400, 30 / 300])
    np.testing.assert_allclose(manifest.landmarks[1, 7], [170 / 400, 270 / 300])
    np.testing.assert_allclose(manifest.landmarks[2, 5], [160 / 200, 160 / 300])
    assert np.isnan(manifest.landmarks[0, 4]).all()
    assert np.isnan(manifest.landmarks[1, :4]).all()


def test_a_visible_point_beyond_the_edge_is_taken_as_outside(layout, oddity):
    layout.add("img/A/1.jpg", "2", "2  0 201 030  0 200 300  0 -01 270  2 500 270")
    manifest = load_deepfashion(layout.write())
    assert manifest.visibility[0, 4:].tolist() == [OUTSIDE, 0, OUTSIDE, OUTSIDE]
    assert np.nanmin(manifest.landmarks) >= 0
    assert np.nanmax(manifest.landmarks) <= 1
    assert oddity(manifest, "landmark beyond").count == 2


def test_exif_rotation_is_ignored_because_landmarks_are_in_stored_pixels(layout):
    layout.add("img/A/1.jpg", "2", LOWER)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 300)).save(layout.root / "Img/img/A/1.jpg", exif=exif)
    manifest = load_deepfashion(layout.write())
    np.testing.assert_allclose(manifest.landmarks[0, 4], [20 / 200, 30 / 300])


def test_case_mismatch_is_matched_and_reported(layout, oddity):
    layout.add("img/Sheer_Top/IMG_1.jpg", on_disk="img/sheer_top/img_1.JPG")
    manifest = load_deepfashion(layout.write())
    assert manifest.paths.tolist() == ["Img/img/sheer_top/img_1.JPG"]
    assert manifest.has_landmarks
    assert oddity(manifest, "image named otherwise").count == 1
    assert not any(odd.blocking for odd in manifest.issues)


def test_paths_that_collide_in_lower_case_stay_two_images(layout):
    layout.add("img/Red_Top/1.jpg", "1")
    layout.add("img/red_top/1.jpg", "3", FULL)
    manifest = load_deepfashion(layout.write())
    assert manifest.paths.tolist() == ["Img/img/Red_Top/1.jpg", "Img/img/red_top/1.jpg"]
    assert manifest.category.tolist() == [0, 2]
    assert manifest.clothes_type.tolist() == [1, 3]
    assert manifest.product[0] != manifest.product[1]
    assert manifest.issues == ()


@pytest.mark.parametrize(
    ("labels", "files", "kept"),
    [
        # Two files could be meant.
        (["img/TOP/1.jpg"], ["img/Top/1.jpg", "img/top/1.jpg"], []),
        # Two lines claim one file, neither by its exact name.
        (["img/TOP/1.jpg", "img/Top/1.jpg"], ["img/top/1.jpg"], []),
        # The file already belongs to the line that names it exactly.
        (["img/TOP/1.jpg", "img/top/1.jpg"], ["img/top/1.jpg"], ["img/top/1.jpg"]),
    ],
)
def test_ambiguous_matches_are_left_out_and_harmful(layout, oddity, labels, files, kept):
    for label in labels:
        layout.add(label, on_disk=None)
    for file in files:
        layout.image(file)
    manifest = load_deepfashion(layout.write())
    assert manifest.paths.tolist() == [f"Img/{name}" for name in kept]
    found = oddity(manifest, "path that matches no one image")
    assert found.blocking
    assert found.count == len(labels) - len(kept)


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("img/Striped_Adj&Ouml;_Graphic_Tee/1.jpg", "img/Striped_Adj&Ouml;_Graphic_Tee/1.jpg"),
        ("img/Striped_Adj&Ouml;_Graphic_Tee/1.jpg", "img/Striped_AdjÖ_Graphic_Tee/1.jpg"),
        ("img/Striped_Adj&Ouml;_Graphic_Tee/1.jpg", "img/striped_adjö_graphic_tee/1.jpg"),
        ("img/Striped_AdjÖ_Graphic_Tee/1.jpg", "img/Striped_AdjO\u0308_Graphic_Tee/1.jpg"),
        ("img/Fit_&_Flare/1.jpg", "img/Fit_&_Flare/1.jpg"),
        ("img/Fit_&amp;_Flare/1.jpg", "img/Fit_&_Flare/1.jpg"),
    ],
)
def test_entity_and_ampersand_names_are_found(layout, written, on_disk):
    layout.add(written, on_disk=on_disk)
    manifest = load_deepfashion(layout.write())
    assert manifest.paths.tolist() == [f"Img/{on_disk}"]
    assert manifest.has_landmarks


def test_missing_and_unlabelled_images_are_counted(layout, oddity):
    layout.fill(100)
    layout.add("img/Gone/1.jpg", on_disk=None)
    layout.image("img/Stray/1.jpg")
    manifest = load_deepfashion(layout.write())
    assert len(manifest) == 100
    missing = oddity(manifest, "missing image")
    assert (missing.count, missing.blocking) == (1, False)
    assert missing.examples == ("img/Gone/1.jpg",)
    assert oddity(manifest, "image without a label line").examples == ("img/Stray/1.jpg",)
    assert len(manifest.issues) == 2


def test_more_than_one_in_a_hundred_missing_is_harmful(layout, oddity):
    layout.fill(98)
    layout.add("img/Gone/1.jpg", on_disk=None)
    layout.add("img/Gone/2.jpg", on_disk=None)
    missing = oddity(load_deepfashion(layout.write()), "missing image")
    assert (missing.count, missing.blocking) == (2, True)


def test_all_images_missing_gives_an_empty_harmful_manifest(layout, oddity):
    layout.add("img/Gone/1.jpg", on_disk=None)
    layout.image("img/Stray/1.jpg")
    manifest = load_deepfashion(layout.write())
    assert len(manifest) == 0
    assert oddity(manifest, "missing image").blocking


def test_windows_line_ends_and_blank_lines_change_nothing(layout):
    layout.add("img/A/1.jpg", "3", FULL)
    layout.add("img/A/2.jpg", "3", FULL)
    plain = load_deepfashion(layout.write())
    layout.newline = "\r\n"
    layout.labels.append("")
    layout.landmarks += ["", "   "]
    layout.counts = {"list_category_img.txt": 2, "list_landmarks.txt": 2}
    windows = load_deepfashion(layout.write())
    assert windows.fingerprint == plain.fingerprint
    assert windows.issues == ()


def test_count_line_that_disagrees_is_reported(layout, oddity):
    layout.add("img/A/1.jpg")
    layout.counts = {"list_category_img.txt": 7}
    manifest = load_deepfashion(layout.write())
    assert len(manifest) == 1
    found = oddity(manifest, "count line")
    assert found.examples == ("Anno/list_category_img.txt:1: says 7, the file has 1",)
    assert not found.blocking


def test_duplicate_label_lines_count_once(layout, oddity):
    layout.add("img/A/1.jpg", "2", LOWER)
    layout.labels.append("img/A/1.jpg  002")
    manifest = load_deepfashion(layout.write())
    assert len(manifest) == 1
    assert oddity(manifest, "duplicate label line").count == 1


def test_an_image_with_two_categories_is_left_out_and_harmful(layout, oddity):
    layout.add("img/A/1.jpg", "2", LOWER)
    layout.add("img/A/2.jpg", "2", LOWER)
    layout.labels.append("img/A/1.jpg  3")
    manifest = load_deepfashion(layout.write())
    assert manifest.paths.tolist() == ["Img/img/A/2.jpg"]
    found = oddity(manifest, "image with two different categories")
    assert found.blocking
    assert "list_category_img.txt:5" in found.examples[0]


@pytest.mark.parametrize("number", ["0", "4", "00051"])
def test_category_number_out_of_range_is_harmful(layout, oddity, number):
    layout.add("img/A/1.jpg")
    layout.add("img/A/2.jpg", number)
    manifest = load_deepfashion(layout.write())
    assert len(manifest) == 1
    assert oddity(manifest, "category number outside 1-3").blocking


def test_image_without_a_landmark_line_has_its_categorys_type(layout, oddity):
    layout.add("img/A/1.jpg", "2", None)
    layout.add("img/A/2.jpg", "2", LOWER)
    manifest = load_deepfashion(layout.write())
    assert manifest.clothes_type.tolist() == [2, 2]
    assert (manifest.visibility[0] == ABSENT).all()
    assert oddity(manifest, "image without a landmark line").examples == ("img/A/1.jpg",)


def test_type_of_the_landmark_line_wins_and_is_reported(layout, oddity):
    layout.add("img/A/1.jpg", "1", FULL)
    manifest = load_deepfashion(layout.write())
    assert manifest.clothes_type.tolist() == [3]
    assert oddity(manifest, "clothes type differs").count == 1


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("2  0 020 030  0 180 030", "landmark points that do not fit"),
        ("1  0 020 030  0 180 030  0 030 270  0 170 270", "landmark points that do not fit"),
        ("4  0 020 030  0 180 030  0 030 270  0 170 270", "landmark line with an unknown"),
        ("2  3 020 030  0 180 030  0 030 270  0 170 270", "landmark flag that is not"),
    ],
)
def test_landmarks_that_make_no_sense_are_dropped_and_harmful(layout, oddity, line, kind):
    layout.add("img/A/1.jpg", "2", line)
    manifest = load_deepfashion(layout.write())
    assert len(manifest) == 1
    assert not manifest.has_landmarks
    assert oddity(manifest, kind).blocking


def test_without_partition_or_landmark_file_the_rest_is_read(layout, oddity):
    layout.add("img/A/1.jpg", "2")
    root = layout.write()
    (root / "Eval/list_eval_partition.txt").unlink()
    (root / "Anno/list_landmarks.txt").unlink()
    manifest = load_deepfashion(root)
    assert not manifest.has_partition
    assert not manifest.has_landmarks
    assert not oddity(manifest, "no official partition").blocking
    assert not oddity(manifest, "no landmark file").blocking


def test_an_image_in_two_partitions_is_in_none(layout, oddity):
    layout.add("img/A/1.jpg", part="train")
    layout.partition.append("img/A/1.jpg test")
    manifest = load_deepfashion(layout.write())
    assert manifest.partition.tolist() == [-1]
    assert oddity(manifest, "image in two partitions").blocking


def test_one_malformed_line_in_a_hundred_is_skipped_with_its_place(layout, oddity):
    layout.fill(120)
    layout.labels[4] = "img/Plain_Top/img_00000004.jpg three"
    manifest = load_deepfashion(layout.write())
    assert len(manifest) == 119
    found = oddity(manifest, "malformed line")
    assert found.blocking
    assert found.examples[0].startswith("Anno/list_category_img.txt:7: ")


@pytest.mark.parametrize(
    ("name", "broken", "expected"),
    [
        ("labels", "img/A/1.jpg", "an image path and a category number"),
        ("labels", "img/A/1.jpg 1_0", "an image path and a category number"),
        ("landmarks", "img/A/1.jpg 2 0 1", "flag, x and y"),
        ("landmarks", "img/A/1.jpg 2 0 nan 1 0 1 1 0 1 1 0 1 1", "flag, x and y"),
        ("partition", "img/A/1.jpg training", "train, val or test"),
    ],
)
def test_a_file_with_many_malformed_lines_is_refused_with_the_first(layout, name, broken, expected):
    layout.add("img/A/1.jpg")
    getattr(layout, name).append(broken)
    with pytest.raises(BenchError) as error:
        load_deepfashion(layout.write())
    assert ":4:" in str(error.value)
    assert expected in str(error.value)
    assert broken in str(error.value)


@pytest.mark.parametrize("line", ["Anorak", "Anorak  4", "Jeans  1"])
def test_a_faulty_category_line_is_refused(layout, line):
    layout.add("img/A/1.jpg")
    layout.categories.append(line)
    with pytest.raises(BenchError, match=r"Anno/list_category_cloth\.txt:6"):
        load_deepfashion(layout.write())


@pytest.mark.parametrize(
    "file", ["Anno/list_category_cloth.txt", "Anno/list_category_img.txt", "Img"]
)
def test_what_cannot_be_done_without_is_asked_for_by_name(layout, file):
    layout.add("img/A/1.jpg")
    root = layout.write()
    path = root / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BenchError, match="expected"):
        load_deepfashion(root)


def test_paths_and_links_that_lead_outside_are_refused(layout, oddity, tmp_path):
    layout.image("../../outside/1.jpg")
    layout.add("img/A/1.jpg")
    layout.add("img/../../../outside/1.jpg", on_disk=None)
    layout.add(str(tmp_path / "outside/1.jpg"), on_disk=None)
    layout.add("img/A/link.jpg", on_disk=None)
    layout.add("img/Linked/1.jpg", on_disk=None)
    root = layout.write()
    (root / "Img/img/A/link.jpg").symlink_to(tmp_path / "outside/1.jpg")
    (root / "Img/img/Linked").symlink_to(tmp_path / "outside")
    (root / "Img/img/Loop").symlink_to(root / "Img/img")
    manifest = load_deepfashion(root)
    assert manifest.paths.tolist() == ["Img/img/A/1.jpg"]
    assert oddity(manifest, "path that leads outside").count == 2
    links = oddity(manifest, "symbolic link that leads outside")
    assert links.count >= 2
    assert links.blocking


def test_an_annotation_file_linked_from_outside_is_refused(layout, tmp_path):
    layout.add("img/A/1.jpg")
    root = layout.write()
    moved = shutil.move(root / "Anno/list_landmarks.txt", tmp_path / "elsewhere.txt")
    (root / "Anno/list_landmarks.txt").symlink_to(moved)
    with pytest.raises(BenchError, match="outside the data folder"):
        load_deepfashion(root)


def test_unreadable_headers_are_left_out_and_named(layout, oddity):
    layout.fill(150)
    layout.add("img/A/1.jpg")
    root = layout.write()
    (root / "Img/img/A/1.jpg").write_bytes(b"no image at all")
    manifest = load_deepfashion(root)
    assert len(manifest) == 150
    found = oddity(manifest, "unreadable image")
    assert found.examples[0].startswith("img/A/1.jpg: not a JPEG")
    assert not found.blocking


def test_a_header_of_more_than_50_megapixels_is_unreadable(layout, oddity):
    layout.add("img/A/1.jpg")
    root = layout.write()
    file = root / "Img/img/A/1.jpg"
    raw = file.read_bytes()
    frame = raw.index(b"\xff\xc0")
    file.write_bytes(raw[: frame + 5] + struct.pack(">HH", 8000, 8000) + raw[frame + 9 :])
    found = oddity(load_deepfashion(root), "unreadable image")
    assert "8000 x 8000 pixels" in found.examples[0]
    assert found.blocking


def test_kept_sizes_give_the_same_manifest_and_a_changed_file_is_read_again(layout, tmp_path):
    layout.add("img/A/1.jpg", "2", LOWER)
    root, cache = layout.write(), tmp_path / "cache"
    asked: list[tuple[int, int]] = []
    first = load_deepfashion(root, cache=cache, progress=lambda *done: asked.append(done))
    assert asked == [(1, 1)]
    again = load_deepfashion(root, cache=cache, progress=lambda *done: asked.append(done))
    assert asked == [(1, 1)]
    assert again.fingerprint == first.fingerprint
    layout.image("img/A/1.jpg", (400, 300))
    changed = load_deepfashion(root, cache=cache)
    assert changed.landmarks[0, 4, 0] == pytest.approx(20 / 400)


def test_a_damaged_size_cache_is_written_anew(layout, tmp_path):
    layout.add("img/A/1.jpg", "2", LOWER)
    root, cache = layout.write(), tmp_path / "cache"
    first = load_deepfashion(root, cache=cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert load_deepfashion(root, cache=cache).fingerprint == first.fingerprint
    kept.write_bytes(b"")
    assert load_deepfashion(root, cache=cache).fingerprint == first.fingerprint
    assert list(cache.iterdir()) == [kept]


def test_fingerprint_follows_content_and_not_place_or_time(layout, tmp_path):
    layout.add("img/A/1.jpg", "2", LOWER)
    layout.add("img/A/2.jpg", "2", LOWER)
    root = layout.write()
    first = load_deepfashion(root).fingerprint
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    os.utime(copy / "Img/img/A/1.jpg", (1, 1))
    assert load_deepfashion(copy).fingerprint == first
    layout.landmarks[0] = layout.landmarks[0].replace("170 270", "171 270")
    assert load_deepfashion(layout.write()).fingerprint != first
    with (copy / "Img/img/A/1.jpg").open("ab") as file:
        file.write(b"\0")
    assert load_deepfashion(copy).fingerprint != first


def test_examples_are_few_and_safe_to_print(layout, oddity):
    layout.fill(5)
    for index in range(9):
        layout.add(f"img/Gone/{index}.jpg", on_disk=None)
        layout.image(f"img/Stray\x1b[31m/{index}.jpg")
    manifest = load_deepfashion(layout.write())
    assert oddity(manifest, "missing image").count == 9
    assert len(oddity(manifest, "missing image").examples) == 5
    assert all(text.isprintable() for text in oddity(manifest, "image without a label").examples)


def test_a_phantom_is_a_layout_that_says_so(layout):
    layout.add("img/A/1.jpg")
    root = layout.write()
    assert open_source(root).source == "deepfashion"
    (root / "phantom.json").write_text("{}")
    assert open_source(root).source == "phantom"


NAMES = (
    "Anno/list_category_cloth.txt",
    "Anno/list_category_img.txt",
    "Anno/list_landmarks.txt",
    "Eval/list_eval_partition.txt",
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(NAMES),
    line=st.integers(0, 5),
    at=st.integers(0, 60),
    cut=st.integers(0, 60),
    put=st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"-1", b"9" * 400, b"1e999", b"nan", b"\xff", b"\0", b"/", b"..", b"_"]),
        st.text(max_size=10).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    ordinary=st.sampled_from([0, 250]),
)
def test_mutated_lines_give_a_manifest_or_one_clear_error(
    tmp_path_factory, name, line, at, cut, put, ordinary
):
    root = _mutable(tmp_path_factory, ordinary)
    original = (root / name).read_bytes()
    lines = original.split(b"\n")
    index = line % len(lines)
    lines[index] = lines[index][:at] + put + lines[index][at + cut :]
    (root / name).write_bytes(b"\n".join(lines))
    try:
        manifest = load_deepfashion(root)
    except BenchError as error:
        assert error.where
        assert error.fix
    else:
        assert isinstance(manifest, Manifest)
        assert len(manifest.landmarks) == len(manifest)
        assert ((manifest.category >= 0) & (manifest.category < len(manifest.class_names))).all()
        assert np.isnan(manifest.landmarks[manifest.visibility == ABSENT]).all()
        assert np.isfinite(manifest.landmarks[manifest.visibility != ABSENT]).all()
    finally:
        (root / name).write_bytes(original)


_DRAWN: dict[int, Path] = {}


def _mutable(tmp_path_factory: pytest.TempPathFactory, ordinary: int) -> Path:
    """One tree for all examples: writing images is what takes the time."""
    if ordinary not in _DRAWN:
        root = tmp_path_factory.mktemp("mutable")
        for name, header, text in (
            (NAMES[0], "category_name category_type", "Anorak 1\nJeans 2"),
            (NAMES[1], "image_name category_label", "{} 2"),
            (NAMES[2], "image_name clothes_type", "{} " + LOWER),
            (NAMES[3], "image_name evaluation_status", "{} train"),
        ):
            lines = [text.format(f"img/A/{index}.jpg") for index in range(2 + ordinary)]
            lines = [text] if "{}" not in text else lines
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text("\n".join([str(len(lines)), header, *lines]) + "\n")
        folder = root / "Img/img/A"
        folder.mkdir(parents=True)
        Image.new("RGB", (200, 300)).save(folder / "0.jpg")
        for index in range(1, 2 + ordinary):
            os.link(folder / "0.jpg", folder / f"{index}.jpg")
        _DRAWN[ordinary] = root
    return _DRAWN[ordinary]
