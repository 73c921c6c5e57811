"""A folder of classes becomes a manifest without landmarks; the sniffing tells layouts apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bench.data.folder import is_folder_of_classes, load_folder
from bench.data.manifest import ABSENT
from bench.data.sources import open_source
from bench.errors import BenchError


def draw(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        kind = "JPEG" if name.lower().endswith("jpg") else None
        Image.new("RGB", (30, 40), "grey").save(root / name, kind)
    return root


def test_classes_and_images_come_sorted_with_any_suffix_and_case(tmp_path):
    root = draw(
        tmp_path, "tee/b.jpg", "tee/a.JPG", "hat/z.png", "hat/y.webp", "hat/x.bmp", "hat/w.jpeg"
    )
    manifest = load_folder(root)
    assert manifest.class_names == ("hat", "tee")
    assert manifest.paths.tolist() == [
        "hat/w.jpeg",
        "hat/x.bmp",
        "hat/y.webp",
        "hat/z.png",
        "tee/a.JPG",
        "tee/b.jpg",
    ]
    assert manifest.category.tolist() == [0, 0, 0, 0, 1, 1]
    assert len(set(manifest.product.tolist())) == 6
    assert (manifest.visibility == ABSENT).all()
    assert not manifest.has_landmarks
    assert not manifest.has_partition
    assert manifest.issues == ()


def test_stray_files_and_empty_classes_are_counted(tmp_path, oddity):
    root = draw(tmp_path, "hat/1.jpg", "tee/1.jpg", "tee/deep/1.jpg")
    (root / "README.md").write_text("about")
    (root / "hat/notes.txt").write_text("about")
    (root / "empty").mkdir()
    manifest = load_folder(root)
    assert manifest.class_names == ("hat", "tee")
    assert oddity(manifest, "file beside").examples == ("README.md",)
    assert oddity(manifest, "file that is no image").examples == ("hat/notes.txt",)
    assert oddity(manifest, "class folder without images").examples == ("empty",)
    assert oddity(manifest, "folder inside").examples == ("tee/deep",)
    assert not any(odd.blocking for odd in manifest.issues)


def test_links_that_lead_outside_are_refused(tmp_path, oddity):
    outside = draw(tmp_path / "outside", "1.jpg")
    root = draw(tmp_path / "data", "hat/1.jpg", "tee/1.jpg")
    (root / "hat/2.jpg").symlink_to(outside / "1.jpg")
    (root / "shoe").symlink_to(outside)
    manifest = load_folder(root)
    assert len(manifest) == 2
    assert oddity(manifest, "symbolic link").count == 2


def test_one_class_is_too_few(tmp_path):
    with pytest.raises(BenchError, match="at least 2 folders"):
        load_folder(draw(tmp_path, "hat/1.jpg"))


def test_fingerprint_follows_content_and_not_place(tmp_path):
    first = load_folder(draw(tmp_path / "a", "hat/1.jpg", "tee/1.jpg")).fingerprint
    other = draw(tmp_path / "b", "hat/1.jpg", "tee/1.jpg")
    assert load_folder(other).fingerprint == first
    draw(other, "tee/2.jpg")
    assert load_folder(other).fingerprint != first


def test_the_layout_is_found_out(tmp_path, layout):
    layout.add("img/A/1.jpg")
    root = layout.write()
    assert not is_folder_of_classes(root)
    assert open_source(root).source == "deepfashion"
    assert open_source(draw(tmp_path / "photos", "hat/1.jpg", "tee/1.jpg")).source == "folder"


def test_a_part_of_deepfashion_is_not_taken_for_a_folder_of_classes(layout):
    layout.add("img/A/1.jpg")
    layout.add("img/B/1.jpg")
    root = layout.write()
    with pytest.raises(BenchError, match="part of a DeepFashion folder"):
        open_source(root / "Img/img")
    with pytest.raises(BenchError, match="one folder further in"):
        open_source(root.parent)


@pytest.mark.parametrize("content", ["nothing", "a file", "an empty folder", "notes.txt"])
def test_what_is_no_source_is_refused_by_what_was_found(tmp_path, content):
    root = tmp_path / "data"
    if content == "a file":
        root.write_text("x")
    elif content != "nothing":
        root.mkdir()
        if content == "notes.txt":
            (root / content).write_text("x")
    with pytest.raises(BenchError, match=f"found {content}"):
        open_source(root)
