"""Checks published results by arithmetic alone: what a table's figures can, and cannot, have been.

No data and no model: only the figures as printed, the sizes as stated and the class counts. A
verdict is about the figures, never about who printed them, and every one shows its calculation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import ceil, floor

from scipy.special import bdtr, bdtrc

from bench.paper.claims import Claims, Row, TableClaim, load_claims
from bench.paper.pooled import answered
from bench.paper.rounding import RULES, Figure, percent
from bench.paper.statements import Statement, Verdict, agreement

__all__ = ["Claims", "Finding", "Verdict", "audit", "load_claims"]

SIGNIFICANCE = 0.05
"""Below this probability, chance is not taken as the explanation."""


@dataclass(frozen=True)
class Finding:
    """What one check says of one figure, row, table or statement.

    Args:
        check: `granularity`, `batch`, `no-information bound`, `monotonicity`, `precision and
            recall`, `like for like` or `text against tables`.
        row: The row, or the statement; empty for a whole table.
        metric: The metric or metrics; empty where it is about no single one.
        verdict: `impossible` contradicts itself; `suspicious` asks for an explanation; `possible`
            can be, which is not evidence that it is; `consistent` agrees; `cannot tell`.
        calculation: The arithmetic in words, with its numbers.
        source: Where the figure is printed.
    """

    check: str
    row: str
    metric: str
    verdict: Verdict
    calculation: str
    source: str

    def to_json(self) -> dict[str, str]:
        """The finding as plain data."""
        return {
            "check": self.check,
            "row": self.row,
            "metric": self.metric,
            "verdict": self.verdict,
            "calculation": self.calculation,
            "source": self.source,
        }


def audit(claims: Claims) -> list[Finding]:
    """All findings on a paper's claims, table by table, then statement by statement."""
    findings: list[Finding] = []
    for table in claims.tables.values():
        for row in table.all_rows:
            findings += _granularity(table, row)
            findings += _batch(table, row, claims.batch_size)
            findings += _bound(table, row, claims.shares)
            findings += _monotonicity(table, row)
            findings += _pooled(table, row, claims)
        findings += _like_for_like(table)
    return findings + [_text(statement, claims) for statement in claims.statements]


def _of_images(table: TableClaim, row: Row) -> dict[str, Figure]:
    """The row's figures that are a share of its test images, k/N."""
    countable = ("top-", "hits", "pooled-recall")
    return {m: f for m, f in row.figures.items() if table.kinds[m].startswith(countable)}


def _top(table: TableClaim, row: Row) -> list[tuple[int, str, Figure]]:
    """The row's top-k figures as (k, metric, figure), k rising."""
    kinds = {m: table.kinds[m] for m in row.figures}
    tops = [(int(k[4:]), m, row.figures[m]) for m, k in kinds.items() if k.startswith("top-")]
    return sorted(tops, key=lambda top: top[:2])


def _granularity(table: TableClaim, row: Row) -> Iterator[Finding]:
    """Whether k/N, k a whole number and N the stated test size, can be printed so."""
    for metric, figure in _of_images(table, row).items():
        verdict, calculation = _can_be(figure, row.test_size)
        yield Finding("granularity", row.name, metric, verdict, calculation, table.place)


def _can_be(figure: Figure, size: int | None) -> tuple[Verdict, str]:
    if not 0 <= figure.value <= 1:
        return "impossible", f"{figure} is not a share: it lies outside 0 to {figure.show(1)}"
    if size is None:
        return "cannot tell", f"no test size is stated that {figure} could be a share of"
    rules = figure.rules(size)
    if not rules:
        below = min(floor(figure.value * size), size - 1)
        near = " and ".join(
            f"{k:,}/{size:,} = {figure.show(Fraction(k, size))}" for k in (below, below + 1)
        )
        sizes = ", ".join(f"{n:,} ({k:,}/{n:,})" for k, n in figure.sizes())
        return "impossible", (
            f"no whole number of {size:,} images gives {figure}, however rounded "
            f"({_and(RULES, 'or')}); the nearest are {near}. "
            f"The smallest test sizes that give it: {sizes or 'none up to 100,000'}"
        )
    counts = figure.counts(size, "half up") or figure.counts(size, rules[0])
    middle = min(max(round(figure.value * size), counts[0]), counts[-1])
    others = f", as does any count from {counts[0]:,} to {counts[-1]:,}" if len(counts) > 1 else ""
    how = "however rounded" if len(rules) == len(RULES) else f"if rounded by {_and(rules, 'or')}"
    share = figure.show(Fraction(middle, size))
    rounded = "" if share == str(figure) else f", printed {figure}"
    return "possible", f"{middle:,}/{size:,} = {share}{rounded}, {how}{others}"


