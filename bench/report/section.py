"""A study's section of the report: its facts, its tables and figures, and what they say."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.arms import Arm, controls, effects
from bench.analysis.load import load_arms
from bench.paper.published import published as published_tables
from bench.report.attributes import attributes_table
from bench.report.cells import Measured, Table
from bench.report.classes import class_distribution
from bench.report.comparisons import images_table, tails_table
from bench.report.confusion import confusion
from bench.report.drawing import MOST_DRAWN, Figure
from bench.report.examples import examples, gate_maps
from bench.report.figures import RANKED, study_figures
from bench.report.gains import class_gains
from bench.report.gates import gate_energy, gate_energy_by_epoch, openness
from bench.report.interactions import interactions
from bench.report.landmarks import landmark_tables
from bench.report.levels import by_level
from bench.report.provenance import checklist_table
from bench.report.tables import (
    arms_table,
    by_size,
    effects_table,
    factors_table,
    landmarks_table,
)
from bench.report.tuning import tuning_tables, tuning_warnings
from bench.report.tuning_figures import tuning_figures
from bench.store.trials import DIVERGED, Store
from bench.systems.ledger import ledger
from bench.tuning.winners import study_searches

CROSSED = ("factorial", "fractional", "random")
"""Designs that cross their axes, so that factors have effects apart from the arms'."""


ENDED = ("finished", "diverged", "failed")
"""What becomes of a planned trial."""

MOST_SENTENCES = 40
"""Comparisons that are said in words; the tables have all."""


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure as the page shows it; `png` is base64."""

    name: str
    title: str
    caption: str
    png: str


@dataclass(frozen=True)
class Section:
    """A study as the page shows it."""

    study: dict[str, Any]
    arms: list[Arm]
    counts: dict[str, int]
    facts: dict[str, str]
    warnings: list[str]
    summary: list[str]
    tables: list[Table]
    figures: list[EmbeddedFigure]


def make_section(
    store: Store, study: dict[str, Any], draft: Path, drawn: Sequence[EmbeddedFigure] | None = None
) -> Section:
    """Read, compare and draw a study.

    Args:
        store: The store.
        study: The study's record.
        draft: Folder with `tables/` and `figures/`, which the files are written to.
        drawn: Its figures, where an earlier report has them and nothing has changed since.

    Raises:
        BenchError: A stored trial cannot be read.
    """
    arms = load_arms(store, study)
    searches = study_searches(store, study)
    counts = {
        "planned": sum(arm.planned for arm in arms),
        "finished": sum(len(arm.trials) for arm in arms),
        "diverged": sum(f.kind == DIVERGED for arm in arms for f in arm.failed.values()),
        "failed": sum(f.kind != DIVERGED for arm in arms for f in arm.failed.values()),
    }
    counts["missing"] = counts["planned"] - sum(counts[how] for how in ENDED)
    note = f"Data: {study['data']['label']}. Means with 95 % intervals over seeds and test images."
    tables = [
        table
        for table in (
            arms_table(study["name"], arms, note),
            landmarks_table(study["name"], arms),
            *landmark_tables(study, arms),
            attributes_table(study["name"], arms),
            *tuning_tables(study, searches, arms),
            *_comparisons(study, arms),
            checklist_table(study, arms),
        )
        if table is not None
    ]
    for table in tables:
        table.write(draft / "tables")
    if drawn is None:
        figures = itertools.chain(
            tuning_figures(study, searches, arms),
            _figures(study, arms) if counts["finished"] else (),
        )
        drawn = [_written(figure, draft / "figures") for figure in figures]
    return Section(
        study=study,
        arms=arms,
        counts=counts,
        facts=_facts(study, arms, counts),
        warnings=[*_warnings(arms, counts), *tuning_warnings(study, searches)],
        summary=_summary(study, arms),
        tables=tables,
        figures=list(drawn),
    )


def _written(figure: Figure, folder: Path) -> EmbeddedFigure:
    png = base64.b64encode(figure.write(folder).read_bytes()).decode()
    return EmbeddedFigure(figure.name, figure.title, figure.caption, png)


def _figures(study: dict[str, Any], arms: list[Arm]) -> Iterator[Figure]:
    """The study's figures; single arms are shown of the control and of published rows."""
    yield from study_figures(study, arms)
    if study["design"] in CROSSED:
        yield from by_level(study, arms)
        figure = interactions(study, arms)
        if figure is not None:
            yield figure
    rows = {row.name for key in study["reproduces"] for row in published_tables()[key].rows}
    featured = [arm for arm in arms if arm.trials and arm.name in {study["control"], *rows}]
    # One at a time: an open figure holds megabytes.
    of_control = (class_gains(study, arms, control) for control in controls(arms))
    of_study = (draw(study, arms) for draw in (gate_energy, gate_energy_by_epoch, openness))
    of_arms = (draw(study, arm) for arm in featured for draw in (confusion, examples, gate_maps))
    of_data = (draw(study) for draw in (class_distribution,))
    for figure in itertools.chain(of_control, of_study, of_arms, of_data):
        if figure is not None:
            yield figure


def _comparisons(study: dict[str, Any], arms: list[Arm]) -> Iterator[Table | None]:
    name = study["name"]
    ranked = study["design"] in RANKED or len(arms) > MOST_DRAWN
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
    trials = [trial for arm in arms for trial in arm.trials.values()]

    def span(values: set[int]) -> str:
        return " to ".join(f"{v:,}" for v in sorted({min(values), max(values)})) if values else "–"

    sizes = {
        split: span({trial.data["images"][split] for trial in trials})
        for split in ("train", "val", "test")
    }
    versions = {
        name: ", ".join(sorted({str(t.environment[name]) for t in trials if name in t.environment}))
        for name in ("bench", "keras", "backend", "python", "machine")
    }
    seeds = ", ".join(str(seed) for seed in study["seeds"])
    return {
        "data": study["data"]["label"],
        "profile": f"{study['profile']}: {study['profile_description']}",
        "seeds": f"{len(study['seeds'])} ({seeds})",
        "trials": ", ".join(
            f"{count} {what}"
            for what, count in counts.items()
            if count or what in ("planned", "finished")
        ),
        "images": f"train {sizes['train']}, validation {sizes['val']}, test {sizes['test']}",
        "control": study["control"],
        "made with": ", ".join(f"{name} {value}" for name, value in versions.items() if value),
        "data fingerprint": study["data"]["fingerprint"][:16],
    }


def _warnings(arms: list[Arm], counts: dict[str, int]) -> list[str]:
    warnings = []
    if counts["diverged"]:
        warnings.append(
            f"{counts['diverged']} trials diverged and have no result: the means of their arms are "
            "those of the seeds that did not, and look better than the arms are."
        )
    if counts["missing"]:
        warnings.append(f"{counts['missing']} planned trials are not in the store yet.")
    for arm in arms:
        for seed, failure in arm.failed.items():
            warnings.append(f"{arm.name}, seed {seed} {failure.kind}: {failure.error}")
    unreadable = {
        image["image"]
        for arm in arms
        for trial in arm.trials.values()
        for image in trial.data["unreadable"]
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
        many = len(arms) > MOST_SENTENCES
        for effect in by_size(found) if study["design"] in RANKED or many else found:
            shown = Measured(effect.difference, True, signed=True)
            sentences.append(
                f"{effect.arm}, against {control}: {shown} points of top-1 accuracy: "
                f"{effect.verdict}."
            )
    return sentences[:MOST_SENTENCES]
