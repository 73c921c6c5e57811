"""Images and folders from strangers: what no one can trust is counted, nothing outside is read."""

from __future__ import annotations

import io
import os
import resource
import struct
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from PIL import Image

from bench.data.check import check
from bench.data.images import UnreadableImage, decode, stored_size
from bench.data.manifest import Manifest
from bench.data.phantoms import generated_as
from bench.data.sources import open_source
from bench.errors import BenchError
from tests.data.conftest import Layout
from tests.robustness import mutations

GOOD = 3


def peak_bytes() -> int:
    """The most memory that this process ever held, C libraries included."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def png_of(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header announces any size, whatever its data is."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG that ends behind a frame header of any size."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame


def text_bomb() -> bytes:
    body = b"a\0\0" + zlib.compress(b"x" * 100_000_000, 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    whole = png_of(8, 8, zlib.compress(bytes(8 * 25)))
    return whole[:33] + chunk + whole[33:]


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch sprung) (w) file\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"

HOSTILE = {
    "png bomb": png_of(60_000, 60_000, zlib.compress(bytes(1_000_000))),
    "png of no width": png_of(0, 10),
    "png of 2^31": png_of(2**31 - 1, 2**31 - 1),
    "jpeg bomb": jpeg_of(65_535, 65_535),
    "jpeg that only begins": jpeg_of(10, 10),
    "bmp bomb": b"BM" + struct.pack("<IHHIIiiHH24x", 54, 0, 0, 54, 40, 40_000, 40_000, 1, 24),
    "webp that only begins": b"RIFF\xff\xff\xff\x7fWEBPVP8 \xff\xff\xff\x7f",
    "postscript": POSTSCRIPT,
    "svg": SVG,
    "gif": b"GIF89a\xff\xff\xff\xff\x00\x00\x00;",
    "tiff": b"II*\0\x08\0\0\0\xff\xff",
    "zip": b"PK\x03\x04" + bytes(60),
    "python": b"import os; os.system('touch sprung')",
    "nothing": b"",
    "zeros": bytes(10_000),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_an_image_that_is_none_is_counted_and_allocates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("hat", "shoe"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(GOOD):
            Image.new("RGB", (30, 20)).save(tmp_path / "data" / kind / f"{number}.png")
    bad = tmp_path / "data" / "hat" / f"bad.{ending}"
    bad.write_bytes(HOSTILE[name])
    before = peak_bytes()
    with pytest.raises(UnreadableImage) as error:
        decode(bad, 32)
    found = check(open_source(tmp_path / "data"), decode=True)
    assert peak_bytes() - before < 100_000_000
    assert error.value.reason.isprintable()
    (odd,) = [odd for odd in found.issues if odd.kind == "image that cannot be decoded"]
    assert odd.count == 1 and odd.examples[0].startswith(f"hat/bad.{ending}: ")
    assert not (tmp_path / "sprung").exists()


def test_text_packed_into_an_image_is_not_unpacked_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(text_bomb())
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImage, match="text"):
            stored_size(tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def sound_images() -> list[bytes]:
    """One small image of each format, with something in it."""
    x, y = np.meshgrid(np.arange(40), np.arange(30))
    image = Image.fromarray(np.stack([x * 6, y * 8, x * y % 256], axis=-1).astype(np.uint8))
    files = []
    for form, options in (
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("BMP", {}),
    ):  # fmt: skip
        file = io.BytesIO()
        image.save(file, form, **options)
        files.append(file.getvalue())
    return files


@mutations.MUTATED
@given(whole=st.sampled_from(sound_images()), spoil=mutations.mutations())
def test_a_spoiled_image_is_pixels_or_unreadable(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, spoil: mutations.Mutation
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoiled.jpg"
    path.write_bytes(spoil(whole))
    try:
        stored_size(path)
        pixels = decode(path, 16)
    except UnreadableImage as error:
        event("unreadable")
        assert str(error).replace("\n", " ").isprintable()
    else:
        event("pixels")
        assert pixels.shape == (16, 16, 3) and np.isfinite(pixels).all()
        assert pixels.min() >= 0 and pixels.max() <= 1


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Images beside the data folder, which nothing may read."""
    folder = tmp_path / "secret"
    folder.mkdir()
    Image.new("RGB", (20, 20)).save(folder / "s.jpg")
    (folder / "list_category_img.txt").write_text("1\nimage_name x\nimg/A/0.jpg 1\n")
    return folder


@pytest.fixture
def opened(secret: Path) -> Iterator[list[str]]:
    """Files that were opened and lie outside the data folder, by Python's own account."""
    strange: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple) -> None:
        if watching and event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.startswith((str(secret), "/etc/passwd", "/dev/zero")):
                strange.append(path)

    sys.addaudithook(watch)  # cannot be taken away again, so it is told when to stop
    yield strange
    watching = False


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty layout of DeepFashion's."""
    return Layout(tmp_path / "data")


