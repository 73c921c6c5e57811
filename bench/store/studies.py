"""A study's record: which trials its arms are made of, and what the report says of it.

The fields of these classes are the keys of a file of `results/studies/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, TypeAdapter, ValidationError

from bench.data.release import layout_label, release_differences
from bench.metrics.catalogue import Metric
from bench.store.searches import Search, read_search, search_path
from bench.study.budget import Budget
from bench.study.study import DesignKind, Outcome

STUDY_RECORD = 3
"""Version of a study's record; raised whenever its keys change."""


def _plain(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.=, -]*", name):
        raise ValueError("is no plain file name")
    return name


FileName = Annotated[str, AfterValidator(_plain)]
"""Names become paths: no record may lead out of the store by one."""


@dataclass(frozen=True)
class RecordedArm:
    """An arm of a recorded study.

    Args:
        name: Its name.
        levels: Axis -> label of its level.
        trials: Seed -> identity of the trial.
        against: Name of the arm that it is compared with; the study's control where None.
    """

    name: str
    levels: dict[str, str]
    trials: dict[int, FileName]
    against: str | None = None


@dataclass(frozen=True)
class RecordedAxis:
    """An axis of a recorded study: its name and the labels of its levels."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class RecordedData:
    """The data of a recorded study.

    Args:
        source: Kind of the source.
        label: The data as every table and figure names it.
        fingerprint: What identifies its content.
        root: Folder of the images; None in older records.
        class_counts: Images of each class, before any split; None in older records.
        class_names: Names of the classes; None in older records.
        release_differences: How it differs from DeepFashion's official release, of which it has the
            layout; empty for the release itself. None for another layout, and where an older
            record does not let it be known.
    """

    source: str
    label: str
    fingerprint: str
    root: str | None = None
    class_counts: tuple[int, ...] | None = None
    class_names: tuple[str, ...] | None = None
    release_differences: tuple[str, ...] | None = None

    @property
    def not_comparable(self) -> str:
        """Why nothing measured on it is held against published figures; empty where it may be."""
        if self.source != "deepfashion":
            return self.source
        if self.release_differences is None:
            return "not known to be the official release"
        if self.release_differences:
            return f"not the official release: {self.release_differences[0]}"
        return ""

    def with_release(self) -> RecordedData:
        """An older record's data told by its own counts, and named for what it is known to be."""
        if self.source != "deepfashion" or self.release_differences is not None:
            return self
        if self.class_counts is None or self.class_names is None:
            label = "photographs in DeepFashion's layout (not known to be the official release)"
            return replace(self, label=label)
        found = release_differences(self.class_names, self.class_counts)
        label = layout_label(self.class_counts, found)
        return replace(self, label=label, release_differences=found)


@dataclass(frozen=True)
class RecordedSearch:
    """An arm's search: its identity, and what it may spend."""

    id: FileName
    budget: Budget


@dataclass(frozen=True)
class RecordedTuning:
    """How the arms of a recorded study were tuned.

    Args:
        algorithm: Which algorithm proposed.
        metric: What proposals were judged by.
        direction: `max` or `min`: which way is better.
        seeds: Seeds that each proposal was trained at.
        seed: Seed of the search.
        factor: Hyperband's factor; None for another algorithm.
        space: Setting -> its dimension, as `bench.study.tuning` writes it.
        searches: Arm -> its search.
    """

    algorithm: str
    metric: str
    direction: str
    seeds: tuple[int, ...]
    seed: int
    factor: int | None
    space: dict[str, dict[str, Any]]
    searches: dict[str, RecordedSearch]


@dataclass(frozen=True)
class RecordedUntil:
    """How a recorded study goes on until it is settled.

    Args:
        looks: Seeds of each arm at each look, ascending.
        metric: The metric that decides.
    """

    looks: tuple[int, ...]
    metric: str


@dataclass(frozen=True)
class RecordedComparison:
    """What was known of an arm at a look, in the metric that decides.

    Args:
        seeds: Seeds that the arm shared with its control.
        difference: Arm minus control, as the metric is stored; None without a shared seed.
        low: Lower end of its interval, which holds over all looks; None where it cannot be told.
        high: Upper end.
        verdict: `better`, `worse`, `equivalent`, or why it cannot be told.
        stopped: Whether the arm stopped here: with one of those three, without a finished trial, or
            where the test images are too few for any number of seeds to tell.
    """

    seeds: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: str
    stopped: bool

    @property
    def settled(self) -> bool:
        """Whether the verdict is one of the three."""
        return self.verdict in get_args(Outcome)


@dataclass(frozen=True)
class RecordedLook:
    """A look: what was known when.

    Args:
        seeds: Seeds of each arm that was open.
        arms: Arm -> what was known of it, of the arms that were open.
    """

    seeds: int
    arms: dict[str, RecordedComparison]


