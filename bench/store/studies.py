"""A study's record: which trials its arms are made of, and what the report says of it.

Written out key by key: what a file of `results/studies/` holds is what stands here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.store.searches import Search, read_search, search_path
from bench.study.budget import Budget
from bench.study.study import DesignKind

if TYPE_CHECKING:
    from bench.store.trials import Store

STUDY_RECORD = 3
"""Version of a study's record; raised whenever its keys change."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=, -]*")


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
    trials: dict[int, str]
    against: str | None = None

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RecordedArm:
        """An arm from its part of a record."""
        return cls(
            trials={int(seed): _file_name(i) for seed, i in plain["trials"].items()},
            name=plain["name"],
            levels=plain["levels"],
            against=plain.get("against"),
        )

    def to_json(self) -> dict[str, Any]:
        """Its part of the record."""
        return {
            "name": self.name,
            "levels": self.levels,
            "against": self.against,
            "trials": {str(seed): identity for seed, identity in self.trials.items()},
        }


@dataclass(frozen=True)
class RecordedAxis:
    """An axis of a recorded study: its name and the labels of its levels."""

    name: str
    levels: tuple[str, ...]

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RecordedAxis:
        """An axis from its part of a record."""
        return cls(plain["name"], tuple(plain["levels"]))

    def to_json(self) -> dict[str, Any]:
        """Its part of the record."""
        return {"name": self.name, "levels": list(self.levels)}


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
    """

    source: str
    label: str
    fingerprint: str
    root: str | None = None
    class_counts: tuple[int, ...] | None = None
    class_names: tuple[str, ...] | None = None

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RecordedData:
        """The data from its part of a record."""
        counts, names = plain.get("class_counts"), plain.get("class_names")
        return cls(
            source=plain["source"],
            label=plain["label"],
            fingerprint=plain["fingerprint"],
            root=plain.get("root"),
            class_counts=None if counts is None else tuple(counts),
            class_names=None if names is None else tuple(names),
        )

    def to_json(self) -> dict[str, Any]:
        """Its part of the record; what an older record lacks stays out."""
        counts, names = self.class_counts, self.class_names
        found = {
            "source": self.source,
            "label": self.label,
            "fingerprint": self.fingerprint,
            "root": self.root,
            "class_counts": None if counts is None else list(counts),
            "class_names": None if names is None else list(names),
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class RecordedSearch:
    """An arm's search: its identity, and what it may spend."""

    id: str
    budget: Budget

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RecordedSearch:
        """A search from its part of a record."""
        return cls(_file_name(plain["id"]), Budget.from_json(plain["budget"]))

    def to_json(self) -> dict[str, Any]:
        """Its part of the record."""
        return {"id": self.id, "budget": self.budget.to_json()}


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

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RecordedTuning:
        """The tuning from its part of a record."""
        return cls(
            algorithm=plain["algorithm"],
            metric=plain["metric"],
            direction=plain["direction"],
            seeds=tuple(plain["seeds"]),
            seed=plain["seed"],
            factor=plain["factor"],
            space=plain["space"],
            searches={
                arm: RecordedSearch.from_json(search) for arm, search in plain["searches"].items()
            },
        )

    def to_json(self) -> dict[str, Any]:
        """Its part of the record."""
        return {
            "algorithm": self.algorithm,
            "metric": self.metric,
            "direction": self.direction,
            "seeds": list(self.seeds),
            "seed": self.seed,
            "factor": self.factor,
            "space": self.space,
            "searches": {arm: search.to_json() for arm, search in self.searches.items()},
        }


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
        margin: Largest difference from a published figure, in points, that counts as the same.
        arms: Its arms.
        bench_version: Version of the bench that wrote it.
        semantics: `bench.study.trial.SEMANTICS` of that version.
        tuning: How its arms were tuned; None where they were taken as they are.
    """

    name: str
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

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> StudyRecord:
        """A study from its record.

        Raises:
            ValueError: A key is missing, or a name in it is no plain file name: names become
                paths, and no record may lead out of the store by one.
        """
        try:
            return cls(
                name=_file_name(plain["name"]),
                arms=tuple(RecordedArm.from_json(arm) for arm in plain["arms"]),
                title=plain["title"],
                description=plain["description"],
                profile=plain["profile"],
                profile_description=plain["profile_description"],
                data=RecordedData.from_json(plain["data"]),
                design=DesignKind(plain["design"]),
                axes=tuple(RecordedAxis.from_json(axis) for axis in plain["axes"]),
                control=plain["control"],
                seeds=tuple(plain["seeds"]),
                reproduces=tuple(plain["reproduces"]),
                margin=plain["margin"],
                bench_version=plain["bench_version"],
                semantics=plain["semantics"],
                tuning=RecordedTuning.from_json(plain["tuning"]) if "tuning" in plain else None,
            )
        except KeyError as error:
            raise ValueError(f"it lacks {error}") from None
        except (TypeError, AttributeError):
            raise ValueError("it is no study's record") from None

    def to_json(self) -> dict[str, Any]:
        """The record, without its checksum."""
        return {
            "record": STUDY_RECORD,
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "profile": self.profile,
            "profile_description": self.profile_description,
            "data": self.data.to_json(),
            "design": self.design.value,
            "axes": [axis.to_json() for axis in self.axes],
            "control": self.control,
            "seeds": list(self.seeds),
            "reproduces": list(self.reproduces),
            "margin": self.margin,
            "arms": [arm.to_json() for arm in self.arms],
            "bench_version": self.bench_version,
            "semantics": self.semantics,
        } | ({} if self.tuning is None else {"tuning": self.tuning.to_json()})

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


def _file_name(name: Any) -> str:
    if not (isinstance(name, str) and _PLAIN.fullmatch(name)):
        raise ValueError("a name in it is no plain file name")
    return name


def study_searches(store: Store, study: StudyRecord) -> dict[str, Search]:
    """The searches of a recorded study, by arm; empty for one that is not tuned.

    Raises:
        BenchError: A search cannot be read.
    """
    searches = {} if study.tuning is None else study.tuning.searches
    found = {
        arm.name: read_search(search_path(store.root, searches[arm.name].id))
        for arm in study.arms
        if arm.name in searches
    }
    return {arm: search for arm, search in found.items() if search is not None}


def searched_trials(store: Store, study: StudyRecord) -> dict[str, str]:
    """The trials of a recorded study's searches, and how each is named to a person."""
    return {
        identity: f"{arm}, proposal {proposal.number + 1}"
        for arm, search in study_searches(store, study).items()
        for proposal in search.proposals
        for identity in proposal.trials
    }