WRITTEN = [
    "/etc/passwd", "../../secret/s.jpg", "img/../../../secret/s.jpg", "img\\..\\..\\secret\\s.jpg",
    "C:\\s.jpg", "\\\\host\\s.jpg", "file:///etc/passwd", "~/s.jpg", "img/A/%2e%2e/%2e%2e/s.jpg",
    "img/&#46;&#46;/&#46;&#46;/secret/s.jpg", "img/A/link.jpg", "img/out/s.jpg", "img/A/hole.jpg",
]  # fmt: skip


def test_no_line_and_no_link_leads_out_of_the_data_folder(
    layout: Layout, secret: Path, opened: list[str]
) -> None:
    layout.fill(GOOD, "img/A")
    for path in WRITTEN:
        layout.add(path, on_disk=None)
    root = layout.write()
    images = root / "Img/img"
    (images / "A/link.jpg").symlink_to(secret / "s.jpg")
    (images / "A/hole.jpg").symlink_to("/dev/zero")
    (images / "A/circle.jpg").symlink_to("circle.jpg")
    (images / "circle").symlink_to("circle")
    (images / "out").symlink_to(secret)
    os.mkfifo(images / "A/pipe.jpg")
    manifest = open_source(root)
    assert manifest.paths.tolist() == [f"Img/img/A/img_{n:08}.jpg" for n in range(GOOD)]
    assert kinds(manifest) == {
        "path that leads outside (refused)": 6,
        "symbolic link that leads outside the data folder (refused)": 3,
        "symbolic link that leads nowhere (left out)": 2,
        "missing image": 7,
        "landmark line without a label line": 6,
        "partition line without a label line": 6,
    }
    check(manifest, decode=True)
    assert opened == []


def kinds(manifest: Manifest) -> dict[str, int]:
    return {o.kind: o.count for o in manifest.issues if not o.kind.startswith("image without")}


@pytest.mark.parametrize("name", ["Anno", "Img", "Eval"])
def test_a_part_of_the_layout_that_lies_elsewhere_is_refused(
    layout: Layout, secret: Path, opened: list[str], name: str
) -> None:
    layout.fill(GOOD, "img/A")
    root = layout.write()
    (root / name).rename(secret / name)
    (root / name).symlink_to(secret / name)
    with pytest.raises(BenchError, match="outside the data folder"):
        open_source(root)
    assert opened == []


def test_a_class_folder_that_lies_elsewhere_is_refused(
    tmp_path: Path, secret: Path, opened: list[str]
) -> None:
    root = tmp_path / "data"
    for kind in ("hat", "shoe"):
        (root / kind).mkdir(parents=True)
        Image.new("RGB", (30, 20)).save(root / kind / "0.png")
    (root / "out").symlink_to(secret)
    (root / "hat" / "s.jpg").symlink_to(secret / "s.jpg")
    (root / "hat" / "circle.jpg").symlink_to("circle.jpg")
    (root / "circle").symlink_to("circle")
    os.mkfifo(root / "hat" / "pipe.jpg")
    manifest = open_source(root)
    assert manifest.paths.tolist() == ["hat/0.png", "shoe/0.png"]
    assert kinds(manifest) == {
        "symbolic link that leads outside the data folder (refused)": 2,
        "symbolic link that leads nowhere (left out)": 2,
        "file that is no image (ignored)": 1,
    }
    check(manifest, decode=True)
    assert opened == []


def test_a_zip_is_no_data_folder_and_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("../../escaped.txt", "x")
    with pytest.raises(BenchError, match="found a file") as error:
        open_source(tmp_path / "data.zip")
    assert "unpacked" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_an_annotation_file_without_an_end_is_not_read(layout: Layout) -> None:
    layout.fill(GOOD, "img/A")
    root = layout.write()
    os.truncate(root / "Anno/list_landmarks.txt", 10**11)  # sparse: takes no space
    with pytest.raises(BenchError, match=r"100,000,000,000 bytes"):
        open_source(root)


def test_more_categories_than_a_number_can_name_are_refused(layout: Layout) -> None:
    layout.fill(GOOD, "img/A")
    layout.categories = [f"c{n} 1" for n in range(40_000)]
    with pytest.raises(BenchError, match="at most 10,000 categories"):
        open_source(layout.write())


@pytest.mark.parametrize(
    "mark", ["{}", "[]", "x", '{"images": ' + "9" * 5000 + "}", "[" * 100_000, '{"images": 1e9}']
)
def test_a_mark_that_no_phantom_has_is_refused(tmp_path: Path, mark: str) -> None:
    (tmp_path / "phantom.json").write_text(mark)
    with pytest.raises(BenchError, match="not the mark of a phantom"):
        generated_as(tmp_path)
