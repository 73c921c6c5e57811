"""The report: one self-contained HTML page, the same in Markdown, and every table and figure."""

from __future__ import annotations

import base64
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import bench
from bench.analysis.arms import Arm, controls, effects, load_arms
from bench.errors import BenchError
from bench.paper.audit import audit, load_claims
from bench.paper.ledger import ledger
from bench.paper.published import published as published_tables
from bench.report.cells import Measured, Table, latex_text, markdown_text
from bench.report.classes import class_distribution
from bench.report.comparisons import images_table, tails_table
from bench.report.confusion import confusion
from bench.report.drawing import Figure
from bench.report.examples import examples, gate_maps
from bench.report.figures import RANKED, study_figures
from bench.report.gates import gate_energy, gate_energy_by_epoch, openness
from bench.report.levels import by_level
from bench.report.provenance import audit_table, checklist_table
from bench.report.published import REPRODUCIBLE, protocols_table, published_table
from bench.report.tables import (
    arms_table,
    by_size,
    effects_table,
    factors_table,
    landmarks_table,
)
from bench.report.tuning import tuning_tables, tuning_warnings
from bench.report.tuning_figures import tuning_figures
from bench.store import Store
from bench.tuning import study_searches

MARK = ".bench-report"
PAGES = {"html": "index.html", "markdown": "report.md", "latex": "report.tex"}
"""Forms of the page, and their files."""

TEMPLATES = {"html": "report.html.j2", "markdown": "report.md.j2", "latex": "report.tex.j2"}

CROSSED = ("factorial", "fractional", "random")
"""Designs that cross their axes, so that factors have effects apart from the arms'."""


@dataclass(frozen=True)
class ReportSummary:
    """What was written.

    Args:
        page: The first page asked for.
        studies: Names of the studies in it.
        tables: Number of tables.
        figures: Number of figures.
    """

    page: Path
    studies: tuple[str, ...]
    tables: int
    figures: int


@dataclass(frozen=True)
class _Drawn:
    name: str
    title: str
    caption: str
    png: str


@dataclass(frozen=True)
class _Section:
    study: dict[str, Any]
    arms: list[Arm]
    counts: dict[str, int]
    facts: dict[str, str]
    warnings: list[str]
    summary: list[str]
    tables: list[Table]
    figures: list[_Drawn]


