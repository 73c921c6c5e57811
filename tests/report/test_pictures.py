"""Figures of records made on the spot: their numbers by hand, and hostile or missing data."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.analysis.arms import Arm
from bench.analysis.load import load_arms
from bench.report.drawing import Figure, FigureMaker, draw, file_key, literal
from bench.report.figures.chosen import chosen
from bench.report.figures.classes import class_distribution
from bench.report.figures.confusion import confusion
from bench.report.figures.examples import examples
from bench.report.figures.gate_maps import gate_maps
from bench.report.figures.gates import gate_energy, gate_energy_by_epoch, openness
from bench.report.figures.photos import read_photo
from bench.store.record import GateRecord, Landmarks, Predictions, TrialRecord
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from tests.store.recorded import recorded

CLASSES = ["$x^2$ & \\frac{", "<script>_b", "skirt\n$", "never"]
LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
ANSWERS = [
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2],  # seed 0: right on images 0-5, 9 and 11
    [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],  # seed 1: right on images 0-4
]
CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.9, 0.9, 0.5, 0.4, 0.6, 0.4])
NAMES = np.array([f"img/{i:02d}.png" for i in range(12)], dtype=object)


def probabilities(answers: list[int]) -> np.ndarray:
    """The answer's confidence, and the rest shared by the other three classes."""
    rows = np.repeat(((1 - CONFIDENCE) / 3)[:, None], 4, axis=1)
    rows[np.arange(12), answers] = CONFIDENCE
    return rows.astype("f4")


def record(seed: int, *, gate: bool = True, images: np.ndarray = NAMES) -> TrialRecord:
    visibility = np.zeros((12, 8), "i1")
    visibility[:, 4:6] = -1
    visibility[:, 7] = 2
    true = np.full((12, 8, 2), 0.5, "f4")
    true[:, 4:6] = np.nan
    predicted = np.full((12, 8, 2), 0.5, "f4") + np.array([0.03, 0.04], "f4")
    # The further down the list, the further open; seed 1 is further open throughout.
    means = np.arange(12, dtype="f4") / 20 + 0.1 * seed
    maps = np.broadcast_to(means[:, None, None], (12, 2, 3)).astype("f2")
    return TrialRecord(
        id=f"s{seed}{'g' if gate else 'n'}",
        spec={},
        data={"class_names": CLASSES, "images": {"train": 20, "val": 6, "test": 12}},
        metrics={},
        history=[(e, "val", "gate_energy", 0.1 * e + seed) for e in (1, 2)] if gate else [],
        predictions=Predictions(images, LABELS, probabilities(ANSWERS[seed])),
        landmarks=Landmarks(images, visibility, true, predicted),
        gate=GateRecord(images, means, means**2, maps) if gate else None,
    )


def study(root: Path | None = None, **data: Any) -> StudyRecord:
    arms = {"gate=sigmoid": ("s0g", "s1g"), "gate=none": ("s0n", "s1n")}
    known = {
        "label": "phantom (12 images)",
        "class_names": CLASSES,
        "class_counts": [60, 30, 10, 0],
    }
    place = {"root": str(root)} if root else {}
    trials = {name: dict(zip("01", ids, strict=True)) for name, ids in arms.items()}
    return recorded("gates", trials, known | place | data)


def figure(make: FigureMaker, study: StudyRecord, arms: Sequence[Arm] = ()) -> Figure | None:
    """The figure that a function makes; None where it makes none."""
    found = list(draw(make, study, arms))
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture
def arms(tmp_path: Path) -> list[Arm]:
    """An arm with a gate and one without, two seeds each, through a store."""
    store = Store(tmp_path / "results")
    for seed in (0, 1):
        for gate in (True, False):
            store.write(record(seed, gate=gate))
    return load_arms(store, study())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The images of the records, 40 x 20 pixels each."""
    root = tmp_path / "data"
    (root / "img").mkdir(parents=True)
    for name in NAMES:
        Image.new("RGB", (40, 20), (200, 30, 30)).save(root / name)
    return root


def drawn(picture: Figure | None, folder: Path) -> str:
    """Every text of a picture's SVG, which must be well-formed; its PNG is written too."""
    assert picture is not None
    png = picture.write(folder)
    with Image.open(png) as image:
        assert image.width > 100
    assert len(pd.read_csv(png.with_suffix(".csv"))) == len(picture.data)
    return "\n".join(ET.parse(png.with_suffix(".svg")).getroot().itertext())


