"""Searches on disk: the proposals for an arm and their scores, one line an event.

results/searches/<id>.jsonl    the events of a search, in the order in which they happened

A line is on disk before it is acted on, so that a killed search resumes from its last line: the
events are replayed to a new oracle. A search is identified by its content, as a trial is: what one
study has searched, no other searches again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.files.atomic import new_file, sync
from bench.files.locks import lock_open_file
from bench.study.budget import Budget, budget_of
from bench.study.space import Values, judged, space_of, with_values
from bench.study.trial import SEMANTICS, TrialSpec, canonical, trial_id
from bench.study.tuning import Space, Tuning

FORM = 1
"""Version of a search's file; raised whenever its lines change."""


@dataclass(frozen=True)
class SearchPlan:
    """An arm's search, as the study asks for it.

    Args:
        arm: Name of the arm.
        spec: The arm's trial.
        tuning: How it is tuned.
        identify: Identity of the data that a trial uses (`bench.data.attributes.data_identity`).
    """

    arm: str
    spec: TrialSpec
    tuning: Tuning
    identify: Callable[[TrialSpec], str]

    @property
    def space(self) -> Space:
        """The dimensions that the arm has."""
        return space_of(self.tuning, self.spec)

    @property
    def budget(self) -> Budget:
        """What may be spent."""
        return budget_of(self.tuning, self.spec)

    @property
    def content(self) -> dict[str, Any]:
        """What identifies the search."""
        tuning = self.tuning
        return {
            "form": FORM,
            "arm": canonical(self.spec.model_copy(update={"seed": 0})),
            "space": [[path, p.model_dump(mode="json")] for path, p in self.space.items()],
            "algorithm": tuning.algorithm,
            "budget": self.budget.to_json(),
            "factor": tuning.rung_factor if tuning.algorithm == "hyperband" else None,
            "metric": tuning.metric,
            "direction": tuning.direction,
            "seeds": tuning.seed_list,
            "seed": tuning.seed,
            "data": self.identify(self.spec),
            "semantics": SEMANTICS,
        }

    @property
    def id(self) -> str:
        """The search's identity: 16 hexadecimal digits from its content."""
        text = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def trials(self, values: Values, epochs: int | None) -> list[TrialSpec]:
        """A proposal's trials, one a tuning seed, scored on the validation images.

        Raises:
            pydantic.ValidationError: The values do not go together.
        """
        spec = judged(with_values(self.spec, values, epochs))
        return [spec.model_copy(update={"seed": seed}) for seed in self.tuning.seed_list]

    def ids(self, specs: list[TrialSpec]) -> list[str]:
        """Identities of some trials on the search's data."""
        return [trial_id(spec, self.identify(spec)) for spec in specs]


@dataclass(frozen=True)
class Proposal:
    """A proposed point, and its score.

    Args:
        number: From 0, in the order of proposing.
        values: Dotted path -> value, of the dimensions that exist there.
        epochs: Epochs that it is trained for, where these are not its own: a rung of hyperband,
            or the rest of a budget.
        spent: Most epochs that it takes, for each tuning seed.
        trials: Identities of its trials, one a tuning seed.
        score: Mean of the metric over the tuning seeds; None before it is known, and for a
            proposal that failed.
        error: Why it failed.
        rung: Hyperband's rung from 0; None for another algorithm.
        climbed: Number of the proposal that climbed to this rung, None on a first one.
    """

    number: int
    values: Values
    epochs: int | None
    spent: int
    trials: tuple[str, ...]
    score: float | None = None
    error: str | None = None
    rung: int | None = None
    climbed: int | None = None

    @property
    def answered(self) -> bool:
        """Whether it has a score or an error."""
        return self.score is not None or self.error is not None