def write_report(
    store: Store,
    out: Path,
    studies: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,
) -> ReportSummary:
    """Write a report of what is in a store.

    Written beside `out` first and then put in its place, so that a reader never sees half of one.

    Args:
        store: The store.
        out: Folder to write; made, or replaced where it is an earlier report.
        studies: Names of the studies to report; None for all.
        formats: Of `html`, `markdown` and `latex`, the pages to write; None for all. Tables and
            figures are written in every form all the same.

    Raises:
        BenchError: The store holds no such study, a trial in it cannot be read, or `out` is a
            folder of something else.
    """
    chosen = _chosen(store, studies)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists())):
        raise BenchError(
            "is there already and holds no report", where=str(out), fix="give another folder"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for folder in ("tables", "figures"):
            (draft / folder).mkdir()
        sections = [_section(store, study, draft) for study in chosen]
        tables = _published(sections)
        for table in tables:
            table.write(draft / "tables")
        _render(draft, sections, tables, formats or tuple(PAGES))
        (draft / MARK).write_text(f"bench {bench.__version__}\n")
        draft.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ReportSummary(
        page=out / PAGES[(formats or tuple(PAGES))[0]],
        studies=tuple(study["name"] for study in chosen),
        tables=len(tables) + sum(len(section.tables) for section in sections),
        figures=sum(len(section.figures) for section in sections),
    )


def _chosen(store: Store, names: Sequence[str] | None) -> list[dict[str, Any]]:
    recorded = {study["name"]: study for study in store.studies()}
    if not recorded:
        raise BenchError(
            "holds no study", where=str(store.root), fix="bench run ablations/mask_gate.yaml"
        )
    for name in names or ():
        if name not in recorded:
            raise BenchError(
                f"holds no study `{name}`",
                where=str(store.root),
                fix=f"studies: {', '.join(recorded)}",
            )
    return [recorded[name] for name in names] if names else list(recorded.values())


def _section(store: Store, study: dict[str, Any], draft: Path) -> _Section:
    arms = load_arms(store, study)
    searches = study_searches(store, study)
    counts = {
        "planned": sum(arm.planned for arm in arms),
        "finished": sum(len(arm.trials) for arm in arms),
        "failed": sum(len(arm.failed) for arm in arms),
    }
    counts["missing"] = counts["planned"] - counts["finished"] - counts["failed"]
    note = f"Data: {study['data']['label']}. Means with 95 % intervals over seeds and test images "
    note += "(precision and recall: over seeds alone)."
    tables = [
        table
        for table in (
            arms_table(study["name"], arms, note),
            landmarks_table(study["name"], arms),
            *tuning_tables(study, searches, arms),
            *_comparisons(study, arms),
            checklist_table(study, arms),
        )
        if table is not None
    ]
    for table in tables:
        table.write(draft / "tables")
    drawn = []
    tuned = tuning_figures(study, searches, arms)
    for figure in itertools.chain(tuned, _figures(study, arms) if counts["finished"] else ()):
        png = figure.write(draft / "figures")
        encoded = base64.b64encode(png.read_bytes()).decode()
        drawn.append(_Drawn(figure.name, figure.title, figure.caption, encoded))
    return _Section(
        study=study,
        arms=arms,
        counts=counts,
        facts=_facts(study, arms, counts),
        warnings=[*_warnings(arms, counts), *tuning_warnings(study, searches)],
        summary=_summary(study, arms),
        tables=tables,
        figures=drawn,
    )


def _figures(study: dict[str, Any], arms: list[Arm]) -> Iterator[Figure]:
    """The study's figures; single arms are shown of the control and of published rows."""
    yield from study_figures(study, arms)
    if study["design"] in CROSSED:
        yield from by_level(study, arms)
    rows = {row.name for key in study["reproduces"] for row in published_tables()[key].rows}
    featured = [arm for arm in arms if arm.trials and arm.name in {study["control"], *rows}]
    # One at a time: an open figure holds megabytes.
    of_study = (draw(study, arms) for draw in (gate_energy, gate_energy_by_epoch, openness))
    of_arms = (draw(study, arm) for arm in featured for draw in (confusion, examples, gate_maps))
    of_data = (draw(study) for draw in (class_distribution,))
    for figure in itertools.chain(of_study, of_arms, of_data):
        if figure is not None:
            yield figure


def _comparisons(study: dict[str, Any], arms: list[Arm]) -> Iterator[Table | None]:
    name = study["name"]
    ranked = study["design"] in RANKED
    for number, control in enumerate(controls(arms), start=1):
        suffix = "effects" if number == 1 else f"effects_{number}"
        yield effects_table(
            f"{name}.{suffix}",
            arms,
            control,
            ranked=ranked,
            unchanged=_unchanged_rows() if study["design"] == "ledger" else (),
        )
        yield tails_table(f"{name}.{suffix}.tails", arms, control)
        yield images_table(f"{name}.{suffix}.images", arms, control)
    if study["design"] in CROSSED:
        levels = next((arm.levels for arm in arms if arm.name == study["control"]), {})
        axes = {axis["name"]: axis["levels"] for axis in study["axes"] if axis["name"] in levels}
        yield factors_table(name, arms, axes, levels)


def _unchanged_rows() -> list[str]:
    """Rows of the ledger that the released code takes as the paper does."""
    return [row.name for row in ledger() if not row.released]


def _facts(study: dict[str, Any], arms: list[Arm], counts: dict[str, int]) -> dict[str, str]:
    """The section's header."""
    records = [trial.record for arm in arms for trial in arm.trials.values()]

    def span(values: set[int]) -> str:
        return " to ".join(f"{v:,}" for v in sorted({min(values), max(values)})) if values else "–"

    sizes = {
        split: span({record.data["images"][split] for record in records})
        for split in ("train", "val", "test")
    }
    versions = {
        name: ", ".join(
            sorted({str(r.environment[name]) for r in records if name in r.environment})
        )
        for name in ("bench", "keras", "backend", "python", "machine")
    }
    seeds = ", ".join(str(seed) for seed in study["seeds"])
    return {
        "data": study["data"]["label"],
        "profile": f"{study['profile']}: {study['profile_description']}",
        "seeds": f"{len(study['seeds'])} ({seeds})",
        "trials": ", ".join(f"{count} {what}" for what, count in counts.items()),
        "images": f"train {sizes['train']}, validation {sizes['val']}, test {sizes['test']}",
        "control": study["control"],
        "made with": ", ".join(f"{name} {value}" for name, value in versions.items() if value),
        "data fingerprint": study["data"]["fingerprint"][:16],
    }


def _warnings(arms: list[Arm], counts: dict[str, int]) -> list[str]:
    warnings = []
    if counts["missing"]:
        warnings.append(f"{counts['missing']} planned trials are not in the store yet.")
    for arm in arms:
        for seed, error in arm.failed.items():
            warnings.append(f"{arm.name}, seed {seed} failed: {error}")
    unreadable = {
        image["image"]
        for arm in arms
        for trial in arm.trials.values()
        for image in trial.record.data["unreadable"]
    }
    if unreadable:
        named = ", ".join(sorted(unreadable)[:5])
        warnings.append(f"{len(unreadable)} images could not be read and were left out: {named}")
    return warnings


def _summary(study: dict[str, Any], arms: list[Arm]) -> list[str]:
    """The comparison with the control in plain words."""
    sentences = []
    for control in controls(arms):
        found = effects(arms, control, "accuracy")
        for effect in by_size(found) if study["design"] in RANKED else found:
            shown = Measured(effect.difference, True, signed=True)
            sentences.append(
                f"{effect.arm}, against {control}: {shown} points of top-1 accuracy: "
                f"{effect.verdict}."
            )
    return sentences


def _published(sections: Sequence[_Section]) -> list[Table]:
    tables = []
    for key in REPRODUCIBLE:
        section = next((s for s in sections if key in s.study["reproduces"]), None)
        arms, study = ([], None) if section is None else (section.arms, section.study)
        tables.append(published_table(key, arms, study))
        if key == "table_1" and study is not None:
            protocols = protocols_table(arms, study)
            tables += [protocols] if protocols is not None else []
    claims = load_claims()
    return [*tables, audit_table(claims.paper, audit(claims))]


def _render(
    draft: Path, sections: list[_Section], published: list[Table], formats: Sequence[str]
) -> None:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png"] = lambda data: Markup(f"data:image/png;base64,{data}")
    environment.filters |= {"md": markdown_text, "tex": latex_text}
    measured = any(section.study["reproduces"] for section in sections)
    for form in formats:
        text = environment.get_template(TEMPLATES[form]).render(
            sections=sections,
            published=published,
            reproduced=measured,
            version=bench.__version__,
        )
        (draft / PAGES[form]).write_text(text, encoding="utf-8")
