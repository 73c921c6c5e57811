"""Reads image files: their stored size from the header, their pixels at the size a model wants.

Nothing is cropped. Images are turned upright by EXIF only where the caller says so: landmarks are
shares of the image as stored.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.errors import BenchError

MAX_PIXELS = 50_000_000
"""An image whose header says more pixels than this is refused as faulty or hostile."""

ORIENTATION = 0x0112
"""The EXIF tag that says how an image as stored is to be turned to be upright."""

ORIENTED = "image with an EXIF orientation (left as stored, as its landmarks are)"
"""Kind of issue, of data whose landmarks are in pixels as stored."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = 5
"""From this orientation on, width and height change places."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")

# Pillow raises errors of many types on a corrupt file; any of them means that it is not readable.
_FAULTS = (Exception,)

# Pillow warns at a limit above ours; the image is refused here anyway, by name.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# What damaged EXIF says is not used, and nobody can do anything about it.
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)


class UnreadableImage(BenchError):  # noqa: N818 - it names the image's state
    """An image file that is missing, truncated, too large or no image.

    Args:
        path: The file.
        reason: What is wrong with it.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(
            f"unreadable image: {reason}",
            where=str(path),
            fix="replace the file with a whole copy, or remove it",
        )

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[str, str]]:
        # Exceptions cross process borders by pickle, which would call this with one argument.
        return UnreadableImage, (str(self.path), self.reason)


def stored_size(path: Path | str) -> tuple[int, int]:
    """Read an image's size from its header, without decoding it.

    Args:
        path: The image file.

    Returns:
        Width and height in pixels, as stored.

    Raises:
        UnreadableImage: No header of a known format, or more than `MAX_PIXELS` pixels.
    """
    return read_header(path)[0]


def shown_size(path: Path | str, *, upright: bool) -> tuple[int, int]:
    """Width and height in pixels of an image as `decode` turns it.

    Args:
        path: The image file.
        upright: As in `decode`.

    Raises:
        UnreadableImage: As `stored_size`.
    """
    (width, height), orientation = read_header(path)
    return (height, width) if upright and orientation >= _ON_ITS_SIDE else (width, height)


def read_header(path: Path | str) -> tuple[tuple[int, int], int]:
    """Read an image's size and orientation from its header, without decoding it.

    Args:
        path: The image file.

    Returns:
        Width and height in pixels, as stored; and its EXIF orientation, 1 (upright) to 8.

    Raises:
        UnreadableImage: No header of a known format, or more than `MAX_PIXELS` pixels.
    """
    try:
        # No Path object: called for each of 289,222 images.
        with open(path, "rb") as file, _open(file) as image:  # noqa: PTH123
            size, orientation = image.size, _orientation(image)
    except _FAULTS as error:
        raise UnreadableImage(path, _reason(error)) from error
    _check_pixels(path, size)
    return size, orientation


def decode(path: Path | str, size: int, *, upright: bool = False) -> np.ndarray:
    """Decode an image to a square, as the paper does (§3): resized without keeping its aspect.

    Args:
        path: The image file.
        size: Width and height wanted, in pixels.
        upright: Whether to turn it as its EXIF orientation says; not where landmarks are known.

    Returns:
        `(size, size, 3)` float32, RGB in [0, 1].

    Raises:
        UnreadableImage: The file is missing, truncated, too large or no image.
    """
    return _decode_bytes(path, size, upright).astype(np.float32) / np.float32(255)


def decode_batch(
    root: Path,
    paths: Sequence[str] | np.ndarray,
    size: int,
    threads: int | None = None,
    *,
    upright: bool = False,
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Decode many images at once.

    Args:
        root: Folder that the paths are relative to.
        paths: `(n,)` image paths.
        size: Width and height wanted, in pixels.
        threads: How many images to decode at the same time; None for one a processor.
        upright: As in `decode`.

    Returns:
        `(n, size, size, 3)` float32, each row as `decode` gives it; and for each image that
        could not be read its row, which is left at zero, and the reason.
    """
    pixels = np.zeros((len(paths), size, size, 3), dtype=np.float32)

    def fill(row: int) -> tuple[int, str] | None:
        try:
            pixels[row] = decode(root / str(paths[row]), size, upright=upright)
        except UnreadableImage as error:
            return row, error.reason
        return None

    with ThreadPoolExecutor(max_workers=max(1, threads or os.cpu_count() or 1)) as pool:
        faults = [fault for fault in pool.map(fill, range(len(paths))) if fault is not None]
    return pixels, faults


def _decode_bytes(path: Path | str, size: int, upright: bool) -> np.ndarray:
    try:
        with Path(path).open("rb") as file, _open(file) as image:
            _check_pixels(path, image.size)
            # A JPEG much larger than wanted is decoded at 1/2, 1/4 or 1/8, several times faster.
            image.draft(None, (2 * size, 2 * size))
            # Before it is loaded: what a header is read for must say the same.
            turn = _TURNS.get(_orientation(image)) if upright else None
            colour = _to_rgb(image)
    except UnreadableImage:
        raise
    except _FAULTS as error:
        raise UnreadableImage(path, _reason(error)) from error
    square = colour.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(square if turn is None else square.transpose(turn))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none, or none that can be read."""
    if "exif" not in image.info:
        return 1
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except _FAULTS:
        # EXIF that is damaged says nothing; the image itself may well be whole.
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def _open(file: BinaryIO) -> Image.Image:
    return Image.open(file, formats=_FORMATS)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey values at 255 instead of scaling them.
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    return image.convert("RGB")


def _check_pixels(path: Path | str, size: tuple[int, int]) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnreadableImage(path, f"its header says {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise UnreadableImage(
            path, f"its header says {width} x {height} pixels, more than {limit} million"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WebP or BMP file"
    return str(error) or type(error).__name__