@dataclass
class Search:
    """A search, read from its file.

    Args:
        content: What identifies it.
        versions: Versions of the tuner, such as `keras_tuner`.
        proposals: Proposals, in order.
        events: All events after the first line, in order.
        ended: Why it has ended; None while it has not.
    """

    content: dict[str, Any]
    versions: dict[str, str]
    proposals: list[Proposal] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    ended: str | None = None

    @property
    def complete(self) -> bool:
        """Whether it has ended and all its proposals are answered."""
        return self.ended is not None and all(p.answered for p in self.proposals)

    @property
    def spent(self) -> int:
        """Epochs of all proposals, each counted once."""
        return sum(proposal.spent for proposal in self.proposals)

    @property
    def direction(self) -> str:
        """`max` or `min`."""
        return str(self.content["direction"])

    def whole(self) -> list[Proposal]:
        """Proposals that have a score and were not stopped early, in order."""
        last = max((p.rung for p in self.proposals if p.rung is not None), default=None)
        full = max((p.spent for p in self.proposals), default=0)
        scored = [p for p in self.proposals if p.score is not None]
        return scored if last is None else [p for p in scored if p.spent == full]

    def best(self) -> Proposal | None:
        """The proposal with the best score, the first of equals; None where all failed."""
        sign = 1 if self.direction == "max" else -1
        found = self.whole()
        return max(found, key=lambda p: (sign * (p.score or 0.0), -p.number), default=None)

    def add(self, event: dict[str, Any]) -> None:
        """Take in an event."""
        self.events.append(event)
        match event["event"]:
            case "proposed":
                known = {key: value for key, value in event.items() if key != "event"}
                self.proposals.append(Proposal(**known | {"trials": tuple(known["trials"])}))
            case "answered":
                number = event["number"]
                self.proposals[number] = replace(
                    self.proposals[number], score=event["score"], error=event["error"]
                )
            case "ended":
                self.ended = event["why"]


def search_path(results: Path, identity: str) -> Path:
    """The file of a search in a results folder."""
    return results / "searches" / f"{identity}.jsonl"


def read_search(path: Path) -> Search | None:
    """A search from its file; None where there is none.

    A last line that was cut off, by a kill or a full disk, counts as not written.

    Raises:
        BenchError: The file is damaged elsewhere.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    search = None
    for number, line in enumerate(_whole(raw).splitlines(), start=1):
        try:
            event = json.loads(line)
            if search is None:
                search = Search(event["search"], event["versions"])
            else:
                search.add(event)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BenchError(
                f"cannot be read: {error!r}",
                where=f"{path}:{number}",
                fix="move the file away: the search starts again, and trains only what is missing",
            ) from error
    return search


def _whole(raw: bytes) -> bytes:
    return raw[: raw.rfind(b"\n") + 1]


class SearchLog:
    """A search's file, open for writing by one run alone.

    Args:
        path: The file; made where there is none.
        plan: The search.
        versions: Versions of the tuner.

    Raises:
        BenchError: Another run is searching, or the file is damaged.
    """

    def __init__(self, path: Path, plan: SearchPlan, versions: dict[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        if not lock_open_file(self._file, wait=False):
            self._file.close()
            raise BenchError(
                "another run is at this search",
                where=str(path),
                fix="wait for it; the same command then trains what is left",
            )
        self.path = path
        search = read_search(path)
        self._file.truncate(len(_whole(path.read_bytes())))
        if search is None:
            search = Search(plan.content, versions)
            self._write({"search": search.content, "versions": versions})
            sync(path.parent)
        self.search = search

    def append(self, event: dict[str, Any]) -> None:
        """Put an event on disk, then take it in."""
        self._write(event)
        self.search.add(event)

    def close(self) -> None:
        """Release the search for other runs."""
        self._file.close()

    def _write(self, plain: dict[str, Any]) -> None:
        self._file.write(json.dumps(plain, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def copy_search(results: Path, to: Path, identity: str) -> None:
    """Copy a search to another results folder, unless it is there already."""
    source, target = search_path(results, identity), search_path(to, identity)
    if source.is_file() and not target.exists():
        with new_file(target) as draft:
            draft.write_bytes(_whole(source.read_bytes()))


def supersede(path: Path) -> None:
    """Move a search away, for `--rerun`, so that it starts again."""
    if path.exists():
        number = sum(1 for _ in path.parent.glob(f"{path.stem}.superseded-*.jsonl")) + 1
        path.rename(path.with_name(f"{path.stem}.superseded-{number}.jsonl"))


def mean_score(values: list[float]) -> float | None:
    """A proposal's score: the mean of its seeds' scores, None where one is not a number."""
    mean = float(np.mean(values)) if values else float("nan")
    return mean if np.isfinite(mean) else None
