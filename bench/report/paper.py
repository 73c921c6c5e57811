"""The paper's part of the report: its tables beside what was measured, and what arithmetic says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.paper.audit import audit, load_claims
from bench.report.cells import Table
from bench.report.section import Section
from bench.report.seeds import explained
from bench.report.tables.provenance import audit_table
from bench.report.tables.published import (
    REPRODUCIBLE,
    protocols_table,
    published_table,
    quoted_table,
)
from bench.report.verdicts import counted


@dataclass(frozen=True)
class PaperSection:
    """The paper as the page shows it.

    Args:
        headline: What became of its figures, in a sentence.
        verdicts: How many published figures have which verdict; then the findings of note.
        measured: Whether a study of the report trains its rows.
        tables: Its tables, each in its own row order.
        quoted: What other works published.
        audit: What arithmetic alone says of its figures, a row a finding.
        notable: How many of the first findings ask for attention.
    """

    headline: str
    verdicts: dict[str, int]
    measured: bool
    tables: list[Table]
    quoted: Table
    audit: Table
    notable: int


def make_paper(sections: Sequence[Section]) -> PaperSection:
    """Hold what the report's studies measured against what was published.

    Args:
        sections: The studies of the report.
    """
    tables = []
    for key in REPRODUCIBLE:
        section = next((s for s in sections if key in s.study.reproduces), None)
        arms, study = ([], None) if section is None else (section.arms, section.study)
        table = published_table(key, arms, study)
        tables.append(replace(table, note=explained(table.note, arms)))
        if key == "table_1" and study is not None:
            protocols = protocols_table(arms, study)
            tables += [protocols] if protocols is not None else []
    judged = counted(
        verdict
        for table in tables
        for row in table.rows
        for head, verdict in row.items()
        if head.startswith("verdict")
    )
    claims = load_claims()
    findings = audit_table(claims.paper, audit(claims))
    odd = counted(row["verdict"] for row in findings.rows)
    odd = {how: odd[how] for how in ("impossible", "suspicious") if how in odd}
    beside = _listed(judged) or "none measured here"
    by_arithmetic = _listed(odd) or "nothing odd"
    return PaperSection(
        headline=f"Published figures beside measured ones: {beside}. "
        f"Arithmetic alone finds {by_arithmetic}.",
        verdicts=judged | odd,
        measured=any(section.study.reproduces for section in sections),
        tables=tables,
        quoted=quoted_table(),
        audit=findings,
        notable=sum(odd.values()),
    )


def _listed(counts: dict[str, int]) -> str:
    return " and ".join(f"{count} {how}" for how, count in counts.items())
