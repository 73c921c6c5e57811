"""The report of a store made on the spot: what it shows, counts, refuses and escapes."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.analysis.answers import in_one_sentence
from bench.analysis.arms import effects
from bench.analysis.intervals import Estimate
from bench.analysis.load import load_arms
from bench.errors import BenchError
from bench.metrics.catalogue import classification
from bench.paper.published import no_information, published
from bench.report.cells import Measured, Table
from bench.report.figures import catalogue
from bench.report.figures.arms import differences
from bench.report.figures.classes import class_distribution
from bench.report.page import write_report
from bench.report.reuse import read_manifest
from bench.store.record import Landmarks, Predictions, TrialRecord
from bench.store.studies import RecordedData, StudyRecord
from bench.store.trials import Store
from bench.study.study import DesignKind
from tests.store.recorded import recorded

CLASSES, IMAGES, SEEDS = 6, 80, 4
SKILLS = {"gate=sigmoid": 0.5, "gate=none": 0.9, "gate=same": 0.5}


def record(identity: str, skill: float, seed: int, train: int = 100) -> TrialRecord:
    """A trial that is right on about a share `skill` of the images."""
    labels = np.random.default_rng(0).integers(0, CLASSES, IMAGES)
    rng = np.random.default_rng([seed, int(skill * 100), train])
    logits = rng.normal(0, 1, (IMAGES, CLASSES))
    logits[np.arange(IMAGES), labels] += 4 * (rng.random(IMAGES) < skill)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    true = rng.random((IMAGES, 8, 2)).astype("f4")
    names = np.array([f"{i}.jpg" for i in range(IMAGES)])
    return TrialRecord(
        id=identity,
        spec={},
        data={
            "source": "phantom", "fingerprint": "f", "class_names": list("abcdef"),
            "images": {"train": train, "val": 10, "test": IMAGES}, "train_counts": [20] * CLASSES,
            "unreadable": [{"image": "<b>bad</b>.jpg", "reason": "truncated"}],
            "mean_position_error": 0.2,
        },
        metrics=classification(probabilities, labels)
        | {"landmark_loss": 2.0, "gate_mean": 0.5, "gate_below_0.1": 0.1, "gate_above_0.9": 0.2,
           "gate_energy": 0.4},
        history=[(e, s, m, 3.0 / e) for e in (1, 2) for s in ("train", "val")
                 for m in ("loss", "category_loss", "landmarks_loss", "accuracy")],
        predictions=Predictions(names, labels, probabilities.astype("f4")),
        landmarks=Landmarks(names, np.zeros((IMAGES, 8), "i1"), true, true + np.float32(0.03)),
        environment={"bench": "0.1.0"},
    )  # fmt: skip


def study(name: str, arms: dict[str, dict[str, str]], **fields: Any) -> StudyRecord:
    said = {"title": "Gate & <script>alert(1)</script>", "description": "a | b"}
    return recorded(name, arms, **{"seeds": list(range(SEEDS))} | said | fields)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three arms of four seeds, one trial failed and one missing; and a study of the tables."""
    store = Store(tmp_path / "results")
    arms: dict[str, dict[str, str]] = {}
    for number, (name, skill) in enumerate(SKILLS.items()):
        arms[name] = {str(seed): f"{number}{seed}" for seed in range(SEEDS)}
        for seed in range(SEEDS):
            if (number, seed) not in ((2, 2), (2, 3)):
                store.write(record(f"{number}{seed}", skill, seed))
    store.write_failure("22", {"error": "FloatingPointError: <i>NaN</i>"})
    store.write_study(study("gates", arms))
    rows: dict[str, dict[str, str]] = {}
    for number, name in enumerate(
        ("Baseline-100", "Baseline-1000", "Baseline-5000", "RopaNet-10000")
    ):
        rows[name] = {str(seed): f"t{number}{seed}" for seed in range(SEEDS)}
        for seed in range(SEEDS):
            store.write(record(f"t{number}{seed}", 0.4 + 0.1 * number, seed, 10 * (number + 1)))
    tables = study("tables", rows, reproduces=["table_1", "table_2"], title="Tables")
    store.write_study(tables)
    return store


