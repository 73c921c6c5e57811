"""Images decode to the size asked for in [0, 1], and faulty files are named, never guessed at."""

from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.data.images import (
    UnreadableImage,
    decode,
    decode_batch,
    read_header,
    shown_size,
    stored_size,
)
from bench.errors import BenchError


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green grows downwards, blue is half."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 128)], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp"])
@pytest.mark.parametrize("size", [(200, 300), (300, 120), (2000, 1500)])
def test_any_format_and_aspect_becomes_a_square_in_0_1(tmp_path, name, size):
    gradient(*size).save(tmp_path / name)
    pixels = decode(tmp_path / name, 64)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0 and pixels.max() <= 1
    np.testing.assert_allclose(pixels[32, :, 0], np.linspace(0, 1, 64), atol=0.05)
    np.testing.assert_allclose(pixels[:, 32, 1], np.linspace(0, 1, 64), atol=0.05)
    np.testing.assert_allclose(pixels[..., 2], 0.5, atol=0.05)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_any_colour_mode_becomes_rgb(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((30, 20), 32768, np.uint16))
    else:
        image = Image.new("RGB", (20, 30), "white" if mode == "1" else (128, 128, 128))
        image = image.convert(mode)
    image.save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    (file,) = tmp_path.iterdir()
    pixels = decode(file, 8)
    assert pixels.shape == (8, 8, 3)
    np.testing.assert_allclose(pixels, 1.0 if mode == "1" else 0.5, atol=0.02)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_an_image_is_turned_by_exif_only_where_it_is_asked_for(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    gradient(2000, 3000).save(tmp_path / name, exif=exif)
    path = tmp_path / name
    assert stored_size(path) == shown_size(path, upright=False) == (2000, 3000)
    assert decode(path, 32)[16, -1, 0] > 0.9
    gradient(2000, 3000).save(tmp_path / f"plain-{name}")
    np.testing.assert_array_equal(decode(path, 32), decode(tmp_path / f"plain-{name}", 32))
    # Pillow's own turning is the expectation.
    with Image.open(path) as stored:
        turned = ImageOps.exif_transpose(stored).convert("RGB")
    turned.save(tmp_path / "turned.png")
    expected = decode(tmp_path / "turned.png", 32)
    np.testing.assert_allclose(decode(path, 32, upright=True), expected, atol=0.03)
    assert shown_size(path, upright=True) == turned.size
    (batch,), _ = decode_batch(tmp_path, [name], 32, upright=True)
    np.testing.assert_allclose(batch, expected, atol=0.03)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0" + b"x" * 90, b"Exif\0\0MM\0*\0\0\xff\xff", b""])
def test_damaged_exif_turns_nothing_and_loses_no_image(tmp_path, exif):
    gradient(200, 300).save(tmp_path / "a.jpg", exif=exif)
    assert read_header(tmp_path / "a.jpg") == ((200, 300), 1)
    np.testing.assert_array_equal(
        decode(tmp_path / "a.jpg", 32, upright=True), decode(tmp_path / "a.jpg", 32)
    )


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + b"x" * 9000}]
)
def test_stored_size_agrees_with_pillow(tmp_path, name, options):
    gradient(37, 91).save(tmp_path / name, **options)
    assert stored_size(tmp_path / name) == (37, 91)


def write_fault(path: Path, fault: str) -> None:
    gradient(200, 300).save(path)
    raw = path.read_bytes()
    if fault == "empty":
        path.write_bytes(b"")
    elif fault == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif fault == "header only":
        path.write_bytes(raw[:20])
    elif fault == "text":
        path.write_text("this is no image")
    elif fault == "missing":
        path.unlink()
    elif fault == "a folder":
        path.unlink()
        path.mkdir()
    elif fault == "bomb":
        head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + head
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + struct.pack(">I", len(head))
            + chunk
            + struct.pack(">I", zlib.crc32(chunk))
        )


FAULTS = ["empty", "truncated", "header only", "text", "missing", "a folder", "bomb"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named_with_a_reason(tmp_path, fault):
    path = tmp_path / "a.jpg"
    write_fault(path, fault)
    with pytest.raises(UnreadableImage) as error:
        decode(path, 32)
    assert isinstance(error.value, BenchError)
    assert error.value.path == path
    assert error.value.reason
    assert str(path) in str(error.value)


@pytest.mark.filterwarnings("error")
def test_more_than_50_megapixels_is_refused_before_decoding(tmp_path):
    Image.new("1", (8_000, 8_000)).save(tmp_path / "a.png")
    for read in (stored_size, lambda path: decode(path, 32)):
        with pytest.raises(UnreadableImage, match="8000 x 8000 pixels, more than 50 million"):
            read(tmp_path / "a.png")


def test_the_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "truncated")))
    assert (error.path, error.reason) == (Path("a.jpg"), "truncated")


def test_a_batch_is_each_image_alone_with_zeros_for_the_faulty(tmp_path):
    for index in range(6):
        gradient(100 + index, 200).save(tmp_path / f"{index}.jpg")
    write_fault(tmp_path / "2.jpg", "truncated")
    write_fault(tmp_path / "4.jpg", "missing")
    paths = [f"{index}.jpg" for index in range(6)]
    pixels, unreadable = decode_batch(tmp_path, paths, 48, threads=3)
    assert pixels.shape == (6, 48, 48, 3)
    assert pixels.dtype == np.float32
    assert [row for row, _ in unreadable] == [2, 4]
    assert not pixels[[2, 4]].any()
    for row in (0, 1, 3, 5):
        np.testing.assert_array_equal(pixels[row], decode(tmp_path / paths[row], 48))


def test_an_empty_batch_is_empty(tmp_path):
    pixels, unreadable = decode_batch(tmp_path, [], 16, threads=2)
    assert pixels.shape == (0, 16, 16, 3)
    assert unreadable == []
