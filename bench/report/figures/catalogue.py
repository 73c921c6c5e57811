"""Every figure of the report, in the order of the page.

A figure is a function from a study's record and its arms as measured to a `Figure`, several, or
None where it does not apply. Style, and the end of each caption, are added here for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.arms import Arm
from bench.paper.published import published
from bench.report.drawing import Figure, FigureMaker, draw
from bench.report.figures.arms import (
    accuracy,
    differences,
    gate_statistics,
    other_differences,
)
from bench.report.figures.classes import class_distribution
from bench.report.figures.confusion import confusion
from bench.report.figures.curves import curves
from bench.report.figures.detections import detected, precision_by_recall
from bench.report.figures.examples import examples
from bench.report.figures.gains import class_gains
from bench.report.figures.gate_maps import gate_maps
from bench.report.figures.gates import gate_energy, gate_energy_by_epoch, openness
from bench.report.figures.interactions import interactions
from bench.report.figures.levels import by_level
from bench.report.figures.phone import on_a_phone
from bench.report.figures.stability import seed_stability
from bench.report.figures.tuning import tuning_figures
from bench.store.studies import StudyRecord


def single_arms(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """What is shown of single arms: of the control, and of those that are published rows."""
    rows = {row.name for key in study.reproduces for row in published()[key].rows}
    for arm in arms:
        if arm.trials and arm.name in {study.control, *rows}:
            for make in (detected, confusion, examples, gate_maps):
                yield from make(study, [arm])


FIGURES: list[FigureMaker] = [
    differences,  # the answer; what comes next shows why
    by_level,
    interactions,
    accuracy,
    on_a_phone,
    precision_by_recall,
    other_differences,
    class_gains,
    gate_statistics,
    openness,
    gate_energy,
    gate_energy_by_epoch,
    seed_stability,
    curves,
    tuning_figures,
    single_arms,
    class_distribution,
]


def study_figures(study: StudyRecord, arms: Sequence[Arm]) -> Iterator[Figure]:
    """All figures of a study, one at a time.

    Args:
        study: Its record.
        arms: Its arms as measured. Before a trial is finished, only its searches are shown.
    """
    finished = any(arm.trials for arm in arms)
    for make in FIGURES if finished else (tuning_figures,):
        yield from draw(make, study, arms)
