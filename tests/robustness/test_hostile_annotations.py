"""Annotation files from strangers: a manifest that says what the lines say, or one clear error."""

from __future__ import annotations

import html
import math
import os
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from PIL import Image

from bench.data.deepfashion import load_deepfashion
from bench.data.manifest import ABSENT, CHANNELS_OF_TYPE, OUTSIDE, PARTITIONS, Manifest
from bench.errors import BenchError
from tests.robustness import mutations

IMAGES, CATEGORIES = 300, 40

WIDTH, HEIGHT = 200, 300
NAMES = {
    "categories": "Anno/list_category_cloth.txt",
    "labels": "Anno/list_category_img.txt",
    "landmarks": "Anno/list_landmarks.txt",
    "partition": "Eval/list_eval_partition.txt",
}


def lines_of(what: str) -> list[str]:
    """A file's lines, in which no two images say the same."""
    if what == "categories":
        return [f"Kind_{number}    {number % 3 + 1}" for number in range(CATEGORIES)]
    lines = []
    for i in range(IMAGES):
        path, kind = f"img/A/{i:04}.jpg", i % CATEGORIES % 3 + 1
        if what == "labels":
            lines.append(f"{path}      {i % CATEGORIES + 1}")
        elif what == "partition":
            lines.append(f"{path}    {PARTITIONS[i % 3]}")
        else:
            points = (
                f"{(i + k) % 3}  {(i + 7 * k) % WIDTH:03} {(2 * i + 11 * k) % HEIGHT:03}"
                for k in range(len(CHANNELS_OF_TYPE[kind]))
            )
            lines.append(f"{path}      {kind}  {'  '.join(points)}")
    return lines


HEADS = {
    "categories": "category_name  category_type",
    "labels": "image_name  category_label",
    "landmarks": "image_name  clothes_type  landmark_visibility_1  landmark_location_x_1",
    "partition": "image_name  evaluation_status",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout as its authors made it; the images are one file under many names."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "Img/img/A").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "one.jpg", quality=5)
    for index in range(IMAGES):
        os.link(folder / "one.jpg", folder / f"Img/img/A/{index:04}.jpg")
    for what, name in NAMES.items():
        lines = lines_of(what)
        (folder / name).parent.mkdir(exist_ok=True)
        text = "\n".join([str(len(lines)), HEADS[what], *lines, ""])
        (folder / name).write_text(text)
    return folder


def test_the_layout_that_is_spoiled_is_sound(root: Path) -> None:
    manifest = load_deepfashion(root)
    assert len(manifest) == IMAGES and manifest.issues == ()
    check_against_lines(manifest, root)


@mutations.MUTATED
@given(
    spoilings=st.dictionaries(
        st.sampled_from(sorted(NAMES)), mutations.mutations(), min_size=1, max_size=2
    )
)
def test_a_spoiled_file_gives_what_its_lines_say_or_one_clear_error(
    root: Path, tmp_path_factory: pytest.TempPathFactory, spoilings: dict[str, mutations.Mutation]
) -> None:
    cache = tmp_path_factory.getbasetemp() / "sizes"
    sound = {what: (root / NAMES[what]).read_bytes() for what in spoilings}
    try:
        for what, spoil in spoilings.items():
            (root / NAMES[what]).write_bytes(spoil(sound[what]))
        begun = time.process_time()
        try:
            manifest = load_deepfashion(root, cache=cache)
        except BenchError as error:
            event("one clear error")
            assert error.where and error.fix
            assert str(error).replace("\n", " ").isprintable()
        else:
            event(f"a manifest, {'with' if manifest.issues else 'without'} oddities")
            check_against_lines(manifest, root)
            check_nothing_is_lost(manifest)
        assert time.process_time() - begun < 10
    finally:
        for what, text in sound.items():
            (root / NAMES[what]).write_bytes(text)


def check_nothing_is_lost(manifest: Manifest) -> None:
    """Whatever is not there any more is counted."""
    absent = (manifest.visibility == ABSENT).all(axis=1) | (manifest.partition < 0)
    if len(manifest) < IMAGES or absent.any():
        assert manifest.issues
    for odd in manifest.issues:
        assert odd.kind.isprintable() and all(text.isprintable() for text in odd.examples)


def check_against_lines(manifest: Manifest, root: Path) -> None:
    """Every value of every image stands in a line that names this very image."""
    assert np.isnan(manifest.landmarks[manifest.visibility == ABSENT]).all()
    assert np.isfinite(manifest.landmarks[manifest.visibility != ABSENT]).all()
    said = {what: dict(by_image(root / NAMES[what])) for what in NAMES if what != "categories"}
    for row, path in enumerate(manifest.paths):
        key = folded(path.removeprefix("Img/"))
        labels = [words[0] for words in said["labels"][key] if len(words) == 1]
        assert manifest.category[row] in [int(w) - 1 for w in labels if w.isdecimal()], path
        if manifest.partition[row] >= 0:
            assert [PARTITIONS[manifest.partition[row]]] in said["partition"][key], path
        if (manifest.visibility[row] != ABSENT).any():
            expected = [points_of(words) for words in said["landmarks"][key]]
            assert any(
                candidate is not None
                and candidate[0] == manifest.clothes_type[row]
                and (candidate[1] == manifest.visibility[row]).all()
                and np.allclose(candidate[2], manifest.landmarks[row], atol=1e-6, equal_nan=True)
                for candidate in expected
            ), path


def by_image(file: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Folded path -> the words behind it, of each line that names it."""
    text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    found: dict[str, list[list[str]]] = {}
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[2:]:
        words = line.split()
        if words:
            found.setdefault(folded(words[0]), []).append(words[1:])
    yield from found.items()


def folded(path: str) -> str:
    """What the images of one name in any case, form of accents or HTML spelling share."""
    return unicodedata.normalize("NFC", html.unescape(path)).casefold()


def points_of(words: list[str]) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Clothes type, visibility and places as a landmark line has them; None where it is no line."""
    try:
        kind, *rest = map(float, words)
    except ValueError:
        return None
    if len(rest) % 3 == 1:  # a variation type stands before the points
        rest = rest[1:]
    channels = CHANNELS_OF_TYPE.get(kind)  # type: ignore[call-overload]
    if channels is None or len(rest) != 3 * len(channels) or not all(map(math.isfinite, rest)):
        return None
    seen, places = np.full(8, ABSENT), np.full((8, 2), np.nan)
    for channel, flag, x, y in zip(channels, rest[::3], rest[1::3], rest[2::3], strict=True):
        inside = 0 <= x <= WIDTH and 0 <= y <= HEIGHT
        seen[channel] = flag if inside else OUTSIDE
        places[channel] = np.clip([x / WIDTH, y / HEIGHT], 0, 1)
    return kind, seen, places
