"""The report: one self-contained HTML page, the same in Markdown, and every table and figure."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import bench
from bench.errors import BenchError
from bench.files.atomic import new_folder
from bench.report.cells import MOST_COLUMNS
from bench.report.embedded import CHART_FILE, STATIC_FILES, EmbeddedFigure
from bench.report.escapes import latex_text, markdown_text
from bench.report.paper import make_paper
from bench.report.reuse import MARK, ReportManifest, digest_of, read_manifest, sizes
from bench.report.script import chart_script, policy
from bench.report.section import make_section
from bench.report.verdicts import kind_of
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from bench.systems.registry import load_plugins

PAGES = {"html": "index.html", "markdown": "report.md", "latex": "report.tex"}
"""Forms of the page, and their files."""

TEMPLATES = {"html": "report.html.j2", "markdown": "report.md.j2", "latex": "report.tex.j2"}


@dataclass(frozen=True)
class ReportSummary:
    """What was written.

    Args:
        page: The first page that was requested.
        studies: Names of the studies in it.
        tables: Number of tables.
        figures: Number of figures.
        unchanged: Whether the folder had this report already, so that nothing was written.
    """

    page: Path
    studies: tuple[str, ...]
    tables: int
    figures: int
    unchanged: bool


def write_report(
    store: Store,
    out: Path,
    studies: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,
    *,
    fresh: bool = False,
) -> ReportSummary:
    """Write a report of what is in a store.

    Written beside `out` first and then put in its place, so that a reader never sees half of one.
    What an earlier report in `out` has of studies that did not change since is not rendered again.

    Args:
        store: The store.
        out: Folder to write; made, or replaced where it is an earlier report.
        studies: Names of the studies to report; None for all.
        formats: Of `html`, `markdown` and `latex`, the pages to write; None for all. Tables and
            figures are written in every form all the same.
        fresh: Whether to render everything, changed or not.

    Raises:
        BenchError: The store holds no such study, a trial in it cannot be read, or `out` is a
            folder of something else.
    """
    load_plugins()  # their metrics are columns
    chosen = store.chosen(studies)
    forms = tuple(formats or PAGES)
    check_free(out, MARK)
    earlier = None if fresh else read_manifest(out)
    digests = {study.name: digest_of(store, study) for study in chosen}
    unchanged = earlier is not None and (earlier.forms, [*earlier.studies.items()]) == (
        forms,
        [*digests.items()],
    )
    manifest = earlier if unchanged else None
    if manifest is None:
        manifest = _write(store, chosen, digests, forms, out, earlier)
    return ReportSummary(
        page=out / PAGES[forms[0]],
        studies=tuple(manifest.studies),
        tables=manifest.tables,
        figures=sum(len(figures) for figures in manifest.figures.values()),
        unchanged=unchanged,
    )


def check_free(out: Path, mark: str) -> None:
    """Refuse to write over a folder that is neither empty nor an earlier page of the same kind.

    Args:
        out: The folder.
        mark: The file that tells such a page's folder.

    Raises:
        BenchError: It is something else.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / mark).exists())):
        raise BenchError(
            "is there already and holds no report", where=str(out), fix="give another folder"
        )


def _write(
    store: Store,
    chosen: Sequence[StudyRecord],
    digests: dict[str, str],
    forms: tuple[str, ...],
    out: Path,
    earlier: ReportManifest | None,
) -> ReportManifest:
    with new_folder(out, make_way=partial(shutil.rmtree, out, ignore_errors=True)) as draft:
        for folder in ("tables", "figures"):
            (draft / folder).mkdir()
        sections = []
        for study in chosen:
            name, rendered = study.name, None
            if earlier is not None and earlier.studies.get(name) == digests[name]:
                rendered = _rendered_before(earlier.figures[name], out, draft)
            sections.append(make_section(store, study, draft, rendered))
        paper = make_paper(sections)
        tables = [*paper.tables, paper.quoted, paper.audit]
        for table in tables:
            table.write(draft / "tables")
        context = {"sections": sections, "paper": paper}
        render(draft, {form: TEMPLATES[form] for form in forms}, context)
        manifest = ReportManifest(
            forms=forms,
            studies=digests,
            figures={section.study.name: _named(section.figures) for section in sections},
            tables=len(tables) + sum(len(s.tables) + len(s.provenance) for s in sections),
            files=sizes(draft),
        )
        manifest.write(draft)
    return manifest


def _named(figures: Sequence[EmbeddedFigure]) -> list[dict[str, str]]:
    return [{"name": f.name, "title": f.title, "caption": f.caption} for f in figures]


def _rendered_before(
    figures: Sequence[dict[str, str]], out: Path, draft: Path
) -> list[EmbeddedFigure]:
    """A study's figures, taken over from the report that stands."""
    rendered = []
    for figure in figures:
        names = [f"figures/{figure['name']}.{ending}" for ending in (*STATIC_FILES, CHART_FILE)]
        for name in names:
            if (out / name).is_file():  # not every figure has an interactive form
                shutil.copy2(out / name, draft / name)
        rendered.append(EmbeddedFigure.of(**figure, png=draft / names[0]))
    return rendered


def render(draft: Path, templates: Mapping[str, str], context: Mapping[str, Any]) -> None:
    """Write a page in some forms.

    Args:
        draft: Folder to write to.
        templates: Form, a key of `PAGES` -> its template.
        context: What the templates show.
    """
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "sort_keys": True}
    environment.globals["most_columns"] = MOST_COLUMNS
    environment.filters["png"] = lambda data: Markup(f"data:image/png;base64,{data}")
    environment.filters |= {"md": markdown_text, "tex": latex_text, "kind": kind_of}
    charts = any(figure.chart for section in context["sections"] for figure in section.figures)
    for form, template in templates.items():
        script = chart_script() if charts and form == "html" else ""
        text = environment.get_template(template).render(
            **context, version=bench.__version__, script=Markup(script), policy=policy(script)
        )
        (draft / PAGES[form]).write_text(text, encoding="utf-8")