@pytest.fixture
def two_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds of figures instead of all, for what is not about them: each takes a second."""
    monkeypatch.setattr(catalogue, "FIGURES", [differences, class_distribution])


def test_effects_are_paired_and_judged(store: Store) -> None:
    arms = load_arms(store, store.studies()[0])
    found = {effect.arm: effect for effect in effects(arms, "gate=sigmoid", "accuracy")}
    better, same = found["gate=none"], found["gate=same"]
    assert better.settled and better.verdict == "better" and better.difference.mean > 0.2
    assert better.difference.low > 0
    mine, control = (a for a in arms if a.name in ("gate=none", "gate=sigmoid"))
    by_hand = [
        control.trials[s].metrics["accuracy"] - mine.trials[s].metrics["accuracy"] for s in range(4)
    ]
    assert abs(better.difference.mean) == pytest.approx(abs(np.mean(by_hand)))
    assert not same.settled and same.verdict.startswith("too few seeds to tell (2 of at least 3)")


def test_a_study_is_answered_in_a_sentence_by_what_its_verdicts_mean_or_by_their_number(
    store: Store,
) -> None:
    gates = store.studies()[0]
    arms = load_arms(store, gates)
    counted = in_one_sentence(gates, arms)
    assert counted.startswith("Of 2 compared with gate=sigmoid, 1 is better and 1 is open; the ")
    means = {"gate=none": {"better": "the gate hurts."}, "gate=same": {"better": "x"}}
    [none, _] = effects(arms, "gate=sigmoid", "accuracy")
    difference = f"{100 * none.difference.mean:+.1f} [{100 * none.difference.low:+.1f}, "
    asked = in_one_sentence(replace(gates, question="Does it?", answers=means), arms)
    assert asked.startswith(f"The gate hurts (gate=none {difference}")
    assert asked.endswith("in points of top-1 accuracy against gate=sigmoid; open: gate=same.")

    one = in_one_sentence(gates, [arm for arm in arms if arm.name != "gate=same"])
    assert one.startswith(f"gate=none is better than gate=sigmoid: {difference}")
    open_ = in_one_sentence(gates, [arm for arm in arms if arm.name != "gate=none"])
    assert open_.startswith("gate=same cannot be told from gate=sigmoid: ")
    assert in_one_sentence(gates, arms[:1]) == "Nothing can be compared with gate=sigmoid yet."


def test_a_section_opens_with_the_answer_and_ends_with_where_it_comes_from(
    store: Store, tmp_path: Path
) -> None:
    write_report(store, tmp_path / "report", ["gates"])
    for name, parts in (
        ("index.html", ('class="headline"', "figure-gates.effects", "figure-gates.arms",
                        "table-gates.arms", "<dl>", "table-gates.checklist")),
        ("report.md", ("**Of 2 compared", "gates.effects.png", "gates.arms.png",
                       "### Arms", "- control:", "### Reproducibility checklist")),
    ):  # fmt: skip
        text = (tmp_path / "report" / name).read_text()
        places = [text.index(part) for part in parts]
        assert places == sorted(places), name


@pytest.mark.usefixtures("two_figures")
def test_the_report_counts_what_failed_and_what_is_missing(store: Store, tmp_path: Path) -> None:
    write_report(store, tmp_path / "report", ["gates"])
    text = (tmp_path / "report" / "report.md").read_text()
    assert "12 planned, 10 finished, 1 failed, 1 missing" in text
    assert "gate=same, seed 2 crashed: FloatingPointError" in text
    assert "1 images could not be read" in text
    table = pd.read_csv(tmp_path / "report" / "tables" / "gates.arms.csv")
    assert table["seeds"].tolist() == [4, 4, 2] and table["seeds failed"].tolist() == [0, 0, 1]
    arms = load_arms(store, store.studies()[0])
    assert table["top-1 % mean"][1] == pytest.approx(100 * arms[1].estimate("accuracy").mean)


@pytest.mark.usefixtures("two_figures")
def test_the_published_figures_stand_beside_measured_ones_and_the_phantom_is_never_judged(
    store: Store, tmp_path: Path
) -> None:
    write_report(store, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report" / "tables" / "table_1.csv").set_index("row")
    assert table.loc["RopaNet-10000", "published top-3 %"] == 48.08
    assert table.loc["Baseline-1000", "N measured"] == 20
    verdicts = table["verdict top-3 %"].dropna()
    assert len(verdicts) == 4 and set(verdicts) == {"not comparable (phantom)"}
    assert table.loc["FashionNet", "source"].startswith("quoted: Liu et al. 2016")
    assert np.isnan(table.loc["FashionNet", "measured top-3 % mean"])
    bound = table.loc["no information (training frequencies)", "measured top-3 % mean"]
    assert 20 < bound < 80
    second = (tmp_path / "report" / "tables" / "table_2.tex").read_text()
    assert "\\toprule" in second and "\\%" in second


@pytest.mark.usefixtures("two_figures")
def test_the_papers_tables_read_as_printed_and_what_became_of_them_is_counted(
    store: Store, tmp_path: Path
) -> None:
    write_report(store, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report" / "tables" / "table_1.csv")
    assert table["row"][:5].tolist() == [row.name for row in published()["table_1"].rows]
    shown = (tmp_path / "report" / "tables" / "table_1.md").read_text().splitlines()[2]
    heads = [head.strip() for head in shown.strip("|").split("|")]
    assert heads[2:5] == ["published top-3 %", "measured top-3 %", "verdict top-3 %"]
    text = (tmp_path / "report" / "report.md").read_text()
    assert "beside measured ones: 10 not comparable. Arithmetic alone finds 2 impossible" in text
    quoted = pd.read_csv(tmp_path / "report" / "tables" / "quoted.csv")
    assert "WTBI" in set(quoted["row"]) and "WTBI" not in set(table["row"])


def test_a_table_is_turned_on_its_side_where_it_would_be_narrower() -> None:
    heads = tuple(f"place {number}" for number in range(12))
    rows = tuple(
        {"arm": arm} | {head: number for number, head in enumerate(heads, start=start)}
        for arm, start in (("a", 0), ("b", 100))
    )
    wide = Table("t", "", "", ("arm", *heads), rows)
    assert wide.turned().columns == ("by arm", "a", "b")
    assert wide.turned().shown()[1] == ["place 1", "1", "101"]
    for kept in (
        replace(wide, columns=("arm", *heads[:5])),
        replace(wide, columns=(*wide.columns, "verdict")),
        replace(wide, rows=rows * 7),
        replace(wide, rows=(rows[0], rows[0])),
    ):
        assert kept.turned() is kept


def test_a_compact_table_has_what_a_paper_prints_aligned_and_escaped() -> None:
    differences = [Estimate(mean, mean - 0.1, mean + 0.1, 5, 80, 0, 0, 0) for mean in (-0.2, 0.005)]
    rows = tuple(
        {"arm": arm, "difference": Measured(difference, True, signed=True), "p": 0.01,
         "verdict": "cannot tell at 5 seeds; 9 would do"}
        for arm, difference in zip(("a_b", "x & y"), differences, strict=True)
    )  # fmt: skip
    table = Table("t", "", "", ("arm", "difference", "p", "verdict"), rows)
    assert table.compact is not None and "% Fits a column." in table.compact
    body = [line for line in table.compact.splitlines() if line.endswith(r"seeds \tabularnewline")]
    numbers = [line.split(" & ")[-2] for line in body]
    assert [line.split(" & ")[0] for line in body[:1]] == [r"a\_b"]
    assert r"x \& y" in body[1] and "0.01" not in table.compact
    assert numbers == [
        r"$-$20.0 [$-$30.0, $-$10.0]",
        r"\phantom{0}$+$0.5 [\phantom{0}$-$9.5, $+$10.5]",
    ]
    wide = tuple(f"metric {number}" for number in range(20))
    many = {"arm": "a" * 20} | dict.fromkeys(wide, Measured(differences[0], True))
    cut = replace(table, columns=("arm", *wide), rows=(many,) * 30).compact
    assert cut is not None and "% Left out for want of room: " in cut and "metric 19." in cut
    assert replace(table, columns=("arm", "verdict")).compact is None
    assert replace(table, columns=("arm", "verdict")).endings == ("csv", "md", "tex")


@pytest.mark.usefixtures("two_figures")
def test_on_deepfashion_at_the_papers_scale_a_row_is_judged(store: Store, tmp_path: Path) -> None:
    real = RecordedData("deepfashion", "DeepFashion", "f", release_differences=())
    tables = next(s for s in store.studies() if s.name == "tables")
    store.write_study(replace(tables, data=real, profile="paper"))

    def verdicts() -> dict[str, str]:
        write_report(store, tmp_path / "report", ["tables"])
        table = pd.read_csv(tmp_path / "report" / "tables" / "table_1.csv").set_index("row")
        return dict(table["verdict top-3 %"].dropna())

    assert set(verdicts().values()) == {"not comparable (80 test images)"}
    store.write_study(replace(tables, data=real, profile="laptop"))
    assert set(verdicts().values()) == {"not comparable (profile laptop)"}


@pytest.mark.usefixtures("two_figures")
def test_what_is_not_the_official_release_is_called_that_and_never_judged(
    store: Store, tmp_path: Path
) -> None:
    tables = next(s for s in store.studies() if s.name == "tables")
    counts, names = (1500, 500), ("Dress", "Robe")
    older = RecordedData("deepfashion", "DeepFashion (2,000 images)", "f", None, counts, names)
    unknown = RecordedData("deepfashion", "DeepFashion (2,000 images)", "f")
    for data, called, verdict in (
        (older, "(2,000 images, 2 categories; the official release has 289,222 and 46)",
         "not the official release: 2,000 images instead of 289,222"),
        (unknown, "(not known to be the official release)",
         "not known to be the official release"),
    ):  # fmt: skip
        store.write_study(replace(tables, data=data, profile="paper"))
        write_report(store, tmp_path / "report", ["tables"])
        table = pd.read_csv(tmp_path / "report" / "tables" / "table_1.csv")
        assert set(table["verdict top-3 %"].dropna()) == {f"not comparable ({verdict})"}
        text = (tmp_path / "report" / "report.md").read_text().replace("\\", "")
        assert f"photographs in DeepFashion's layout {called}" in text
        assert "DeepFashion (2,000 images)" not in text
        assert f"not comparable with published ones ({verdict})" in text
        manifest = read_manifest(tmp_path / "report")
        assert manifest is not None
        for figure in manifest.figures["tables"]:
            assert figure["caption"].endswith(f"layout {called}; profile paper.")


@pytest.mark.usefixtures("two_figures")
def test_a_trials_own_record_of_the_data_counts(store: Store, tmp_path: Path) -> None:
    tables = next(s for s in store.studies() if s.name == "tables")
    official = RecordedData("deepfashion", "DeepFashion", "f", release_differences=())
    rows = dict.fromkeys(range(SEEDS), "")
    for seed in rows:
        rows[seed] = f"own{seed}"
        made = record(rows[seed], 0.5, seed)
        differs = {"release_differences": ["Dress 1 images instead of 72,158"]}
        store.write(replace(made, data=made.data | differs))
    arm = replace(tables.arms[0], trials=rows)
    store.write_study(replace(tables, data=official, profile="paper", arms=(arm,)))
    write_report(store, tmp_path / "report", ["tables"])
    table = pd.read_csv(tmp_path / "report" / "tables" / "table_1.csv")
    assert set(table["verdict top-3 %"].dropna()) == {
        "not comparable (not the official release: Dress 1 images instead of 72,158)"
    }


@pytest.mark.usefixtures("two_figures")
def test_both_protocols_stand_side_by_side(store: Store, tmp_path: Path) -> None:
    write_report(store, tmp_path / "report", ["tables"])
    table = pd.read_csv(tmp_path / "report" / "tables" / "tables.protocols.csv")
    first = table[(table["row"] == "Baseline-100") & (table["metric"] == "top-3 %")].iloc[0]
    trials = load_arms(store, store.studies()[1])[0].trials.values()
    hits = np.stack([trial.outcomes.ranks < 3 for trial in trials])
    assert first["whole test set mean"] == pytest.approx(100 * hits.mean())
    assert float(first["last batch"]) == pytest.approx(100 * hits[:, -4:].mean(), abs=0.05)
    by_batch = hits.reshape(4, 20, 4).sum(axis=2)
    share = float(first["batches with 3 of 4"].rstrip(" %"))
    assert share == pytest.approx(100 * (by_batch == 3).mean(), abs=0.05)


@pytest.mark.usefixtures("two_figures")
def test_the_checklist_is_filled_from_the_records_and_the_audit_is_there(
    store: Store, tmp_path: Path
) -> None:
    write_report(store, tmp_path / "report", ["gates"])
    tables = tmp_path / "report" / "tables"
    answers = dict(pd.read_csv(tables / "gates.checklist.csv").to_numpy())
    assert answers["test images"] == "80" and answers["trials still missing"] == "1"
    assert answers["failed trials"] == "gate=same, seed 2"
    assert answers["Keras"] == "not recorded" and answers["bench"] == "0.1.0"
    audit = pd.read_csv(tables / "audit.csv")
    impossible = audit[audit["verdict"] == "impossible"]
    assert set(impossible["row"]) == {"Baseline-5000", "Baseline-1000"}


def test_seeds_that_draw_their_images_are_named_and_their_intervals_explained(
    store: Store, tmp_path: Path
) -> None:
    arms: dict[str, dict[str, str]] = {}
    for name, skill in (("Baseline-100", 0.5), ("other", 0.9)):
        arms[name] = {str(seed): f"{name}{seed}" for seed in range(SEEDS)}
        for seed in range(SEEDS):
            made = record(f"{name}{seed}", skill, seed)
            names = np.array([f"{seed}/{image}" for image in made.predictions.images])
            position = made.data | {"mean_position_error": 0.1 * (1 + seed)}
            store.write(
                replace(
                    made,
                    data=position,
                    spec={"vary": ["weights", "order", "sampling"]},
                    predictions=replace(made.predictions, images=names),
                    landmarks=None
                    if made.landmarks is None
                    else replace(made.landmarks, images=names),
                )
            )
    store.write_study(study("drawn", arms, reproduces=["table_1"]))
    write_report(store, tmp_path / "report", ["drawn"])
    tables = tmp_path / "report" / "tables"
    answers = dict(pd.read_csv(tables / "drawn.checklist.csv").to_numpy())
    assert answers["what varies with a seed"] == (
        "initial weights, order of the training images, the training, validation and test images "
        "themselves"
    )
    assert "intervals count the seeds" in answers["intervals"]
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.count("Where each seed draws its own images, intervals count the seeds") > 4
    effect = pd.read_csv(tables / "drawn.effects.csv").iloc[0]
    assert effect["paired seeds"] == SEEDS and effect["verdict"] == "better"
    assert "Tested on other images" not in text
    protocols = pd.read_csv(tables / "drawn.protocols.csv")
    assert protocols["last batch"].notna().all()
    landmarks = pd.read_csv(tables / "drawn.landmarks.csv")
    assert landmarks["NE of the mean position"].tolist() == pytest.approx([0.25, 0.25])
    manifest = read_manifest(tmp_path / "report")
    assert manifest is not None
    captions = {figure["name"]: figure["caption"] for figure in manifest.figures["drawn"]}
    assert "intervals count the seeds" in captions["drawn.effects"]

    write_report(store, tmp_path / "usual", ["gates"])
    answers = dict(pd.read_csv(tmp_path / "usual/tables/gates.checklist.csv").to_numpy())
    assert answers["what varies with a seed"] == "initial weights, order of the training images"
    assert "draws its own" not in (tmp_path / "usual" / "report.md").read_text()


def test_the_page_is_self_contained_and_harmless(store: Store, tmp_path: Path) -> None:
    write_report(store, tmp_path / "report")
    page, library = (tmp_path / "report" / "index.html").read_text().split('<script type="module">')
    assert library.count("</script") == 1 and "Content-Security-Policy" in page
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page
    assert "<b>bad</b>" not in page and "<i>NaN</i>" not in page
    linked = re.findall(r"""(?:src|href)=["'](?!data:|#)([^"']*)""", page)
    assert linked and all((tmp_path / "report" / path).is_file() for path in linked)
    figures = sorted(path.name for path in (tmp_path / "report" / "figures").glob("*.png"))
    assert "gates.effects.png" in figures and "tables.category_loss.png" in figures
    assert all((tmp_path / "report" / "figures" / f).with_suffix(".svg").exists() for f in figures)


def test_every_figures_caption_ends_with_data_and_profile(store: Store, tmp_path: Path) -> None:
    write_report(store, tmp_path / "report", ["gates"])
    manifest = read_manifest(tmp_path / "report")
    assert manifest is not None and len(manifest.figures["gates"]) > 5
    for figure in manifest.figures["gates"]:
        assert figure["caption"].endswith("Data: phantom (not DeepFashion); profile laptop.")
        assert figure["caption"].count("Data: ") == 1


@pytest.mark.usefixtures("two_figures")
def test_a_ledger_study_ranks_its_rows_and_names_those_without_a_difference(
    store: Store, tmp_path: Path
) -> None:
    gates = next(s for s in store.studies() if s.name == "gates")
    store.write_study(replace(gates, design=DesignKind.LEDGER))
    write_report(store, tmp_path / "report", ["gates"])
    table = pd.read_csv(tmp_path / "report" / "tables" / "gates.effects.csv")
    sizes = table[table["metric"] == "top-1 (points)"]["difference mean"].abs()
    assert sizes.is_monotonic_decreasing and len(sizes) == 2
    same = table[table["verdict"].str.startswith("the same")]["arm"]
    assert [name.split(":")[0] for name in same] == [f"row {n}" for n in (1, 2, 5, 7, 22)]


def test_an_axis_of_numbers_is_drawn_as_a_curve(store: Store, tmp_path: Path) -> None:
    sizes, gates = ["1000", "100", "10"], ["sigmoid", "none"]
    arms: dict[str, dict[str, str]] = {}
    for gate, size in itertools.product(gates, sizes):
        name = f"{gate}, train_size={size}"
        arms[name] = {str(seed): f"{gate}{size}{seed}" for seed in range(2)}
        for seed in range(2):
            skill = 0.2 * len(size) + 0.1 * (gate == "none")
            store.write(record(f"{gate}{size}{seed}", skill, seed))
    axes = [{"name": "gate", "levels": gates}, {"name": "data.train_size", "levels": sizes}]
    made = study("sizes", arms, axes=axes, seeds=[0, 1])
    plain = replace(
        made,
        arms=tuple(
            replace(arm, levels={"gate": gate, "data.train_size": size})
            for arm, (gate, size) in zip(made.arms, itertools.product(gates, sizes), strict=True)
        ),
    )
    store.write_study(plain)
    write_report(store, tmp_path / "report", ["sizes"])
    drawn = pd.read_csv(tmp_path / "report" / "figures" / "sizes.by_data.train_size.csv")
    assert sorted(drawn["data.train_size"].unique()) == [10, 100, 1000]
    measured = {arm.name: arm.estimate("accuracy").mean for arm in load_arms(store, plain)}
    row = drawn[(drawn["line"] == "none") & (drawn["data.train_size"] == 100)].iloc[0]
    assert row["mean"] == pytest.approx(100 * measured["none, train_size=100"])
    assert not (tmp_path / "report" / "figures" / "sizes.by_gate.csv").exists()

    crossed = pd.read_csv(tmp_path / "report" / "figures" / "sizes.interactions.csv")
    assert len(crossed) == 6 and set(crossed["arms"]) == {1}
    cell = crossed[(crossed["its level"] == "none") & (crossed["its level there"].eq(100))]
    assert cell["accuracy"].item() == pytest.approx(row["mean"])


@pytest.mark.usefixtures("two_figures")
def test_the_latex_compiles_whatever_the_names_hold(store: Store, tmp_path: Path) -> None:
    hostile = next(s for s in store.studies() if s.name == "gates")
    title = r"\input{/etc/passwd} $x_1^2$ 50 % & #1 {~} 日本"
    store.write_study(replace(hostile, title=title))
    write_report(store, tmp_path / "report", formats=["latex"])
    assert not (tmp_path / "report" / "index.html").exists()
    text = (tmp_path / "report" / "report.tex").read_text()
    assert r"\textbackslash{}input\{/etc/passwd\}" in text and r"\$x\_1" in text
    engine = shutil.which("pdflatex")
    if engine is None:
        pytest.skip("no pdflatex on this machine: the LaTeX was written and not compiled")
    compact = sorted((tmp_path / "report" / "tables").glob("*.compact.tex"))
    for name, options, fitting in (
        ("page", "", compact),
        ("columns", "[twocolumn]", [p for p in compact if "Fits a column" in p.read_text()]),
    ):
        inputs = (rf"\noindent\input{{tables/{path.name}}}\par" for path in fitting)
        (tmp_path / "report" / f"{name}.tex").write_text(
            rf"\documentclass{options}{{article}}\usepackage{{booktabs}}\begin{{document}}"
            + "\n".join(inputs)
            + r"\end{document}"
        )
        assert len(fitting) > 1
    for name in ("report", "page", "columns"):
        done = subprocess.run(
            [engine, "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"],
            cwd=tmp_path / "report", capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
        assert name == "report" or r"Overfull \hbox" not in done.stdout, name


def test_the_same_store_gives_the_same_report(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(store, tmp_path / name, ["gates"])
    for path in (tmp_path / "one").rglob("*.*"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes(), path.name


@pytest.mark.usefixtures("two_figures")
def test_what_has_not_changed_is_not_drawn_again(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "report"
    made = write_report(store, out)
    assert not made.unchanged
    # No two figures have one name: the later would take the place of the earlier.
    assert len(list((out / "figures").glob("*.png"))) == made.figures
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    assert write_report(store, out).unchanged
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == before

    # One more trial of one study: its figures are new, the other's are taken over as they are.
    pages = (out / "index.html").read_bytes()
    store.write(record("22", 0.5, 2))
    assert not write_report(store, out).unchanged
    assert (out / "index.html").read_bytes() != pages
    times = {path: path.stat().st_mtime_ns for path in (out / "figures").iterdir()}
    assert times.keys() == {path for path in before if path.parent.name == "figures"}
    assert all((times[p] == before[p]) == p.name.startswith("tables.") for p in times)

    # A file that someone touched, or another form of the page, is made anew.
    (out / "tables" / "table_1.csv").write_text("mine")
    assert not write_report(store, out).unchanged
    assert (out / "tables" / "table_1.csv").read_text() != "mine"
    assert not write_report(store, out, formats=["markdown"]).unchanged
    assert not (out / "index.html").exists()


@pytest.mark.usefixtures("two_figures")
def test_a_report_replaces_a_report_and_nothing_else(store: Store, tmp_path: Path) -> None:
    write_report(store, tmp_path / "report", ["gates"], ["markdown"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BenchError, match="holds no report"):
        write_report(store, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(BenchError, match="no study `gaits`"):
        write_report(store, tmp_path / "report", ["gaits"])


def test_the_published_tables_are_the_papers() -> None:
    first = {row.name: row.values for row in published()["table_1"].rows}
    assert first["Baseline-5000"] == {"top_3": 0.8089, "top_5": pytest.approx(0.946)}
    assert published()["table_2"].rows[0].values == {
        "precision_pooled": 0.93,
        "recall_pooled": 0.04,
    }
    bound = no_information(("accuracy", "top_3", "top_5"))
    # PAPER: always answering the most frequent classes scores 24.95, 46.19 and 58.33 %.
    assert [round(100 * bound[m], 2) for m in ("accuracy", "top_3", "top_5")] == [
        24.95,
        46.19,
        58.33,
    ]