def test_classes_are_in_order_and_parted_into_head_and_tail(tmp_path: Path) -> None:
    names = ["rare", "most", "absent", "some", "few"]
    picture = figure(class_distribution, study(class_names=names, class_counts=[1, 60, 0, 30, 9]))
    assert picture is not None
    table = picture.data.set_index("class")
    assert list(table.index) == ["most", "some", "few", "rare", "absent"]
    assert table["share"].tolist() == [0.6, 0.3, 0.09, 0.01, 0.0]
    assert table["cumulative share"].tolist() == pytest.approx([0.6, 0.9, 0.99, 1, 1])
    assert table["part"].tolist() == ["head", "middle", "middle", "tail", "absent"]
    assert "100 images" in picture.caption and "phantom" in picture.caption
    assert "4 classes that occur, 1 that do not" in picture.caption
    text = drawn(picture, tmp_path)
    assert "60 (60.0 %)" in text and "none" in text


def test_classes_need_the_counts_and_may_be_very_many(tmp_path: Path) -> None:
    older = study(class_counts=None)
    assert figure(class_distribution, older) is None
    names = [f"class {i}" for i in range(5000)]
    picture = figure(class_distribution, study(class_names=names, class_counts=range(5000)))
    assert picture is not None and len(picture.data) == 100
    assert picture.data["images"].iloc[[0, -1]].tolist() == [4999, 0]
    assert "Not drawn: the 4900 classes" in picture.caption
    drawn(picture, tmp_path)


def test_confusion_sums_the_seeds_and_says_what_answers_collapse_onto(
    arms: list[Arm], tmp_path: Path
) -> None:
    picture = figure(confusion, study(), [arms[0]])
    assert picture is not None
    cells = picture.data.set_index(["true class", "answered class"])
    zero, one, two, never = CLASSES
    counts = cells["answers"].unstack().loc[[zero, one, two], [zero, one, two]]
    # Seed 0: 6 0 0 / 3 1 0 / 1 0 1; seed 1: 5 1 0 / 4 0 0 / 2 0 0.
    assert counts.to_numpy().tolist() == [[11, 1, 0], [7, 1, 0], [3, 0, 1]]
    assert cells.loc[(one, zero), "share of true class"] == 7 / 8
    assert never not in set(picture.data["true class"])
    # By frequency among the test images: 12, 8 and 4.
    assert picture.data["true class"].drop_duplicates().tolist() == [zero, one, two]
    caption = picture.caption
    assert "Left out: 1 class that" in caption and "2 seeds added up, 12 test images" in caption
    assert f"Answered most: {zero}, 87.5 % of the answers, where 50.0 %" in caption
    assert "never answered: 0 of the 3" in caption
    text = drawn(picture, tmp_path)
    assert f"{zero} (12)" in text and "<script>_b (8)" in text and "skirt\ufffd$ (4)" in text


def test_a_class_that_is_answered_but_never_true_keeps_its_column(
    arms: list[Arm], tmp_path: Path
) -> None:
    trial = arms[0].trials[0]
    said = replace(trial.read().predictions, labels=np.where(LABELS == 2, 1, LABELS))
    changed = replace(record(0), predictions=said)
    only = replace(arms[0], trials={0: replace(trial, read=lambda: changed)})
    picture = figure(confusion, study(), [only])
    assert picture is not None
    row = picture.data[picture.data["true class"] == CLASSES[2]]
    assert row["answers"].tolist() == [0, 0, 0] and row["share of true class"].isna().all()
    drawn(picture, tmp_path)


