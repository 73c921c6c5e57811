"""A study's section of the report: its facts, its tables and figures, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.answers import answer, deciding_effects, in_one_sentence, tally
from bench.analysis.arms import Arm, controls
from bench.analysis.load import load_arms
from bench.report.cells import Table
from bench.report.drawing import MOST_DRAWN, RANKED, span
from bench.report.embedded import EmbeddedFigure, embedded
from bench.report.figures.catalogue import study_figures
from bench.report.looks import looks_in_words, looks_table
from bench.report.seeds import explained
from bench.report.tables.arms import arms_table, effects_table, factors_table, landmarks_table
from bench.report.tables.attributes import attributes_table
from bench.report.tables.backbones import backbones_table
from bench.report.tables.comparisons import images_table, tails_table
from bench.report.tables.detections import detection_tables, subsets_table
from bench.report.tables.landmarks import landmark_tables
from bench.report.tables.phone import phone_tables
from bench.report.tables.provenance import checklist_table
from bench.report.tables.stability import stability_table
from bench.report.tables.tuning import tuning_tables, tuning_warnings
from bench.store.studies import StudyRecord
from bench.store.trials import FailureKind, Store
from bench.study.study import DesignKind
from bench.study.trial import SEMANTICS
from bench.systems.ledger import ledger

ENDED = ("finished", "diverged", "failed")
"""What becomes of a planned trial."""


@dataclass(frozen=True)
class Section:
    """A study as the page shows it.

    Args:
        study: Its record.
        question: What it asks; empty where it does not say.
        headline: The answer in a sentence.
        answer: The same in full.
        verdicts: How many comparisons have which verdict.
        compared: What is compared.
        counts: How many trials there are, by what became of them.
        brief: What the answer stands on, in a few words.
        facts: What it stands on in full.
        warnings: What the reader must know.
        figures: The first decides; the next show why.
        tables: Its tables.
        provenance: Tables of where its numbers come from.
        arms: Its arms as measured.
    """

    study: StudyRecord
    question: str
    headline: str
    answer: list[str]
    verdicts: dict[str, int]
    compared: str
    counts: dict[str, int]
    brief: str
    facts: dict[str, str]
    warnings: list[str]
    figures: list[EmbeddedFigure]
    tables: list[Table]
    provenance: list[Table]
    arms: list[Arm]

    @property
    def heading(self) -> str:
        """What the section is headed with: the question, or the title of a study without one."""
        return self.question or self.study.title


def make_section(
    store: Store, study: StudyRecord, draft: Path, rendered: Sequence[EmbeddedFigure] | None = None
) -> Section:
    """Read, compare and render a study.

    Args:
        store: The store.
        study: The study's record.
        draft: Folder with `tables/` and `figures/`, which the files are written to.
        rendered: Its figures, where an earlier report has them and nothing has changed since.

    Raises:
        BenchError: A stored trial cannot be read.
    """
    arms = load_arms(store, study)
    failures = [failure.kind for arm in arms for failure in arm.failed.values()]
    counts = {
        "planned": sum(arm.planned for arm in arms),
        "finished": sum(len(arm.trials) for arm in arms),
        "diverged": sum(how == FailureKind.DIVERGED for how in failures),
        "failed": sum(how != FailureKind.DIVERGED for how in failures),
    }
    counts["missing"] = counts["planned"] - sum(counts[how] for how in ENDED)
    tables = [
        replace(table, note=explained(table.note, arms))
        for table in (
            arms_table(study, arms),
            stability_table(study.name, arms),
            backbones_table(study.name, arms),
            landmarks_table(study, arms),
            *landmark_tables(study, arms),
            *detection_tables(study, arms),
            subsets_table(study, arms),
            attributes_table(study.name, arms),
            *tuning_tables(study, arms),
            *_comparisons(study, arms),
            *phone_tables(study, arms),
            looks_table(study),
        )
        if table is not None
    ]
    checklist = checklist_table(study, arms)
    provenance = [] if checklist is None else [checklist]
    for table in (*tables, *provenance):
        table.write(draft / "tables")
    if rendered is None:
        figures = study_figures(study, arms)
        rendered = [embedded(figure, draft / "figures") for figure in figures]
    by_control = deciding_effects(study, arms)
    facts = _facts(study, arms, counts)
    return Section(
        study=study,
        question=study.question,
        headline=in_one_sentence(study, arms),
        answer=answer(study, arms),
        verdicts=tally(effect for found in by_control.values() for effect in found),
        compared=f"Arms against {' and '.join(by_control)}:",
        counts=counts,
        brief=brief(study, _seeds_and_trials(arms, counts)),
        facts=facts,
        warnings=[
            *_age_and_machines(study, arms),
            *_looked_before(study),
            *_warnings(arms, counts),
            *tuning_warnings(study, arms),
        ],
        figures=list(rendered),
        tables=tables,
        provenance=provenance,
        arms=arms,
    )


def brief(study: StudyRecord, trials: str) -> str:
    """What an answer stands on, in a line: its trials in words, its data and its profile."""
    return f"{trials} · {study.data.label} · profile {study.profile}"


def _seeds_and_trials(arms: list[Arm], counts: dict[str, int]) -> str:
    seeds = [len(arm.trials) for arm in arms] or [0]
    told = f"{span(seeds)} seed{'s' if max(seeds) != 1 else ''} an arm"
    return f"{told} · {counts['finished']:,} of {counts['planned']:,} trials"


def _comparisons(study: StudyRecord, arms: list[Arm]) -> Iterator[Table | None]:
    name = study.name
    ranked = study.design in RANKED or len(arms) > MOST_DRAWN
    for number, control in enumerate(controls(arms), start=1):
        suffix = "effects" if number == 1 else f"effects_{number}"
        yield effects_table(
            f"{name}.{suffix}",
            study,
            arms,
            control,
            ranked=ranked,
            unchanged=_unchanged_rows() if study.design == DesignKind.LEDGER else (),
        )
        yield tails_table(f"{name}.{suffix}.tails", arms, control)
        yield images_table(f"{name}.{suffix}.images", arms, control)
    yield factors_table(study, arms)


def _unchanged_rows() -> list[str]:
    """Rows of the ledger that the released code takes as the paper does."""
    return [row.name for row in ledger() if not row.released]


def _facts(study: StudyRecord, arms: list[Arm], counts: dict[str, int]) -> dict[str, str]:
    """The section's header."""
    trials = [trial for arm in arms for trial in arm.trials.values()]

    def ends(values: set[int]) -> str:
        return " to ".join(f"{v:,}" for v in sorted({min(values), max(values)})) if values else "–"

    sizes = {
        split: ends({trial.data["images"][split] for trial in trials})
        for split in ("train", "val", "test")
    }
    versions = {
        name: ", ".join(sorted({str(t.environment[name]) for t in trials if name in t.environment}))
        for name in ("bench", "keras", "backend", "python", "machine")
    }
    seeds = ", ".join(str(seed) for seed in study.seeds)
    return {
        "data": study.data.label,
        "profile": f"{study.profile}: {study.profile_description}",
        "seeds": f"{len(study.seeds)} ({seeds})",
        "trials": ", ".join(
            f"{count} {what}"
            for what, count in counts.items()
            if count or what in ("planned", "finished")
        ),
        "images": f"train {sizes['train']}, validation {sizes['val']}, test {sizes['test']}",
        "control": study.control,
        **({"looks": looks_in_words(study)} if study.until else {}),
        "made with": ", ".join(f"{name} {value}" for name, value in versions.items() if value),
        "data fingerprint": study.data.fingerprint[:16],
    }


