"""DeepFashion's attribute files as they are, and the phantom's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.attributes import load_attributes
from bench.data.categories import categories
from bench.data.check import check
from bench.data.garment import sample_cloth
from bench.data.pattern import Pattern
from bench.data.phantom import generate_phantom
from bench.data.phantom_attributes import PHANTOM_ATTRIBUTES, answers_of
from bench.data.sources import open_source
from bench.errors import BenchError

NAMES = ["abstract chevron print        1", "a-line          3", "v-neck   4"]


def write(root: Path, answers: list[str], names: list[str] = NAMES) -> None:
    for name, header, lines in (
        ("list_attr_cloth.txt", "attribute_name  attribute_type", names),
        ("list_attr_img.txt", "image_name  attribute_labels", answers),
    ):
        text = "\n".join([str(len(lines)), header, *lines]) + "\n"
        (root / "Anno" / name).write_text(text)


def two_images(layout: Any) -> Path:
    layout.add("img/A_Top/img_1.jpg")
    layout.add("img/Fit_&_Flare/img_2.jpg", on_disk="img/fit_&_flare/img_2.jpg")
    layout.add("img/B_Top/img_3.jpg")
    return Path(layout.write())


def test_names_hold_spaces_and_answers_join_by_path_whatever_its_case(layout: Any) -> None:
    root = two_images(layout)
    write(root, ["img/Fit_&_Flare/img_2.jpg    -1  1  0", "img/A_Top/img_1.jpg 1 -1 -1",
                 "img/Gone/img_9.jpg 1 1 1"])  # fmt: skip
    found = load_attributes(open_source(root))
    assert found is not None and found.names == ("abstract chevron print", "a-line", "v-neck")
    assert found.types.tolist() == [1, 3, 4]
    assert found.answers.tolist() == [[1, -1, -1], [-1, 1, 0], [0, 0, 0]]  # the last has no line
    assert found.left_out == 1
    report = check(open_source(root))
    assert report.attributes["shape"] == {"attributes": 1, "an image": pytest.approx(1 / 3)}
    assert report.attributes["fabric"]["attributes"] == 0
    assert [odd.count for odd in report.issues if odd.kind.startswith("attribute line")] == [1]
    assert ["texture", "1", "0.33"] in next(t[2] for t in report.tables() if t[0] == "Attributes")


def test_data_without_attribute_files_has_none(layout: Any) -> None:
    manifest = open_source(two_images(layout))
    assert load_attributes(manifest) is None and check(manifest).attributes == {}


@pytest.mark.parametrize(
    "line", ["img/A_Top/img_1.jpg 1 -1", "img/A_Top/img_1.jpg 1 -1 2", "img/A_Top/img_1.jpg 1 x 0"]
)
def test_a_file_of_other_answers_is_refused_with_its_line(layout: Any, line: str) -> None:
    root = two_images(layout)
    write(root, [line])
    with pytest.raises(BenchError, match="3 values of -1, 0 or 1") as caught:
        load_attributes(open_source(root))
    assert caught.value.where == "Anno/list_attr_img.txt:3"


def test_an_attribute_without_a_type_is_refused(layout: Any) -> None:
    root = two_images(layout)
    write(root, ["img/A_Top/img_1.jpg 1"], ["v-neck   9"])
    with pytest.raises(BenchError, match="a type from 1 to 5"):
        load_attributes(open_source(root))


def test_attributes_do_not_change_what_the_data_is(layout: Any) -> None:
    root = two_images(layout)
    before = open_source(root).fingerprint
    write(root, ["img/A_Top/img_1.jpg 1 -1 -1"])
    assert open_source(root).fingerprint == before


def test_a_phantom_of_before_is_given_attributes_and_stays_as_it_was(
    phantom: Path, tmp_path: Path
) -> None:
    root = tmp_path / "phantom"
    shutil.copytree(phantom, root)
    added = ("Anno/list_attr_cloth.txt", "Anno/list_attr_img.txt", "phantom-attributes.json")
    written = {name: (root / name).read_bytes() for name in added}
    for name in added:
        (root / name).unlink()
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert generate_phantom(root, images=300, seed=0, workers=1) == root
    assert {name: (root / name).read_bytes() for name in added} == written
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert open_source(root).fingerprint == open_source(phantom).fingerprint


def test_the_phantoms_attributes_are_a_few_dozen_of_every_type_and_none_is_idle(
    phantom: Path,
) -> None:
    found = load_attributes(open_source(phantom))
    assert found is not None and found.left_out == 0
    assert 36 <= len(found.names) <= 60 and set(found.types.tolist()) == {1, 2, 3, 4, 5}
    assert set(np.unique(found.answers)) == {-1, 1}
    share = (found.answers > 0).mean(axis=0)
    assert share.max() < 0.95 and (share > 0).mean() > 0.9


def test_attributes_say_what_is_drawn() -> None:
    def said(name: str, **pattern: Any) -> set[str]:
        category = next(i for i, kind in enumerate(categories()) if kind.name == name)
        answers = answers_of(category, Pattern(**pattern), "stripes")
        return {a for a, yes in zip(PHANTOM_ATTRIBUTES, answers, strict=True) if yes == 1}

    tee = said("Tee", sleeve=0.3, v_neck=1.0, pockets=1.0)
    assert {"striped", "short sleeve", "v-neck", "pocket", "woven"} <= tee
    assert not tee & {"solid", "long sleeve", "sleeveless", "round neck", "belted", "mini"}
    trousers = said("Jeans", length=3.0, flare=0.4, legs=1.0)
    assert {"ankle length", "skinny leg"} <= trousers
    assert not trousers & {"sleeveless", "round neck", "v-neck", "a-line"}
    hoodie = next(i for i, kind in enumerate(categories()) if kind.name == "Hoodie")
    hooded = [
        answers_of(hoodie, cloth.pattern, cloth.texture)[list(PHANTOM_ATTRIBUTES).index("hooded")]
        for seed in range(20)
        for cloth in (sample_cloth(hoodie, np.random.default_rng(seed)),)
    ]
    assert np.mean(np.array(hooded) == 1) > 0.5