def _batch(table: TableClaim, row: Row, batch: int | None) -> Iterator[Finding]:
    """Whether all of a row's figures are what one batch alone could give."""
    figures = _of_images(table, row)
    if batch is None or row.quoted_from or not figures or (row.test_size or batch + 1) <= batch:
        return
    of_batch = {m: f for m, f in figures.items() if f.rules(batch)}
    given, missing = (
        _and(str(f) for m, f in figures.items() if (m in of_batch) is wanted)
        for wanted in (True, False)
    )
    multiples = f"what a batch of {batch:,} can give"
    verdict: Verdict = "possible"
    if not of_batch:
        verdict, text = "consistent", f"{missing}: none is {multiples}"
    elif missing:
        text = f"{given}: {multiples}; not so {missing}"
    elif row.test_size is None:
        verdict, text = "suspicious", f"{given}: all of them {multiples}"
    else:
        chance = 1.0
        for figure in figures.values():
            alike = max(len(figure.counts(row.test_size)), 1)
            chance *= min((batch + 1) * alike / (row.test_size + 1), 1)
        verdict = "suspicious" if chance < SIGNIFICANCE else "possible"
        text = (
            f"{given}: all of them {multiples}. Were each of the {row.test_size + 1:,} counts of "
            f"{row.test_size:,} images as likely as the next, that would happen {_chance(chance)}"
        )
    yield Finding("batch", row.name, _and(figures), verdict, text, table.place)


def _bound(table: TableClaim, row: Row, shares: tuple[Fraction, ...]) -> Iterator[Finding]:
    """Whether top-k beats always answering the k most frequent classes."""
    for depth, metric, figure in _top(table, row) if shares else []:
        if not 0 <= figure.value <= 1:
            continue
        bound = sum(shares[:depth], Fraction(0))
        points = f"{abs(float(figure.value - bound)) * 100:.2f} points"
        known = (
            f"always answering the {depth} most frequent of {len(shares)} classes scores "
            f"{percent(bound)}"
        )
        below = figure.value < bound
        verdict: Verdict = "suspicious" if below else "consistent"
        text = f"{known}; {figure} is {points} {'below' if below else 'above'}"
        if row.test_size is None:
            text += ". No test size is stated, so chance cannot be weighed"
        else:
            chance = _by_chance(figure, row.test_size, bound, below)
            excused = chance >= SIGNIFICANCE
            if excused and not below:
                verdict = "possible"
            text += (
                f". On {row.test_size:,} images sampled at random, such answers would score this "
                f"or {'less' if below else 'more'} {_chance(chance)}: chance "
                f"{'could' if excused else 'does not'} explain it"
            )
        yield Finding("no-information bound", row.name, metric, verdict, text, table.place)


def _by_chance(figure: Figure, size: int, bound: Fraction, below: bool) -> float:
    """Binomial probability of a count as low (or as high) as the figure's, read most leniently."""
    counts = figure.counts(size)
    if below:
        most = counts[-1] if counts else floor(figure.value * size)
        return float(bdtr(max(most, 0), size, float(bound)))
    least = counts[0] if counts else ceil(figure.value * size)
    return float(bdtrc(least - 1, size, float(bound))) if least > 0 else 1.0


