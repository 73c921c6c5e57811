"""The check counts what there is, and calls harmful only what would make training wrong."""

from __future__ import annotations

import json

import pytest

from bench.data.check import check
from bench.data.sources import open_source

FULL = "3  0 020 030  1 180 030  0 010 150  0 190 150  0 040 160  0 160 160  2 000 000  0 170 270"


@pytest.fixture
def drawn(layout):
    layout.add("img/A/1.jpg", "1", part="train")
    layout.add("img/A/2.jpg", "1", part="test")
    layout.add("img/B/1.jpg", "3", FULL, part="val")
    layout.add("img/B/2.jpg", "3", None, part=None)
    return layout


def test_images_are_counted_by_class_type_and_split(drawn):
    report = check(open_source(drawn.write()))
    assert report.images == 4
    assert report.classes == {
        "Anorak": {"train": 1, "val": 0, "test": 1, "none": 0},
        "Jeans": {"train": 0, "val": 0, "test": 0, "none": 0},
        "Dress": {"train": 0, "val": 1, "test": 0, "none": 1},
    }
    assert report.types == {
        "upper": {"train": 1, "val": 0, "test": 1, "none": 0},
        "full body": {"train": 0, "val": 1, "test": 0, "none": 1},
    }


def test_landmarks_are_counted_by_channel_and_visibility(drawn):
    counts = check(open_source(drawn.write())).landmarks
    assert counts["left collar"] == {"visible": 3, "occluded": 0, "outside": 0, "absent": 1}
    assert counts["right collar"] == {"visible": 2, "occluded": 1, "outside": 0, "absent": 1}
    assert counts["left sleeve"] == {"visible": 1, "occluded": 2, "outside": 0, "absent": 1}
    assert counts["left waistline"] == {"visible": 1, "occluded": 0, "outside": 0, "absent": 3}
    assert counts["left hem"] == {"visible": 2, "occluded": 0, "outside": 1, "absent": 1}


def test_harm_follows_the_oddities(drawn):
    assert not check(open_source(drawn.write())).blocking
    drawn.labels[0] = "img/A/1.jpg 99"
    report = check(open_source(drawn.write(), as_it_is=True))
    assert report.blocking
    assert report.issues[0].blocking


def test_decoding_finds_truncated_images(layout):
    layout.fill(150)
    root = layout.write()
    file = root / "Img/img/Plain_Top/img_00000007.jpg"
    file.write_bytes(file.read_bytes()[:-150])
    manifest = open_source(root)
    assert check(manifest).issues == ()
    steps: list[tuple[int, int]] = []
    report = check(manifest, decode=True, progress=lambda *done: steps.append(done))
    (found,) = report.issues
    assert found.count == 1
    assert found.examples[0].startswith("Img/img/Plain_Top/img_00000007.jpg: ")
    assert not report.blocking
    assert steps[-1] == (150, 150)


def test_many_undecodable_images_are_harmful(layout):
    layout.fill(10)
    root = layout.write()
    file = root / "Img/img/Plain_Top/img_00000007.jpg"
    file.write_bytes(file.read_bytes()[:-150])
    assert check(open_source(root), decode=True).blocking


def test_the_report_is_plain_json(drawn):
    drawn.image("img/Stray/1.jpg")
    report = check(open_source(drawn.write()))
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["images"] == 4
    assert plain["harmful"] is False
    assert plain["classes"]["Dress"]["val"] == 1
    assert {odd["kind"]: odd["count"] for odd in plain["oddities"]} == {
        "image without a label line": 1,
        "image without a landmark line": 1,
        "image without a partition line": 1,
    }


def test_the_tables_hold_every_count_and_total(drawn):
    tables = {
        title: (headers, rows)
        for title, headers, rows in check(open_source(drawn.write())).tables()
    }
    headers, rows = tables["Images by class"]
    assert headers == ["class", "train", "val", "test", "none", "total"]
    assert rows[0] == ["Anorak", "1", "0", "1", "0", "2"]
    assert rows[-1] == ["total", "1", "1", "1", "1", "4"]
    assert tables["Landmarks"][1][0] == ["left collar", "3", "0", "0", "1"]
    assert len(tables["Issues"][1]) == 2
    for headers, rows in tables.values():
        assert all(len(row) == len(headers) for row in rows)
