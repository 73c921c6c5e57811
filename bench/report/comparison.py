"""The page of a comparison of two stores: the report's form, a section a study."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.analysis.rerun import Rerun
from bench.files.atomic import new_folder
from bench.report.drawing import draw
from bench.report.embedded import EmbeddedFigure, embedded
from bench.report.figures.replication import compared_arms
from bench.report.page import PAGES, check_free, render
from bench.report.section import Section, brief
from bench.report.tables.replication import replication_tables
from bench.report.verdicts import counted

MARK = ".bench-comparison"
"""File that tells a comparison's folder from any other, a report's included."""

TEMPLATES = {"html": "comparison.html.j2", "markdown": "comparison.md.j2"}


def write_comparison(reruns: Sequence[Rerun], a: Path, b: Path, out: Path) -> Path:
    """Write a page of a comparison, with every table and figure.

    Args:
        reruns: The studies compared.
        a: The first store.
        b: The second.
        out: Folder to write; made, or replaced where it is an earlier comparison.

    Returns:
        The HTML page.

    Raises:
        BenchError: `out` is a folder of something else.
    """
    check_free(out, MARK)
    with new_folder(out, make_way=partial(shutil.rmtree, out, ignore_errors=True)) as draft:
        for folder in ("tables", "figures"):
            (draft / folder).mkdir()
        sections = [_section(rerun, draft) for rerun in reruns]
        context = {"sections": sections, "a": a, "b": b}
        render(draft, TEMPLATES, context)
        (draft / MARK).touch()
    return out / PAGES["html"]


def _section(rerun: Rerun, draft: Path) -> Section:
    tables = replication_tables(rerun)
    for table in tables:
        table.write(draft / "tables")
    trials = rerun.verdicts
    told = ", ".join(f"{count} {verdict}" for verdict, count in trials.items())
    return Section(
        study=rerun.a,
        question="",  # the study's own is not what is asked here
        headline=rerun.sentence,
        answer=[],
        verdicts=counted(arm.agreement for arm in rerun.arms),
        compared="Arms and metrics:",
        counts={"finished": len(rerun.in_both), "planned": len(rerun.trials)},
        brief=brief(rerun.a, f"trials: {told}"),
        facts={
            "answer": rerun.answer.value,
            "data": rerun.a.data.label,
            "profile": rerun.a.profile,
            "trials": told,
        },
        warnings=rerun.warnings,
        figures=_figures(rerun, draft),
        tables=tables,
        provenance=[],
        arms=[],
    )


def _figures(rerun: Rerun, draft: Path) -> list[EmbeddedFigure]:
    figures = draw(lambda *_: compared_arms(rerun), rerun.a, [])
    return [embedded(figure, draft / "figures") for figure in figures]