@dataclass(frozen=True)
class StudyRecord:
    """A study as the store keeps it.

    Args:
        name: Its short name, and its file's.
        title: One line for the report.
        description: What it asks.
        profile: Profile that it ran under.
        profile_description: What that profile is.
        data: What it was trained and tested on.
        design: Kind of its design.
        axes: Its axes.
        control: Name of the arm that the others are compared with.
        seeds: Its seeds.
        reproduces: Published tables whose rows its arms are compared with.
        margin: Largest difference, in points, that does not matter, from a published figure and
            between arms, in every metric that is shown in percent and is not among `margins`.
        margins: Metric -> the same, as the metric is shown.
        arms: Its arms.
        bench_version: Version of the bench that wrote it.
        semantics: `bench.study.trial.SEMANTICS` of that version.
        tuning: How its arms were tuned; None where they were taken as they are.
        question: What it asks, in a sentence.
        answers: Arm -> verdict -> what it would mean.
        until: How it goes on until it is settled; None for fixed seeds.
        looks: The looks at it so far, first to last; kept where it is run with fixed seeds later.
    """

    name: FileName
    title: str
    description: str
    profile: str
    profile_description: str
    data: RecordedData
    design: DesignKind
    axes: tuple[RecordedAxis, ...]
    control: str
    seeds: tuple[int, ...]
    reproduces: tuple[str, ...]
    margin: float
    arms: tuple[RecordedArm, ...]
    bench_version: str
    semantics: int
    tuning: RecordedTuning | None = None
    margins: dict[str, float] = field(default_factory=dict)
    question: str = ""
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    until: RecordedUntil | None = None
    looks: tuple[RecordedLook, ...] = ()

    def margin_in(self, metric: Metric) -> float | None:
        """Largest difference in a metric that does not matter, as the metric is stored."""
        if metric.name in self.margins:
            return self.margins[metric.name] / metric.scale
        return self.margin / metric.scale if metric.percent else metric.matters

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> StudyRecord:
        """A study from its record.

        Raises:
            ValueError: A key is missing, or a value is not what it should be; with its place.
        """
        try:
            study = _form().validate_python(plain)
        except ValidationError as error:
            # A value that is wrong says more than a key that is missing.
            faults = sorted(error.errors(), key=lambda fault: fault["type"] == "missing")
            *above, last = map(str, faults[0]["loc"] or ("it",))
            within = f" in {'.'.join(above)}" if above else ""
            if faults[0]["type"] == "missing":
                raise ValueError(f"it lacks '{last}'{within}") from None
            found = f"{faults[0]['msg']}; found {faults[0]['input']!r:.60}"
            raise ValueError(f"'{last}'{within}: {found}") from None
        return replace(study, data=study.data.with_release())

    def to_json(self) -> dict[str, Any]:
        """The record, without its checksum; what an older record's data lacks stays out."""
        plain: dict[str, Any] = {"record": STUDY_RECORD, **_form().dump_python(self, mode="json")}
        plain["data"] = {key: value for key, value in plain["data"].items() if value is not None}
        for key in ("tuning", "margins", "question", "answers", "until", "looks"):
            if not plain[key]:
                del plain[key]
        return plain

    def trial_names(self) -> dict[str, str]:
        """Identity -> name of each trial of its arms, such as `gate=none, seed 2`."""
        return {
            identity: f"{arm.name}, seed {seed}"
            for arm in self.arms
            for seed, identity in arm.trials.items()
        }

    def control_levels(self) -> dict[str, str]:
        """Axis -> level of the control."""
        return next((arm.levels for arm in self.arms if arm.name == self.control), {})

    def control_axes(self) -> dict[str, tuple[str, ...]]:
        """The axes that the control has a level of -> their levels."""
        levels = self.control_levels()
        return {axis.name: axis.levels for axis in self.axes if axis.name in levels}

    def search_ids(self) -> list[str]:
        """Identities of its searches, sorted; none for a study that is not tuned."""
        searches = {} if self.tuning is None else self.tuning.searches
        return sorted({search.id for search in searches.values()})


@cache
def _form() -> TypeAdapter[StudyRecord]:
    """What a record is in JSON: the fields of the classes above."""
    return TypeAdapter(StudyRecord)


def study_searches(results: Path, study: StudyRecord) -> dict[str, Search]:
    """The searches of a recorded study, by arm; empty for one that is not tuned.

    Args:
        results: Results folder.
        study: The study.

    Raises:
        BenchError: A search cannot be read.
    """
    searches = {} if study.tuning is None else study.tuning.searches
    found = {
        arm.name: read_search(search_path(results, searches[arm.name].id))
        for arm in study.arms
        if arm.name in searches
    }
    return {arm: search for arm, search in found.items() if search is not None}


def searched_trials(results: Path, study: StudyRecord) -> dict[str, str]:
    """The trials of a recorded study's searches, and how each is named to a person."""
    return {
        identity: f"{arm}, proposal {proposal.number + 1}"
        for arm, search in study_searches(results, study).items()
        for proposal in search.proposals
        for identity in proposal.trials
    }