def test_images_are_chosen_by_confidence_and_path() -> None:
    # Right: 0, 1, 2, 3, 4, 5, 9, 11 by falling confidence; 9 and 11 tie, 3 and 4 tie.
    # Wrong: 6, 7 (tie at 0.9), 10, 8.
    found = [(one.row, one.right, one.standing) for one in chosen(record(0).predictions)]
    assert found == [
        (0, True, "most confident"), (3, True, "median"), (11, True, "least confident"),
        (6, False, "most confident"), (7, False, "median"), (8, False, "least confident"),
    ]  # fmt: skip
    swapped = NAMES.copy()
    swapped[[6, 7]] = swapped[[7, 6]]
    again = chosen(record(0, images=swapped).predictions)
    assert [one.row for one in again][3:] == [7, 6, 8]


@pytest.mark.parametrize(
    ("wrong", "standings"),
    [
        (0, []),
        (1, ["most confident"]),
        (2, ["most confident", "least confident"]),
        (3, ["most confident", "median", "least confident"]),
    ],
)
def test_fewer_images_are_shown_where_there_are_fewer(wrong: int, standings: list[str]) -> None:
    answers = np.where(np.arange(12) < wrong, 3, LABELS)
    said = Predictions(NAMES, LABELS, probabilities(answers.tolist()))
    found = [one for one in chosen(said) if not one.right]
    assert [one.standing for one in found] == standings
    assert len({one.row for one in found}) == wrong


def test_examples_give_what_they_draw(arms: list[Arm], root: Path, tmp_path: Path) -> None:
    picture = figure(examples, study(root), [arms[0]])
    assert picture is not None
    table = picture.data.set_index("shown as")
    assert len(table) == 6 and set(table["fault"]) == {""}
    row = table.loc["wrong, least confident"]
    assert row["image"] == "img/08.png" and row["answered class"] == CLASSES[0]
    assert row["true class"] == CLASSES[1] and row["probability 1"] == pytest.approx(0.5)
    assert row["rank of true class"] == 2 and "class 5" not in table
    # Each visible landmark is off by (0.03, 0.04).
    assert row["landmark_ne"] == pytest.approx(0.05)
    assert row["left collar predicted y"] == pytest.approx(0.54)
    assert np.isnan(row["right hem true x"]) and np.isnan(row["left waistline predicted x"])
    caption = picture.caption
    assert "seed 0" in caption and "3 of 8 right and 3 of 4 wrong answers, of 12" in caption
    assert "image not shown" not in drawn(picture, tmp_path)
    assert read_photo(study(root), "img/00.png").size == (40, 20)


