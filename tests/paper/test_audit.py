"""What arithmetic alone says of published figures: of this paper's, and of one made up here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from bench.errors import BenchError
from bench.paper.audit import Claims, Finding, audit, load_claims
from bench.paper.published import published
from bench.paper.rounding import Figure

OTHER = """
paper: Another paper
class_counts: {cat: 50, dog: 30, cow: 20, unicorn: 0}
batch_size: 8
tables:
  main:
    source: Table 3
    unit: percent
    kinds: {acc: top-1, top_2: top-2, f1: other}
    rows:
      Ours: {test_size: 40, train_size: 900, figures: {acc: "72.5", top_2: "87.5", f1: "0.1"}}
      Small: {test_size: 40, train_size: 300, figures: {acc: "45.0", top_2: "40.0"}}
      Theirs: {test_size: 7, quoted_from: them, figures: {acc: "71.42"}}
  pooled:
    source: Table 4
    unit: fraction
    kinds: {p: pooled-precision, r: pooled-recall}
    rows:
      Ours: {test_size: 40, figures: {p: ".50", r: ".75"}}
statements:
  - {statement: 3 times the images, source: §1, says: 3,
     ratio: [[main, Ours, train_size], [main, Small, train_size]]}
  - {statement: 1.6 times as good, source: §2, says: "1.6",
     ratio: [[main, Ours, acc], [main, Small, acc]]}
  - {statement: 30 points better, source: §3, says: "30.0",
     difference: [[main, Ours, acc], [main, Small, acc]]}
  - {statement: the abstract's accuracy, source: Abstract, says: "72.6", value: [main, Ours, acc]}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "claims.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def one(findings: list[Finding], check: str, row: str, metric: str = "") -> Finding:
    found = [f for f in findings if (f.check, f.row) == (check, row) and metric in ("", f.metric)]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def ours() -> list[Finding]:
    return audit(load_claims())


@pytest.fixture
def theirs(tmp_path: Path) -> list[Finding]:
    return audit(load_claims(write(tmp_path, OTHER)))


# This paper, from PAPER.md section 3.


def test_5000_images_cannot_give_80_89_and_the_nearest_counts_are_named(
    ours: list[Finding],
) -> None:
    found = one(ours, "granularity", "Baseline-5000", "top_3")
    assert found.verdict == "impossible"
    assert "4,044/5,000 = 80.88 % and 4,045/5,000 = 80.90 %" in found.calculation
    assert "157 (127/157)" in found.calculation
    assert found.source == "Table 1"


def test_1000_images_cannot_give_61_39(ours: list[Finding]) -> None:
    found = one(ours, "granularity", "Baseline-1000", "top_3")
    assert found.verdict == "impossible"
    assert "613/1,000 = 61.30 % and 614/1,000 = 61.40 %" in found.calculation


def test_these_two_are_the_only_impossible_findings_of_this_paper(ours: list[Finding]) -> None:
    assert [(f.row, f.metric) for f in ours if f.verdict == "impossible"] == [
        ("Baseline-1000", "top_3"),
        ("Baseline-5000", "top_3"),
    ]


@pytest.mark.parametrize(
    ("row", "metric", "count"),
    [
        ("RopaNet-10000", "top_3", "4,808/10,000"),
        ("RopaNet-10000", "top_5", "4,960/10,000"),
        ("Baseline-5000", "top_5", "4,730/5,000"),
        ("RopaNet-10000", "recall_pooled", "400/10,000"),
        ("FashionNet", "top_3", "33,032/40,000"),
        ("FashionNet", "top_5", "36,068/40,000"),
    ],
)
def test_figures_that_a_whole_number_of_images_gives_are_possible(
    ours: list[Finding], row: str, metric: str, count: str
) -> None:
    found = one(ours, "granularity", row, metric)
    assert found.verdict == "possible"
    assert found.calculation.startswith(count)


def test_a_row_of_multiples_of_a_quarter_is_suspicious_of_one_batch_of_four(
    ours: list[Finding],
) -> None:
    found = one(ours, "batch", "Baseline-100")
    assert found.verdict == "suspicious"
    assert "a batch of 4" in found.calculation
    assert one(ours, "batch", "Baseline-1000").verdict == "possible"
    assert one(ours, "batch", "RopaNet-10000", "top_3 and top_5").verdict == "consistent"
    assert not [f for f in ours if f.check == "batch" and f.row == "FashionNet"]


def test_ropanets_top_5_is_below_what_no_information_scores_and_its_top_3_above(
    ours: list[Finding],
) -> None:
    top_5 = one(ours, "no-information bound", "RopaNet-10000", "top_5")
    assert top_5.verdict == "suspicious"
    assert "58.33 %; 49.6 % is 8.73 points below" in top_5.calculation
    assert "does not explain" in top_5.calculation
    top_3 = one(ours, "no-information bound", "RopaNet-10000", "top_3")
    assert top_3.verdict == "consistent"
    assert "46.19 %; 48.08 % is 1.89 points above" in top_3.calculation


def test_a_small_test_set_can_excuse_a_figure_below_the_bound(ours: list[Finding]) -> None:
    found = one(ours, "no-information bound", "Baseline-100", "top_5")
    counts = [72158, 36887, 24557, 19666, 15429]
    p_value = binomtest(50, 100, sum(counts) / 289222, alternative="less").pvalue
    assert found.verdict == "suspicious"
    assert f"with probability {p_value:.2g}: chance could explain it" in found.calculation
    top_3 = one(ours, "no-information bound", "Baseline-100", "top_3")
    assert "does not explain" in top_3.calculation


def test_precision_and_recall_say_that_few_images_were_answered(ours: list[Finding]) -> None:
    found = one(ours, "precision and recall", "RopaNet-10000", "precision_pooled and recall_pooled")
    assert found.verdict == "possible"
    # .035 / .935 = 3.743 %, .045 / .925 = 4.865 %
    assert ".04 / .93 = 4.30 %" in found.calculation
    assert "[0.035, 0.045) / [0.925, 0.935) = 3.74 % to 4.86 %" in found.calculation
    assert "375 to 486 of 10,000 images" in found.calculation
    assert "An unconfident model, not a precise one" in found.calculation


def test_table_1_is_not_like_for_like(ours: list[Finding]) -> None:
    assert one(ours, "like for like", "").verdict == "cannot tell"
    quoted = one(ours, "like for like", "FashionNet")
    assert quoted.verdict == "suspicious"
    assert "40,000 test images" in quoted.calculation


def test_the_text_agrees_with_the_tables(ours: list[Finding]) -> None:
    twice, same = (f for f in ours if f.check == "text against tables")
    assert (twice.verdict, same.verdict) == ("consistent", "consistent")
    assert "10,000 / 5,000 = 2" in twice.calculation
    assert "not computed" in same.calculation


def test_the_shipped_claims_repeat_no_figure_of_the_published_tables() -> None:
    claims = load_claims()
    assert {table.published for table in claims.tables.values()} == {"table_1", "table_2"}
    read = {r.name: r for r in claims.tables["table_1"].all_rows}
    assert {n: {m: f.text for m, f in r.figures.items()} for n, r in read.items()} == {
        row.name: row.printed for row in published()["table_1"].rows
    }
    assert read["FashionNet"].test_size == 40000


def test_a_finding_is_plain_data(ours: list[Finding]) -> None:
    plain = json.loads(json.dumps([finding.to_json() for finding in ours]))
    assert set(plain[0]) == {"check", "row", "metric", "verdict", "calculation", "source"}


# Another paper, by hand.


def test_another_papers_table_is_audited_as_well(theirs: list[Finding]) -> None:
    assert one(theirs, "granularity", "Ours", "acc").calculation.startswith("29/40 = 72.5 %")
    assert not [f for f in theirs if f.metric == "f1"]
    bound = one(theirs, "no-information bound", "Ours", "acc")
    assert "the 1 most frequent of 3 classes scores 50.00 %; 72.5 % is 22.50" in bound.calculation
    assert bound.verdict == "consistent"
    # 80 % of 40 images: 35 or more of 32 expected is no more than chance.
    assert one(theirs, "no-information bound", "Ours", "top_2").verdict == "possible"
    # 87.5 is 7/8; 72.5 is no eighth.
    assert one(theirs, "batch", "Ours", "acc and top_2").verdict == "possible"


def test_top_2_below_top_1_is_impossible_unless_rounding_accounts_for_it(
    theirs: list[Finding], tmp_path: Path
) -> None:
    assert one(theirs, "monotonicity", "Small").verdict == "impossible"
    assert one(theirs, "monotonicity", "Ours").verdict == "consistent"
    rounded = OTHER.replace('acc: "45.0", top_2: "40.0"', 'acc: "45.04", top_2: "45.0"')
    again = audit(load_claims(write(tmp_path, rounded)))
    assert one(again, "monotonicity", "Small").verdict == "consistent"


def test_a_figure_that_was_cut_off_is_possible_and_said_to_be(theirs: list[Finding]) -> None:
    found = one(theirs, "granularity", "Theirs", "acc")  # 5/7 = 71.4286
    assert found.verdict == "possible"
    assert "5/7 = 71.4286 %, printed 71.42 %, if rounded by truncation" in found.calculation


def test_more_recall_than_precision_is_impossible(theirs: list[Finding]) -> None:
    found = one(theirs, "precision and recall", "Ours", "p and r")
    assert found.verdict == "impossible"
    assert ".75 / .50 = 150.00 %" in found.calculation


def test_an_accuracy_below_the_recall_is_impossible(tmp_path: Path) -> None:
    text = OTHER.replace('p: ".50"', 'p: ".90"')
    found = one(audit(load_claims(write(tmp_path, text))), "precision and recall", "Ours", "acc")
    assert found.verdict == "impossible"
    assert found.source == "Table 3"


def test_hits_and_answers_must_both_be_whole_numbers(tmp_path: Path) -> None:
    # 1 hit of 10 images; 1 / 1 = 1, 1 / 2 = .5: no number of answers gives .75.
    text = OTHER.replace(
        'Ours: {test_size: 40, figures: {p: ".50", r: ".75"}}',
        'Ours: {test_size: 10, figures: {p: ".75", r: ".10"}}',
    )
    found = one(audit(load_claims(write(tmp_path, text))), "precision and recall", "Ours")
    assert found.verdict == "impossible"
    assert "no whole numbers of hits and answers" in found.calculation


def test_statements_are_held_against_the_tables(theirs: list[Finding]) -> None:
    verdicts = {f.row: f.verdict for f in theirs if f.check == "text against tables"}
    assert verdicts == {
        "3 times the images": "consistent",  # 900 / 300
        "1.6 times as good": "consistent",  # 72.5 / 45.0 = 1.611
        "30 points better": "impossible",  # 27.5
        "the abstract's accuracy": "impossible",  # 72.6 against 72.5
    }


def test_rows_of_unstated_size_cannot_be_told(tmp_path: Path) -> None:
    text = OTHER.replace("test_size: 40, train_size: 900, ", "train_size: 900, ")
    findings = audit(load_claims(write(tmp_path, text)))
    assert one(findings, "granularity", "Ours", "acc").verdict == "cannot tell"
    assert "Ours not stated" in one(findings, "like for like", "").calculation
    bound = one(findings, "no-information bound", "Ours", "acc")
    assert "chance cannot be weighed" in bound.calculation


def test_without_class_counts_nothing_is_held_against_the_bound(tmp_path: Path) -> None:
    text = OTHER.replace("class_counts: {cat: 50, dog: 30, cow: 20, unicorn: 0}\n", "")
    findings = audit(load_claims(write(tmp_path, text)))
    assert not [f for f in findings if f.check == "no-information bound"]


def test_more_than_all_is_impossible(tmp_path: Path) -> None:
    text = OTHER.replace('"72.5"', '"101.0"')
    found = one(audit(load_claims(write(tmp_path, text))), "granularity", "Ours", "acc")
    assert found.verdict == "impossible"
    assert "outside 0 to 100.0 %" in found.calculation


@pytest.mark.parametrize(
    ("text", "size", "rules"),
    [
        ("12.5", 8, ["half up", "half even", "half down", "truncation"]),
        ("12", 8, ["half even", "half down", "truncation"]),  # 1/8 = 12.5 %, a tie: to even 12
        ("13", 8, ["half up"]),
        ("37", 8, ["half down", "truncation"]),  # 3/8 = 37.5 %: to even 38
        ("38", 8, ["half up", "half even"]),
        ("66.6", 3, ["truncation"]),
        ("66.7", 3, ["half up", "half even", "half down"]),
        ("50", 3, []),
        ("100", 3, ["half up", "half even", "half down", "truncation"]),
    ],
)
def test_each_way_of_rounding_is_considered(text: str, size: int, rules: list[str]) -> None:
    assert Figure(text, "percent").rules(size) == rules


def test_the_smallest_sizes_are_those_that_a_search_by_hand_finds() -> None:
    # 33.3 %: 1/3, 2/6, 3/9; .93: 13/14 = .9286, 14/15 = .9333, 25/27 = .9259
    assert Figure("33.3", "percent").sizes() == [(1, 3), (2, 6), (3, 9)]
    assert Figure(".93", "fraction").sizes() == [(13, 14), (14, 15), (25, 27)]


# Faults in the YAML.


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('acc: "72.5"', "acc: 72.5", 11, "in quotes"),
        ('acc: "72.5"', 'acc: "72.5 %"', 11, "a figure is digits"),
        ("acc: top-1", "acc: top-one", 9, "'top-one'"),
        ("test_size: 7", "test_size: 0", 13, "greater than or equal to 1"),
        ("test_size: 7", "tset_size: 7", 13, "did you mean `test_size`?"),
        ("cow: 20", "cow: -20", 3, "greater than or equal to 0"),
        ("{cat: 50, dog: 30, cow: 20, unicorn: 0}", "imagenet", 3, "`imagenet`"),
        ("[main, Small, train_size]]}", "[main, Big, train_size]]}", 22, "the rows are Ours"),
        ("f1: other}", "f2: other}", 11, "`kinds` has no `f1`"),
        ("unit: fraction", "published: table_9", 16, "not both"),
        (', says: "72.6"', "", 27, "needs `says`"),
        ('says: "72.6"', "says: __import__('os')", 27, "a figure is digits"),
        ("batch_size: 8", "batch_size: ]", 4, "not YAML"),
        ("paper: Another paper", "paper: !!python/name:os.system", 2, "not YAML"),
    ],
)
def test_bad_yaml_gives_one_error_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in OTHER
    file = write(tmp_path, OTHER.replace(old, new, 1))
    with pytest.raises(BenchError) as error:
        load_claims(file)
    assert str(error.value).startswith(f"{file}:{line}:"), error.value
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text"])
def test_claims_that_are_no_mapping_are_refused(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BenchError, match="mapping") as error:
        load_claims(file)
    assert error.value.where == f"{file}:1:1"


def test_claims_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file"):
        load_claims(tmp_path / "none.yaml")


def test_text_from_the_yaml_is_only_shown(tmp_path: Path) -> None:
    text = OTHER.replace("Small:", '"{0.__class__}":').replace("Small", '"{0.__class__}"')
    claims = load_claims(write(tmp_path, text))
    assert isinstance(claims, Claims)
    assert "{0.__class__}" in {finding.row for finding in audit(claims)}