def _monotonicity(table: TableClaim, row: Row) -> Iterator[Finding]:
    """Whether top-k grows with k: whoever is among the first 3 is among the first 5."""
    for (small, metric, low), (large, other, high) in combinations(_top(table, row), 2):
        if small == large:
            continue
        verdict: Verdict = "consistent"
        text = f"top-{large} is {high}, not below top-{small}, {low}"
        # Digits that rounding accounts for contradict nothing.
        if high.hull[1] < low.hull[0]:
            verdict = "impossible"
            text = (
                f"top-{large} is {high}, below top-{small}, {low}; but an image whose class is "
                f"among the {small} most probable has it among the {large} most probable"
            )
        yield Finding("monotonicity", row.name, _and([metric, other]), verdict, text, table.place)


def _pooled(table: TableClaim, row: Row, claims: Claims) -> Iterator[Finding]:
    """What pooled precision and recall say of how many images were answered at all."""
    metrics = {table.kinds[m]: m for m in row.figures}
    if not {"pooled-precision", "pooled-recall"} <= metrics.keys():
        return
    pair = metrics["pooled-precision"], metrics["pooled-recall"]
    precision, recall = (row.figures[m] for m in pair)
    verdict, text = answered(precision, recall, row.test_size, table.threshold)
    yield Finding("precision and recall", row.name, _and(pair), verdict, text, table.place)

    for other in claims.tables.values():
        for same in other.all_rows:
            tops = _top(other, same)
            if (same.name, same.test_size) != (row.name, row.test_size) or not tops:
                continue
            # The smallest k is the sharpest; the others follow from monotonicity.
            depth, metric, figure = tops[0]
            broken = figure.hull[1] < recall.hull[0]
            text = (
                f"a class above {table.threshold:g} is its image's most probable, so top-{depth} "
                f"is at least the recall: {figure} against {recall}, "
                f"{'which is more' if broken else 'as it should be'}"
            )
            verdict = "impossible" if broken else "consistent"
            yield Finding("precision and recall", row.name, metric, verdict, text, other.place)


def _like_for_like(table: TableClaim) -> Iterator[Finding]:
    """Whether the rows of a table were tested on as many images, and so can be compared."""
    rows = table.all_rows
    if len(rows) < 2:
        return
    sizes = {row.test_size for row in rows}
    listed = ", ".join(
        f"{row.name} {'not stated' if row.test_size is None else format(row.test_size, ',')}"
        for row in rows
    )
    verdict: Verdict = "consistent" if len(sizes) == 1 and None not in sizes else "cannot tell"
    text = f"test images: {listed}. "
    text += (
        "As many for each; whether the same ones, the figures do not say"
        if verdict == "consistent"
        else "Not the same test set, so a difference of two rows is not one of their models alone"
    )
    yield Finding("like for like", "", "", verdict, text, table.place)
    own = {row.test_size for row in rows if row.test_size and not row.quoted_from}
    for row in rows:
        if row.quoted_from and row.test_size is not None and own and row.test_size not in own:
            text = (
                f"quoted from {row.quoted_from}: {row.test_size:,} test images, beside the "
                f"paper's own rows on {_and(f'{n:,}' for n in sorted(own))}. "
                "Not like for like"
            )
            yield Finding("like for like", row.name, "", "suspicious", text, table.place)


def _text(statement: Statement, claims: Claims) -> Finding:
    """Whether a statement of the text agrees with the tables."""
    if statement.repeats is not None:
        places = _and(claims.tables[key].place for key in statement.repeats)
        verdict: Verdict = "consistent"
        text = f"as read, not computed: the text repeats figures of {places}, and has no others"
    else:
        operands = [claims.operand(reference) for reference in statement.operands]
        verdict, text = agreement(statement, operands)
    columns = _and(dict.fromkeys(column for _, _, column in statement.operands))
    check = "text against tables"
    return Finding(check, statement.statement, columns, verdict, text, statement.source)


def _and(words: Iterable[str], last: str = "and") -> str:
    """Words as a list in a sentence."""
    *first, end = [*words] or [""]
    return f"{', '.join(first)} {last} {end}" if first else end


def _chance(probability: float) -> str:
    if probability < 0.0001:
        return "with probability below 0.0001"
    return f"with probability {probability:.2g}"