@pytest.mark.parametrize(("source", "size"), [("folder", (20, 40)), ("deepfashion", (40, 20))])
def test_an_image_is_shown_as_it_was_trained_on(
    root: Path, source: str, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(root / "turned.png", exif=exif)
    record = study(root)
    shown = replace(record, data=replace(record.data, source=source))
    assert read_photo(shown, "turned.png").size == size


def test_images_that_cannot_be_shown_are_grey_boxes_that_say_why(
    arms: list[Arm], root: Path, tmp_path: Path
) -> None:
    (root / NAMES[0]).unlink()
    (root / NAMES[3]).write_bytes(b"no image")
    (root / NAMES[6]).unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    (root / NAMES[6]).symlink_to(tmp_path / "private.png")
    picture = figure(examples, study(root), [arms[0]])
    assert picture is not None
    faults = picture.data.set_index("image")["fault"]
    assert faults["img/00.png"] == "there is no such file"
    assert faults["img/03.png"] == "not a JPEG, PNG, WebP or BMP file"
    assert faults["img/06.png"] == "its path leads out of the data's folder"
    assert faults["img/07.png"] == ""
    assert drawn(picture, tmp_path).count("image not shown") == 3
    older = figure(examples, study(), [arms[0]])
    assert older is not None and "does not say where" in older.data["fault"][0]
    drawn(older, tmp_path)


@pytest.mark.parametrize("path", ["../private.png", "img/../../private.png", "{outside}"])
def test_a_path_that_leads_out_of_the_data_is_not_opened(
    root: Path, tmp_path: Path, path: str
) -> None:
    outside = tmp_path / "private.png"
    Image.new("RGB", (8, 8)).save(outside)
    photo = read_photo(study(root), path.format(outside=outside))
    assert photo.pixels is None and "leads out" in photo.fault
    assert read_photo(study(root), "img").fault == "there is no such file"
    assert "cannot be followed" in read_photo(study(root), "a\0b").fault


def test_gate_maps_show_the_same_images_and_their_gates(
    arms: list[Arm], root: Path, tmp_path: Path
) -> None:
    picture, same = (
        figure(gate_maps, study(root), [arms[0]]),
        figure(examples, study(root), [arms[0]]),
    )
    assert picture is not None and same is not None
    assert picture.data["image"].drop_duplicates().tolist() == same.data["image"].tolist()
    assert len(picture.data) == 6 * 2 * 3
    eighth = picture.data[picture.data["image"] == "img/08.png"]
    assert eighth["gate"].tolist() == pytest.approx([0.4] * 6, abs=1e-3)
    assert eighth["gate mean"].iloc[0] == pytest.approx(0.4)
    assert eighth["energy passed"].iloc[0] == pytest.approx(0.16)
    assert eighth[["row", "column"]].iloc[-1].tolist() == [1, 2]
    text = drawn(picture, tmp_path)
    assert "energy passed 0.160" in text and "gate, mean over channels" in text
    assert figure(gate_maps, study(root), [arms[1]]) is None


def test_a_gate_without_contrast_is_not_drawn_as_structure(arms: list[Arm], root: Path) -> None:
    trial = arms[0].trials[0]
    whole = trial.read()
    assert whole.gate is not None
    noise = np.random.default_rng(0).normal(0.5, 0.001, (12, 2, 3)).astype("f2")
    flat = replace(whole, gate=replace(whole.gate, maps=noise))
    only = replace(arms[0], trials={0: replace(trial, read=lambda: flat)})
    picture = figure(gate_maps, study(root), [only])
    assert picture is not None and "span 0.45 to 0.55" in picture.caption


def test_energy_by_class_is_the_mean_over_seeds_and_images(arms: list[Arm], tmp_path: Path) -> None:
    picture = figure(gate_energy, study(), arms)
    assert picture is not None
    assert set(picture.data["arm"]) == {"gate=sigmoid"}
    # Images 10 and 11 are of class 2: gates 0.5 and 0.55 at seed 0, 0.6 and 0.65 at seed 1.
    first = picture.data.iloc[0]
    assert first["class"] == CLASSES[2] and first["images"] == 2 and first["seeds"] == 2
    low, high = (0.5**2 + 0.55**2) / 2, (0.6**2 + 0.65**2) / 2
    assert first["energy passed"] == pytest.approx((low + high) / 2)
    assert first[["lowest", "highest"]].tolist() == pytest.approx([low, high])
    assert picture.data["energy passed"].is_monotonic_decreasing
    assert "n = 2 seeds an arm, 12 test images" in picture.caption
    assert "<script>_b (4)" in drawn(picture, tmp_path)
    assert figure(gate_energy, study(), arms[1:]) is None


def test_energy_by_epoch_is_drawn_where_the_history_has_it(arms: list[Arm], tmp_path: Path) -> None:
    picture = figure(gate_energy_by_epoch, study(), arms)
    assert picture is not None
    assert picture.data.to_dict("list") == {
        "arm": ["gate=sigmoid"] * 4,
        "seed": [0, 0, 1, 1],
        "epoch": [1, 2, 1, 2],
        "energy passed": [0.1, 0.2, 1.1, 1.2],
    }
    assert "6 validation images" in picture.caption
    drawn(picture, tmp_path)
    assert figure(gate_energy_by_epoch, study(), arms[1:]) is None


def test_openness_bins_each_seeds_images_by_their_gate(arms: list[Arm], tmp_path: Path) -> None:
    picture = figure(openness, study(), arms)
    assert picture is not None
    table = picture.data
    # Twelve images make two bins of six: images 0-5 and 6-11, at either seed.
    assert table["images"].tolist() == [6, 6] and table["to %"].tolist() == [50, 100]
    assert table["gate mean"].tolist() == pytest.approx([0.175, 0.475])
    # Right: 6 and 5 of the first six, 2 and 0 of the last.
    assert table["accuracy"].tolist() == pytest.approx([11 / 12, 2 / 12])
    assert (table["low"] < table["accuracy"]).all() and (table["accuracy"] < table["high"]).all()
    # Two seeds that differ by a third say little: the t interval covers everything.
    assert table.loc[1, ["low", "high"]].tolist() == [0.0, 1.0]
    drawn(picture, tmp_path)

    alone = figure(openness, study(), [replace(arms[0], trials={1: arms[0].trials[1]})])
    assert alone is not None
    # Wilson's interval of 5 of 6, by its formula with z = 1.96.
    p, n, z = 5 / 6, 6, 1.959964
    middle, half = p + z * z / 12, z * np.sqrt(p * (1 - p) / n + z * z / 144)
    expected = [(middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)]
    assert alone.data.loc[0, ["low", "high"]].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_gate_alike_for_all_images_has_no_openness(arms: list[Arm]) -> None:
    trial = arms[0].trials[0]
    whole = trial.read()
    assert whole.gate is not None
    alike = replace(whole, gate=replace(whole.gate, mean=np.full(12, 0.5, "f4")))
    only = replace(arms[0], trials={0: replace(trial, read=lambda: alike)})
    assert figure(openness, study(), [only]) is None


def test_an_arm_without_trials_has_no_pictures(arms: list[Arm]) -> None:
    empty = replace(arms[0], trials={})
    for make in (confusion, examples, gate_maps, gate_energy, gate_energy_by_epoch, openness):
        assert figure(make, study(), [empty]) is None
        assert figure(make, study(), []) is None


def test_the_same_records_give_the_same_files(arms: list[Arm], root: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for picture in (
            figure(class_distribution, study()),
            figure(confusion, study(), [arms[0]]),
            figure(examples, study(root), [arms[0]]),
            figure(gate_maps, study(root), [arms[0]]),
            figure(gate_energy, study(), arms),
            figure(gate_energy_by_epoch, study(), arms),
            figure(openness, study(), arms),
        ):
            drawn(picture, tmp_path / name)
    written = sorted((tmp_path / "one").iterdir())
    # The confusion matrix is a chart besides its picture, its vectors and its table.
    assert len(written) == 7 * 3 + 1
    for path in written:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_text_from_data_is_drawn_letter_by_letter() -> None:
    assert literal("a$b$\\frac\n") == "a\\$b\\$\\frac\ufffd"
    assert literal("x" * 40, 10) == "x" * 9 + "…"


def test_arms_of_like_names_get_files_of_their_own() -> None:
    named = recorded("s", {n: {} for n in ("a b", "A/B", "../..", "gate=none", "a b" * 99)})
    keys = [file_key(named, arm.name) for arm in named.arms]
    assert keys[:4] == ["a-b_1", "a-b_2", "_3", "gate=none"]
    assert len(set(keys)) == 5 and all("/" not in key and len(key) < 70 for key in keys)