def _age_and_machines(study: StudyRecord, arms: list[Arm]) -> Iterator[str]:
    """Why a run would give other numbers: another version, or unlike processors."""
    if study.semantics != SEMANTICS:
        yield (
            f"Made by bench {study.bench_version} with semantics {study.semantics}; this version's "
            f"are {SEMANTICS}. It is shown as it was, and `bench run` would train its trials anew."
        )
    native = [
        trial.environment["processor"]
        for arm in arms
        for trial in arm.trials.values()
        if "processor" in trial.environment and trial.spec["train"]["arithmetic"] == "native"
    ]
    if len(kinds := sorted(set(native))) > 1:
        yield (
            f"Trials in native arithmetic come from {len(kinds)} kinds of processor, which round "
            f"otherwise: {'; '.join(kinds)}."
        )


def _looked_before(study: StudyRecord) -> Iterator[str]:
    """What the intervals of a study do not count: looks of an earlier run of it."""
    if study.until is None and study.looks:
        looked = ", ".join(str(look.seeds) for look in study.looks)
        yield (
            f"It was looked at before, at {looked} seeds, on the way until it was settled; these "
            "intervals are those of one look at a fixed number of seeds, and do not count that."
        )
    if study.until is not None:
        yield (
            "Its arms have unequal numbers of seeds, by what the looks found. Differences from the "
            "control count the looks; the tables and figures of factors, classes, images and "
            "stability do not."
        )


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
